"""Segment electron-microscopy images: `emserve.Client(url).segment("cell.tif", model="mitonet")`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emserve.client import AsyncClient, Client, Segmentation

__all__ = ["AsyncClient", "Client", "Segmentation", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:  # PEP 562: the attribute's own type, which the block above declares
    """Imports the client when it is first asked for: the service's processes never need it."""
    if name in ("AsyncClient", "Client", "Segmentation"):
        from emserve import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
