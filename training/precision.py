"""Whether a device learns faster in bf16."""

import time
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

_GAIN = 1.2


@cache
def gains_by_bf16(device: torch.device) -> bool:
    """Whether bf16 is worth it there, told by a convolution: only some processors multiply bf16 natively."""
    image = torch.randn(4, 64, 56, 56, device=device).contiguous(memory_format=torch.channels_last)
    kernel = torch.randn(64, 64, 3, 3, device=device)
    exact = _seconds(image, kernel)
    return exact > _GAIN * _seconds(image.bfloat16(), kernel.bfloat16())


def _seconds(image: Tensor, kernel: Tensor) -> float:
    """The shortest of some convolutions; the first of them warms up."""
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        functional.conv2d(image, kernel, padding=1)
        if image.is_cuda:
            torch.cuda.synchronize(image.device)
        seconds.append(time.perf_counter() - begun)
    return min(seconds[1:])
