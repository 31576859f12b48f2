"""Components of masks that come in slabs are those of the whole mask."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from tests.label_maps import Pair, pairs
from workers.evaluation.instances import MaskComponents


@given(pairs(), st.integers(1, 3))
def test_slabs_give_the_components_of_the_whole(pair: Pair, thickness: int) -> None:
    mask = pair[0] > 2
    components = MaskComponents()
    slabs = [components.add(mask[begin : begin + thickness]) for begin in range(0, len(mask), thickness)]
    labels = components.final_labels()[np.concatenate(slabs)]
    expected, count = ndimage.label(mask)
    assert len(np.unique(labels[mask])) == count
    # The same partition: as many pairs of numbers as components.
    assert len(np.unique(np.stack([labels[mask], expected[mask]]), axis=1).T) == count
    assert not labels[~mask].any()


@pytest.mark.parametrize("mask", [[[1, 0], [0, 1]], [[[1, 0], [0, 0]], [[0, 1], [0, 0]]]], ids=["2D", "3D"])
def test_what_touches_at_a_corner_or_an_edge_is_two(mask: list[object]) -> None:
    components = MaskComponents()
    for part in np.array(mask, np.bool_):
        components.add(part[None])
    assert components.final_labels().max() == 2
