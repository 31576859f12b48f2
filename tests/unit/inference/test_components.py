"""Components found band by band are those found at once."""

from typing import Literal

import cc3d
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.inference.components import Components


@pytest.mark.parametrize("connectivity", [4, 8])
@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 25), st.integers(1, 9))
def test_bands_make_no_difference(
    connectivity: Literal[4, 8], seed: int, height: int, width: int, rows: int
) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.integers(0, 3, (height, width)) * (rng.random((height, width)) < 0.8)).astype(np.uint32)
    components = Components(connectivity)
    numbers = np.concatenate([components.add(values[y0 : y0 + rows]) for y0 in range(0, height, rows)])
    final, n = components.merged()
    at_once = cc3d.connected_components(values, connectivity=connectivity)
    np.testing.assert_array_equal(final[numbers], at_once)
    assert n == at_once.max(initial=0)
    np.testing.assert_array_equal(components.values()[numbers], values)
