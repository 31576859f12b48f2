"""How the array of a Zarr is cut into chunks, packed and named: versions 2 and 3."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emserve.errors import UnsuitableImage

Json = Mapping[str, Any]  # metadata, free-form by nature

# The names that zarr and numcodecs give them, of both versions.
_CODECS = (
    "bytes", "transpose", "crc32c", "blosc", "gzip", "zlib", "zstd", "lz4", "bz2", "shuffle", "delta",
)  # fmt: skip
_SHARDS = "sharding_indexed"


@dataclass(frozen=True)
class Layout:
    """Chunks of an array."""

    chunk: tuple[int, ...]
    """What is decoded at once."""
    stored: tuple[int, ...]
    """What is stored as a file of its own: a chunk, or a shard of several."""
    prefix: str
    separator: str
    """Of a file's name: prefix and numbers."""

    def names(self, shape: Sequence[int]) -> Iterator[str]:
        """Of every file that an array of `shape` has, however many that would be."""
        grid = [-(-side // step) for side, step in zip(shape, self.stored, strict=True)]
        for place in _places(grid):
            yield self.prefix + self.separator.join(map(str, place))


def _places(grid: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Of every cell, one by one; `product` would first hold all numbers of each axis."""
    if not grid:
        yield ()
        return
    for place in range(grid[0]):
        yield from ((place, *others) for others in _places(grid[1:]))


def old_layout(meta: Json) -> Layout:
    """Of version 2's `.zarray`. Raises UnsuitableImage for codecs that are not accepted."""
    codecs = [*(meta.get("filters") or ()), *([meta["compressor"]] if meta.get("compressor") else ())]
    _check([str(codec["id"]) for codec in codecs])
    chunk = tuple(int(side) for side in meta["chunks"])
    return Layout(chunk, chunk, "", meta.get("dimension_separator", "."))


def new_layout(meta: Json) -> Layout:
    """Of version 3's `zarr.json`. Raises UnsuitableImage for codecs and grids that are not accepted."""
    grid, keys, codecs = meta["chunk_grid"], meta["chunk_key_encoding"], meta["codecs"]
    if grid["name"] != "regular":
        raise UnsuitableImage(
            f"The Zarr's chunks lie on a grid of kind {grid['name']!r}; this server takes regular ones."
        )
    stored = chunk = tuple(int(side) for side in grid["configuration"]["chunk_shape"])
    if codecs[0]["name"] == _SHARDS:
        inner = codecs[0]["configuration"]
        chunk, codecs = tuple(int(side) for side in inner["chunk_shape"]), [*codecs[1:], *inner["codecs"]]
        _check([str(codec["name"]) for codec in inner["index_codecs"]])
    _check([str(codec["name"]) for codec in codecs])
    is_default = keys["name"] == "default"
    separator = keys.get("configuration", {}).get("separator", "/" if is_default else ".")
    return Layout(chunk, stored, f"c{separator}" if is_default else "", separator)


def _check(codecs: Sequence[str]) -> None:
    for name in codecs:
        if name.removeprefix("numcodecs.") not in _CODECS:
            raise UnsuitableImage(
                f"The Zarr is packed with the codec {name[:60]!r}; this server takes {', '.join(_CODECS)}. "
                "Save it with one of these."
            )
