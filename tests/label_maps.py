"""Small random label maps in pairs, for properties that hold for all."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def pairs() -> st.SearchStrategy[Pair]:
    """Two maps of one shape, 2D or 3D, of a few objects each, often of the same pixels."""
    return st.one_of(_SHAPES_2D, _SHAPES_3D).flatmap(_pairs_of)


_SIDE = st.integers(1, 7)
_SHAPES_2D: st.SearchStrategy[tuple[int, ...]] = st.tuples(_SIDE, _SIDE)
_SHAPES_3D: st.SearchStrategy[tuple[int, ...]] = st.tuples(st.integers(1, 4), st.integers(1, 4), _SIDE)


def _pairs_of(shape: tuple[int, ...]) -> st.SearchStrategy[Pair]:
    labels = arrays(np.uint8, shape, elements=st.integers(0, 4), fill=st.integers(0, 4))
    return st.tuples(labels, labels)
