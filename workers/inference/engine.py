"""The engine: a network on a device that turns an image into maps."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - the name that every torch user knows
from torch import Tensor

from workers.models.panoptic import PanopticNetwork

Precision = Literal["fp32", "bf16"]
FloatArray = npt.NDArray[np.float32]

COARSE_STEP = 4


@dataclass(frozen=True)
class Heads2D:
    """What the network says of one image of (H, W) pixels; all float32.

    The semantic map is at full resolution: `downsampling` times larger than the image.
    """

    semantic: FloatArray
    """(C, H * downsampling, W * downsampling) probabilities: sigmoid of one class, softmax of several."""
    centres: FloatArray
    """(h, w) heat map of object centres, as the network gives it: about 0 to 1, not clipped."""
    offsets: FloatArray
    """(2, h, w) way to the object's centre: dy, dx in pixels of the image (H, W)."""
    step: int
    """Pixels of the image per pixel of `centres` and `offsets`: h = H / step."""


class Engine:
    """A network ready to run: one image in, its maps out."""

    def __init__(
        self, network: PanopticNetwork, device: torch.device | str = "cpu", precision: Precision = "fp32"
    ) -> None:
        self._device = torch.device(device)
        self._precision = precision
        network = network.eval().to(self._device)
        # torch's types leave memory_format out.
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def predict(self, image: FloatArray, downsampling: int = 1, fine_boundaries: bool = False) -> Heads2D:
        """Maps of a normalised, padded float32 image (H, W).

        `downsampling` (a power of two) is how much smaller the image is than the original: rendering
        takes the semantic map back to the original's size. `fine_boundaries` gives centres and offsets
        at every pixel instead of every fourth. Raises ValueError for a size that the network cannot take.
        """
        self._check(image, downsampling)
        x = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))[None, None]  # (1, 1, H, W)
        x = x.to(self._device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._precision == "bf16"):
            heads = self._network(x)
            logits = self._network.render(heads, steps=2 + downsampling.bit_length() - 1).float()
        scale = COARSE_STEP if fine_boundaries else 1
        return Heads2D(
            semantic=_array(_probabilities(logits)),
            centres=_array(_enlarge(heads.ctr_hmp.float(), scale))[0],
            offsets=_array(_enlarge(heads.offsets.float(), scale)),
            step=COARSE_STEP // scale,
        )

    def _check(self, image: FloatArray, downsampling: int) -> None:
        multiple = self._network.size_multiple
        if image.ndim != 2 or any(size == 0 or size % multiple for size in image.shape):
            raise ValueError(f"the image has shape {image.shape}, not two multiples of {multiple}")
        if downsampling < 1 or downsampling & (downsampling - 1):
            raise ValueError(f"downsampling is {downsampling}, not a power of two")


def _probabilities(logits: Tensor) -> Tensor:
    return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)


def _enlarge(maps: Tensor, scale: int) -> Tensor:
    if scale == 1:
        return maps
    return F.interpolate(maps, scale_factor=float(scale), mode="bilinear", align_corners=True)


def _array(maps: Tensor) -> FloatArray:
    array: FloatArray = maps[0].contiguous().cpu().numpy()
    return array
