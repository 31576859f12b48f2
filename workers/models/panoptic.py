"""What both panoptic networks share: their outputs, heads and rendering."""

from dataclasses import dataclass

from torch import Tensor, nn

from workers.models.layers import Head
from workers.models.place import Place
from workers.models.point_rend import REFINED_POINTS, PointRend


@dataclass(frozen=True)
class Heads:
    """Raw outputs at a quarter of the image's size: h = H/4, w = W/4. Floating point, no activation."""

    coarse_logits: Tensor
    """(N, C, h, w) logits of the classes."""
    features: Tensor
    """(N, D, h, w) of the semantic decoder, which PointRend samples."""
    ctr_hmp: Tensor
    """(N, 1, h, w) heat map of object centres."""
    offsets: Tensor
    """(N, 2, h, w) way from a pixel to its object's centre: dy, dx in pixels of the image."""


class PanopticNetwork(nn.Module):
    """Base of the panoptic networks: an encoder and two decoders below, three heads and PointRend here."""

    size_multiple: int
    """Height and width of an image must be multiples of this."""

    def __init__(self, decoder_channels: int, num_classes: int) -> None:
        super().__init__()
        self.semantic_head = Head(decoder_channels, num_classes)
        self.ins_center = Head(decoder_channels, 1)
        self.ins_xy = Head(decoder_channels, 2)
        self.semantic_pr = PointRend(decoder_channels, num_classes)

    def decode(self, image: Tensor, places: list[Place]) -> tuple[Tensor, Tensor]:
        """Semantic and instance features (N, D, H/4, W/4) of images (N, 1, H, W)."""
        raise NotImplementedError

    def forward(self, image: Tensor, places: list[Place] | None = None) -> Heads:
        """Heads of normalised images (N, 1, H, W): tiles at `places`, or wholes."""
        batch, _, height, width = image.shape
        semantic, instance = self.decode(image, places or [Place.whole(height, width)] * batch)
        return Heads(
            coarse_logits=self.semantic_head(semantic),
            features=semantic,
            ctr_hmp=self.ins_center(instance),
            offsets=self.ins_xy(instance),
        )

    def render(self, heads: Heads, steps: int = 2, points: int = REFINED_POINTS) -> Tensor:
        """Class logits (N, C, h * 2**steps, w * 2**steps): 2 steps give the image's own size.

        In each step `points` pixels are decided anew.
        """
        return self.semantic_pr.subdivide(heads.coarse_logits, heads.features, steps, points)
