"""What files made of an image are named after."""

import re
from pathlib import PurePath

_ENDINGS = re.compile(r"(\.ome)?\.(tiff?|zarr|zarr\.zip|zip|mrc|png|jpe?g|npy)$", re.IGNORECASE)


def bare_name(filename: str) -> str:
    """A file's or folder's name without what says its format: `S17.001` of `S17.001.ome.tif`.

    Other dots are part of the name, which would not be told from others without what follows them; only one
    at its beginning would hide the file.
    """
    return _ENDINGS.sub("", PurePath(filename).name).lstrip(".") or "image"
