"""Seeded electron-microscopy phantoms with exact instance labels."""

from training.phantoms.phantom import (
    Phantom,
    Structure,
    Truth,
    VolumePhantom,
    make_phantom,
    make_volume_phantom,
)

__all__ = ["Phantom", "Structure", "Truth", "VolumePhantom", "make_phantom", "make_volume_phantom"]
