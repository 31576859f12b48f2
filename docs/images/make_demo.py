"""The README's picture, out of a folder that `emserve demo` filled: the phantom and what was found in it.

emserve demo --seed 42 --out /tmp/demo
python docs/images/make_demo.py /tmp/demo docs/images/demo.png
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

_SIDE = 512
_GAP = 8


def side_by_side(image: Path, preview: Path) -> Image.Image:
    """Both at 512 x 512 pixels, the grey image left; white between them."""
    picture = Image.new("RGB", (2 * _SIDE + _GAP, _SIDE), "white")
    for number, path in enumerate((image, preview)):
        with Image.open(path) as part:
            grey_or_rgb = part.convert("RGB")
        shrunk = grey_or_rgb.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        picture.paste(shrunk, (number * (_SIDE + _GAP), 0))
    return picture


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("demo", type=Path, help="the folder of `emserve demo`")
    parser.add_argument("out", type=Path, help="the PNG to write")
    options = parser.parse_args(arguments)
    picture = side_by_side(options.demo / "phantom.tif", options.demo / "phantom.preview.png")
    picture.save(options.out, optimize=True)


if __name__ == "__main__":
    main()
