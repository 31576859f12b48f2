"""The entries of a zip as a store that zarr reads from."""

from collections.abc import AsyncIterator, Iterable

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype

from workers.images.archive import Archive


class ZarrEntries(Store):
    """Reads only. zarr's own ZipStore wants the path of a file, and uploads may lie elsewhere."""

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, archive: Archive) -> None:
        super().__init__(read_only=True)
        self._archive = archive

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        if key not in self._archive:
            return None
        size = self._archive.size_bytes(key)
        if byte_range is None:
            value = self._archive.read(key)
        elif isinstance(byte_range, RangeByteRequest):
            value = self._archive.read_part(key, byte_range.start, byte_range.end)
        elif isinstance(byte_range, OffsetByteRequest):
            value = self._archive.read_part(key, byte_range.offset, size)
        else:  # the last so many bytes
            value = self._archive.read_part(key, max(0, size - byte_range.suffix), size)
        return prototype.buffer.from_bytes(value)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        return key in self._archive

    async def set(self, key: str, value: Buffer) -> None:  # noqa: ARG002 - zarr's signature
        raise PermissionError(key)

    async def delete(self, key: str) -> None:
        raise PermissionError(key)

    async def list(self) -> AsyncIterator[str]:
        for name in self._archive.names:
            yield name

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        for name in self._archive.names:
            if name.startswith(prefix):
                yield name

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        inside = f"{prefix.rstrip('/')}/" if prefix else ""
        names = (name.removeprefix(inside) for name in self._archive.names if name.startswith(inside))
        for name in {name.split("/", 1)[0] for name in names}:
            yield name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ZarrEntries) and other._archive is self._archive

    __hash__ = None  # type: ignore[assignment]  # as every Store
