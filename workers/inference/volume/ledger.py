"""Where finished work is kept, so that a volume that was interrupted does not begin anew."""

from typing import Protocol


class Ledger(Protocol):
    """Entries by name, kept as long as the job: they outlive a process, a worker, an attempt.

    An entry that was saved may be gone later, or damaged: what it holds is then worked out again.

    A key matches `[A-Za-z0-9._/-]+` and changes whenever anything changes that the entry depends on. An entry
    is about 0.05 bytes a voxel and a few MB at most for slices of up to 4096 x 4096; for a model of several
    classes four bytes a voxel for each class and the background.
    """

    def load(self, key: str) -> bytes | None:
        """The entry, or None where there is none."""

    def save(self, key: str, entry: bytes) -> None:
        """Keeps the entry as a whole or not at all; one of the same key is replaced. Raises StorageFull."""
