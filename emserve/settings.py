"""Every setting of the service, each also an environment variable with the prefix EMSERVE_."""

import json
import os
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from emserve.wording import said_as

_SHORT_FOLDER = Path("/tmp")  # noqa: S108 - the broker makes a folder there that is its owner's alone
_SOCKET_PATH_LIMIT = 104  # bytes; the smaller of what Linux (108) and macOS (104) allow
_STORAGE_SCHEMES = ("file:///", "s3://")
_REDIS_SCHEMES = ("redis://", "rediss://", "unix://")

_LONG_DAYS, _LONG_SECONDS = 36_500, 86_400 * 365  # as good as for ever, and dates still reach there
_LEAST_MEMORY_BYTES = 512 * 1024**2  # a process takes about 400 MB before it has any work

Origin = Annotated[
    str,
    Field(pattern=r"^https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:\d{1,5})?$"),
    said_as(
        "an origin is scheme, host in lower case, and port if need be, with no slash at its end, such as "
        "https://viewer.example.org"
    ),
]
"""As browsers write it: scheme, host in lower case, and the port where it is not the scheme's own."""


class Settings(BaseSettings):
    """What an operator may choose. A wrong value stops the start with its name."""

    model_config = SettingsConfigDict(
        env_prefix="EMSERVE_", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )

    host: str = "127.0.0.1"
    """Address that the API listens on."""

    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port that the API listens on; 0 takes a free one."""

    allow_anonymous: bool = False
    """Allow an address that other machines can reach although the API knows no keys yet."""

    allowed_hosts: list[str] = []
    """Host names, besides the loopback ones and the bound address, that requests may be addressed to."""

    allowed_origins: list[Origin] = []
    """Origins of web pages, such as https://viewer.example.org, that may read in browsers, and only read."""

    data_dir: Path = Path("data")
    """Folder of everything that lasts: jobs, models, the embedded broker's file."""

    redis: SecretStr | None = None
    """URL of a Redis >= 5 or Valkey server; without it the service starts a Valkey of its own."""

    storage: str | None = None
    """URL of the storage of jobs, such as s3://bucket/prefix; the data folder without it."""

    workers: Annotated[int, Field(ge=0, le=64)] = 1
    """How many workers share each device."""

    device: Annotated[
        str, Field(pattern=r"^(auto|cpu|cuda:\d+)$"), said_as("auto, cpu, or cuda: and a number is expected")
    ] = "auto"
    """auto (every CUDA device, else the CPU), cpu, or one CUDA device."""

    threads: Annotated[int, Field(ge=0)] = 0
    """CPU threads of each worker; 0 divides the cores among the workers."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of the networks: fp32, or bf16, less exact but faster on GPUs and processors with AMX."""

    model_dir: Path | None = None
    """Folder of installed models; `models` in the data folder without it."""

    model_mirror: Annotated[
        Annotated[str, Field(pattern=r"^https?://\S+$")] | None,
        said_as("an address that begins with https:// or http:// is expected"),
    ] = None
    """Address that answers as Zenodo does and is asked in its place when models are pulled."""

    model_pin: dict[str, str] = {}
    """Version that a bare model name means, such as {"mitonet": "1"}."""

    warm_models: list[str] = []
    """Models that a worker loads when it starts."""

    model_memory_bytes: Annotated[int, Field(gt=0)] = 4 * 1024**3
    """Most memory that the models kept warm may take on a device, shared evenly by its workers."""

    job_timeout_seconds: Annotated[float, Field(gt=0, le=_LONG_SECONDS)] = 3600
    """Longest time that one attempt at an image may run. Of a volume, of which nobody knows how long it
    takes, the longest time from one slice to the next."""

    worker_memory_bytes: Annotated[int, Field(ge=0)] = 0
    """Most resident memory that a job's process may take, at least 512 MiB, of which it takes about 400 MB at
    rest; 0 for nine tenths of the machine's memory."""

    max_pixels: Annotated[int, Field(gt=0)] = 1_000_000_000
    """Largest 2D image, or slice of a volume, in pixels."""

    max_voxels: Annotated[int, Field(gt=0)] = 1_000_000_000_000
    """Largest volume, in voxels."""

    max_upload_bytes: Annotated[int, Field(gt=0)] = 64 * 1024**3
    """Largest upload, in bytes."""

    max_pages: Annotated[int, Field(gt=0)] = 10_000
    """Most pages of a TIFF, and most slices of a zip."""

    max_uploads: Annotated[int, Field(gt=0)] = 32
    """Most uploads at the same time."""

    max_queued_jobs: Annotated[int, Field(gt=0)] = 10_000
    """Most jobs that may wait for a worker."""

    min_free_bytes: Annotated[int, Field(ge=0)] = 2 * 1024**3
    """Room that uploads leave free on the disks of the data folder and of the storage."""

    upload_idle_seconds: Annotated[float, Field(gt=0, le=_LONG_SECONDS)] = 60
    """How long an upload may stand still, or stay behind its least rate."""

    min_upload_bytes_per_second: Annotated[int, Field(ge=0)] = 1024
    """Least rate of an upload; 0 for none."""

    decode_memory_bytes: Annotated[int, Field(ge=_LEAST_MEMORY_BYTES)] = 8 * 1024**3
    """Address space of a process that reads or renders images, at least 512 MiB, of which it takes about 400
    MB itself. Only JPEGs, interlaced PNGs and TIFFs of one compressed strip need room for the whole image."""

    decode_seconds: Annotated[int, Field(gt=0)] = 600
    """CPU time that reading or rendering one image may take."""

    renderers: Annotated[int, Field(ge=1, le=64)] = 2
    """Processes that read headers and render result formats for the API."""

    max_renderings: Annotated[int, Field(gt=0)] = 256
    """Most results, or parts of results, that may be rendered or wait for it at the same time."""

    max_wait_seconds: Annotated[int, Field(ge=0, le=600)] = 60
    """Longest time that a request may wait for its job."""

    keep_jobs_days: Annotated[float, Field(ge=0, le=_LONG_DAYS)] = 0
    """How long an ended job is kept before it is deleted; 0 keeps it until somebody deletes it."""

    keep_tombstones_days: Annotated[float, Field(ge=0, le=_LONG_DAYS)] = 30
    """How long a deleted job is answered with 410; after that its id is unknown, 404."""

    sweep_seconds: Annotated[float, Field(gt=0, le=_LONG_SECONDS)] = 60
    """How often the API looks for what has expired and for what a crash left."""

    shutdown_seconds: Annotated[float, Field(ge=0, le=_LONG_SECONDS)] = 30
    """How long a stopping worker may finish its job before it gives it back."""

    log_format: Literal["json", "console"] = "json"
    """json, or console for people."""

    @field_validator("data_dir", "model_dir")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().resolve()

    @field_validator("redis")
    @classmethod
    def _with_scheme(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(_REDIS_SCHEMES):
            raise ValueError(f"a Redis URL begins with {', '.join(_REDIS_SCHEMES)}")
        return url

    @field_validator("storage")
    @classmethod
    def _known_storage(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(_STORAGE_SCHEMES):
            raise ValueError(f"the storage's URL begins with {' or '.join(_STORAGE_SCHEMES)}")
        if url is not None and url.rstrip("/") == "s3:":
            raise ValueError("the storage's URL names a bucket, such as s3://bucket/prefix")
        return url

    @field_validator("worker_memory_bytes")
    @classmethod
    def _room_to_rest(cls, memory: int) -> int:
        if 0 < memory < _LEAST_MEMORY_BYTES:
            raise ValueError(f"a job's process needs {_LEAST_MEMORY_BYTES} bytes before it has any work")
        return memory

    @property
    def models(self) -> Path:
        return self.model_dir or self.data_dir / "models"

    @property
    def scratch_dir(self) -> Path:
        """Where a running job keeps what it needs only while it runs."""
        return self.data_dir / "scratch"

    @property
    def storage_url(self) -> str:
        return self.storage or (self.data_dir / "store").as_uri()

    @cached_property
    def broker_socket(self) -> Path:
        """The embedded broker's socket: in the data folder, or where its path is short enough to bind, which
        a folder that TMPDIR names need not be."""
        path = self.data_dir / "broker" / "valkey.sock"
        if len(os.fsencode(path)) < _SOCKET_PATH_LIMIT:
            return path
        digest = sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return _SHORT_FOLDER / f"emserve-{os.getuid()}-{digest}" / "valkey.sock"

    @property
    def redis_url(self) -> str:
        """The broker's URL: the given one, or the embedded broker's socket."""
        if self.redis is not None:
            return self.redis.get_secret_value()
        return f"unix://{self.broker_socket}"

    def environment(self) -> dict[str, str]:
        """These settings as environment variables, for a process that this one starts."""
        values = self.model_dump(mode="json", exclude_none=True)
        if self.redis is not None:
            values["redis"] = self.redis.get_secret_value()
        variables = {f"EMSERVE_{name.upper()}": _as_text(value) for name, value in values.items()}
        return {**os.environ, **variables}


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
