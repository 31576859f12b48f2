"""The service from Python: `Client` for ordinary code, `AsyncClient` for asyncio."""

from emserve.client.async_client import AsyncClient
from emserve.client.client import Client
from emserve.client.errors import (
    ApiError,
    BadAddress,
    ClientError,
    CorruptAnswer,
    InvalidParameters,
    JobCancelled,
    JobDeleted,
    JobFailed,
    MissingPackage,
    ServiceUnreachable,
    UnexpectedAnswer,
    UnknownFormat,
    UnusableImage,
    WaitTimedOut,
)
from emserve.client.model_info import ModelInfo
from emserve.client.segmentation import Row, Segmentation

__all__ = [
    "ApiError",
    "AsyncClient",
    "BadAddress",
    "Client",
    "ClientError",
    "CorruptAnswer",
    "InvalidParameters",
    "JobCancelled",
    "JobDeleted",
    "JobFailed",
    "MissingPackage",
    "ModelInfo",
    "Row",
    "Segmentation",
    "ServiceUnreachable",
    "UnexpectedAnswer",
    "UnknownFormat",
    "UnusableImage",
    "WaitTimedOut",
]
