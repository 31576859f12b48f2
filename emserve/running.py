"""What a running service says of itself in its data folder: `service.json`, there while it is ready."""

import contextlib
import os
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

_NAME = "service.json"


class RunningRecord(BaseModel):
    """Where a service listens, and its processes."""

    model_config = ConfigDict(frozen=True)

    url: str
    pid: int
    """The process that keeps the parts."""
    parts: dict[str, int]
    """Process id of each part, by its name."""

    @classmethod
    def read(cls, data_dir: Path) -> Self | None:
        """The record in `data_dir`, or None while no service is ready there."""
        with contextlib.suppress(FileNotFoundError):
            return cls.model_validate_json((data_dir / _NAME).read_bytes())
        return None

    def write(self, data_dir: Path) -> None:
        """Replaces the record in one step, so that a reader sees a whole one."""
        draft = data_dir / f".{_NAME}.{os.getpid()}"
        draft.write_text(self.model_dump_json())
        draft.replace(data_dir / _NAME)

    def remove(self, data_dir: Path) -> None:
        """Removes the record, unless another service has put its own there since."""
        current = self.read(data_dir)
        if current is not None and current.pid == self.pid:
            (data_dir / _NAME).unlink(missing_ok=True)
