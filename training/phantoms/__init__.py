"""Seeded electron-microscopy phantoms with exact instance labels."""

from training.phantoms.canvas import Organelle
from training.phantoms.scene import Phantom, make_phantom

__all__ = ["Organelle", "Phantom", "make_phantom"]
