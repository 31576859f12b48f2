"""Random crops of phantoms: zoomed, turned, with other grey levels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from emserve.cards import Norms
from training.crowding import crowd
from training.phantoms import Phantom
from training.phantoms.noise import FloatImage, smooth_noise
from training.phantoms.organelle import Organelle
from training.starters import Starter

NORMS = Norms(mean=0.57571, std=0.12765)
"""Those of the released models: an image from 0 to 1 becomes (image - mean) / std."""

_ZOOM_RANGE = (0.4, 1.25)  # less would leave margins, more would blur
# Of the normal distribution of the pixel size's logarithm: `downsampling: "auto"` comes within 0.35 of it,
# and a network that knows about how large a pixel is tells a granule from a droplet by its size.
_SCALE_SPREAD = 0.25
_INVERTED = 0.05  # besides the phantoms that are
_CROWDED = 0.25  # of the crops: see `crowd`
_AROUND_AN_OBJECT = 0.7  # of the crops where there is one: droplets fill a hundredth of the phantoms


@dataclass(frozen=True)
class Crop:
    """A square training image (S, S): `image` from 0 to 1, `labels`, and `kinds` of `Organelle`."""

    image: FloatImage
    labels: NDArray[np.int32]
    kinds: NDArray[np.int32]


def random_crop(rng: np.random.Generator, phantom: Phantom, starter: Starter, side: int) -> Crop:
    """A crop of `side` pixels at about the model's pixel size, mirrored, turned, its greys disturbed."""
    pixel_size_nm = starter.native_pixel_size_nm * float(np.exp(_SCALE_SPREAD * rng.standard_normal()))
    zoom = float(np.clip(phantom.pixel_size_nm / pixel_size_nm, *_ZOOM_RANGE))
    truth = phantom.truth.of(starter.structure)
    span = min(round(side / zoom), *truth.shape)
    size = min(side, max(8, round(span * zoom)))
    top, left = _corner(rng, truth, span)
    window = (slice(top, top + span), slice(left, left + span))
    turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))

    def laid(array: NDArray[Any]) -> NDArray[Any]:  # grey values and labels alike
        turned = np.rot90(array, turns)
        return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)

    # The service pads with the mean grey at the bottom and right, after everything else.
    missing = ((0, side - size), (0, side - size))
    image = laid(_shrink(rng, phantom.image[window], size))
    kinds = laid(_nearest(phantom.truth.kinds[window], size))
    if rng.random() < _CROWDED:
        image = crowd(rng, image, kinds, phantom.pixel_size_nm * span / size)
    return Crop(
        np.pad(disturb(rng, image), missing, constant_values=NORMS.mean),
        np.pad(laid(_nearest(truth[window], size)), missing),
        np.pad(kinds, missing, constant_values=Organelle.OUTSIDE),
    )


def _corner(rng: np.random.Generator, truth: NDArray[np.uint16], span: int) -> tuple[int, int]:
    """Where a window of `span` pixels begins: often one with an object in it, every object as likely."""
    last = np.array(truth.shape) - span
    corner = rng.integers(last + 1)
    count = int(truth.max())
    if count and rng.random() < _AROUND_AN_OBJECT:
        pixels = np.argwhere(truth == rng.integers(1, count + 1))
        corner = np.clip(rng.choice(pixels) - rng.integers(span, size=2), 0, last)
    return int(corner[0]), int(corner[1])


def _shrink(rng: np.random.Generator, image: NDArray[np.uint8], size: int) -> FloatImage:
    source = torch.from_numpy(image.astype(np.float32))[None, None] / 255
    # Users' images are shrunk with and without a low-pass filter: both occur.
    antialias = bool(rng.integers(2)) and size < image.shape[0]
    shrunk = functional.interpolate(source, (size, size), mode="bilinear", antialias=antialias)
    return np.asarray(shrunk[0, 0].numpy(), np.float32)


def _nearest(values: NDArray[np.uint8 | np.uint16], size: int) -> NDArray[np.int32]:
    source = torch.from_numpy(values.astype(np.float32))[None, None]
    nearest = functional.interpolate(source, (size, size), mode="nearest-exact")
    return nearest[0, 0].numpy().astype(np.int32)


def disturb(rng: np.random.Generator, image: FloatImage) -> FloatImage:
    """`image` (0 to 1) with other polarity, contrast, gamma, shading, sharpness, noise; clipped to 0 to 1."""
    if rng.random() < _INVERTED:
        image = np.maximum(1 - image, 0)  # interpolation may leave a little more than 1
    if rng.random() < 0.3:
        image = np.asarray(ndimage.gaussian_filter(image, rng.uniform(0.3, 1.2)), np.float32)
    if rng.random() < 0.7:
        image = image ** np.float32(np.exp(rng.normal(0, 0.25)))
    if rng.random() < 0.8:
        mean = image.mean()
        image = mean + np.exp(rng.normal(0, 0.3)) * (image - mean) + rng.normal(0, 0.1)
    shape = (image.shape[0], image.shape[1])
    if rng.random() < 0.3:
        image = image + rng.uniform(0, 0.08) * smooth_noise(rng, shape, 0.6 * shape[0])
    if rng.random() < 0.5:
        image = image + rng.uniform(0, 0.08) * smooth_noise(rng, shape, 0)
    if rng.random() < 0.3:
        image = image + rng.uniform(0, 0.05) * smooth_noise(rng, shape, rng.uniform(1, 2.5))
    if rng.random() < 0.1:
        image = image + rng.uniform(0, 0.03) * rng.standard_normal((1, shape[1]), np.float32)
    return np.asarray(np.clip(image, 0, 1), np.float32)
