"""The form in which a network runs: on its device, in its precision, laid out for its processor."""

from typing import Literal

import torch
from torch import nn

from workers.models.layers import Float32Conv
from workers.models.packed import can_pack, pack
from workers.models.panoptic import PanopticNetwork

Precision = Literal["fp32", "bf16"]
DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


def make_ready(
    network: PanopticNetwork, device: torch.device | str = "cpu", precision: Precision = "fp32"
) -> PanopticNetwork:
    """`network` itself (folded), ready to take images of `precision` on `device`; for inference only.

    A second time with the same device and precision changes nothing; with others it is wrong.
    """
    dtype = DTYPES[precision]
    _keep_float32_whole()
    # torch's types leave memory_format out.
    network = network.eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    _lower(network, dtype)
    return pack(network) if torch.device(device).type == "cpu" and can_pack(dtype) else network


def _keep_float32_whole() -> None:
    """Keeps a GPU from rounding what convolutions multiply to 10 bits (TF32), which torch lets it do: fp32 is
    to be what it says, and who wants speed has bf16."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def _lower(network: PanopticNetwork, dtype: torch.dtype) -> None:
    """Brings the convolutions to `dtype`, all but the last of each head.

    What a head says must not be rounded to 8 bits: flat tops in a heat map make two centres of one.
    """
    for module in network.modules():
        is_conv = isinstance(module, nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d)
        if is_conv and not isinstance(module, Float32Conv):
            module.to(dtype)
