"""The engine: a network on a device that turns an image into maps."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from emserve.errors import EmserveError, OutOfMemory
from workers.models.panoptic import Heads, PanopticNetwork
from workers.models.place import Place, enlarge
from workers.models.point_rend import share_of_points
from workers.models.ready import DTYPES, Precision, make_ready

FloatArray = npt.NDArray[np.float32]

COARSE_STEP = 4
_GPU_BATCH = 8
_MARGIN = 2  # coarse rows beyond a band, further than upsampling looks


class DeviceUnusable(EmserveError):
    """Some errors of a kernel, such as an access to memory that is not its own, break a GPU for the process
    that they happen in: whatever it asks of it from then on fails with the same error."""

    title = "The device cannot be used"

    def __init__(self, device: str, reason: str) -> None:
        super().__init__(f"The device {device} computes nothing more for this process: {reason}")


def probe(device: str) -> None:
    """Has `device` compute a trifle. Raises DeviceUnusable."""
    try:
        torch.ones(1, device=device).sum().item()  # a kernel's error shows where its result is waited for
    except Exception as error:
        raise DeviceUnusable(device, str(error)) from error


@dataclass(frozen=True)
class Heads2D:
    """What the network says of N images of (H, W) pixels; all float32."""

    render: Callable[[int, int], FloatArray]
    """Probabilities in the images' rows from the first to before the second, multiples of 4, at full
    resolution: (N, C, rows * downsampling, W * downsampling), sigmoid of one class, softmax of several.
    Raises OutOfMemory."""
    centres: FloatArray
    """(N, 1, h, w) heat map of object centres, as the network gives it: about 0 to 1, not clipped."""
    offsets: FloatArray
    """(N, 2, h, w) way to the object's centre: dy, dx in pixels of the image (H, W)."""
    step: int
    """Pixels of the image per pixel of `centres` and `offsets`: h = H / step."""


class Engine:
    """A network ready to run: images in, their maps out."""

    def __init__(
        self, network: PanopticNetwork, device: torch.device | str = "cpu", precision: Precision = "fp32"
    ) -> None:
        """Takes `network` (folded, or made ready for this device and precision) over and makes it ready."""
        self._device = torch.device(device)
        self._dtype = DTYPES[precision]
        self._network = make_ready(network, self._device, precision)

    @torch.inference_mode()
    def predict(
        self,
        images: FloatArray,
        downsampling: int = 1,
        fine_boundaries: bool = False,
        places: list[Place] | None = None,
    ) -> Heads2D:
        """Maps of normalised, padded float32 images (N, H, W): tiles at `places` of one image, or wholes.

        `downsampling` (a power of two) is how much smaller the image is than the original: rendering
        takes the semantic map back to the original's size. `fine_boundaries` gives centres and offsets
        at every pixel instead of every fourth.
        Raises ValueError for a size that the network cannot take, and OutOfMemory.
        """
        self._check(images, downsampling)
        batch, height, width = images.shape
        places = places or [Place.whole(height, width)] * batch
        scale = COARSE_STEP if fine_boundaries else 1
        with _memory_told():
            x = torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32))[:, None]  # (N, 1, H, W)
            x = x.to(self._device, self._dtype).contiguous(memory_format=torch.channels_last)
            heads = self._network(x, places)
            return Heads2D(
                render=partial(self._render, heads, downsampling, places[0]),
                centres=_array(_enlarge(heads.ctr_hmp.float(), scale, places)),
                offsets=_array(_enlarge(heads.offsets.float(), scale, places)),
                step=COARSE_STEP // scale,
            )

    @torch.inference_mode()
    def _render(self, heads: Heads, downsampling: int, place: Place, y0: int, y1: int) -> FloatArray:
        """As `Heads2D.render`: so a large image's map is never whole in memory."""
        rows = slice(max(0, y0 // COARSE_STEP - _MARGIN), y1 // COARSE_STEP + _MARGIN)
        coarse, features = heads.coarse_logits[:, :, rows], heads.features[:, :, rows]
        seen = coarse.shape[2] * coarse.shape[3] * COARSE_STEP**2
        points = share_of_points(seen, place.height * place.width)
        full = COARSE_STEP * downsampling
        above = y0 * downsampling - rows.start * full
        with _memory_told():
            logits = self._network.render(
                replace(heads, coarse_logits=coarse, features=features), full.bit_length() - 1, points
            )
            return _array(_probabilities(logits[:, :, above : above + (y1 - y0) * downsampling]))

    @property
    def size_multiple(self) -> int:
        """Height and width of an image must be multiples of this."""
        return self._network.size_multiple

    @property
    def batch(self) -> int:
        """How many tiles are best inferred at once."""
        return 1 if self._device.type == "cpu" else _GPU_BATCH

    def release(self) -> None:
        """Gives memory that is kept for later back to the device."""
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _check(self, images: FloatArray, downsampling: int) -> None:
        multiple = self.size_multiple
        if images.ndim != 3 or any(size == 0 or size % multiple for size in images.shape[1:]):
            raise ValueError(
                f"the images have shape {images.shape}, not (N, H, W) of multiples of {multiple}"
            )
        if downsampling < 1 or downsampling & (downsampling - 1):
            raise ValueError(f"downsampling is {downsampling}, not a power of two")


@contextlib.contextmanager
def _memory_told() -> Iterator[None]:
    """Translates torch's ways of saying that memory ran out."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory() from error
    except RuntimeError as error:
        # The CPU's allocator and oneDNN have no class of their own.
        if "allocate memory" in str(error) or str(error) == "could not create a primitive":
            raise _out_of_memory() from error
        raise


def _out_of_memory() -> OutOfMemory:
    return OutOfMemory(
        "The device has too little free memory for this image. A larger `downsampling` or a smaller "
        "`tile_size` needs less."
    )


def _probabilities(logits: Tensor) -> Tensor:
    return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)


def _enlarge(maps: Tensor, scale: int, places: list[Place]) -> Tensor:
    if scale == 1:
        return maps
    height, width = maps.shape[2:]
    return enlarge(maps, (scale * height, scale * width), COARSE_STEP, places)


def _array(maps: Tensor) -> FloatArray:
    array: FloatArray = maps.contiguous().cpu().numpy()
    return array
