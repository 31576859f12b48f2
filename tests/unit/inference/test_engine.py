"""What the engine gives does not depend on how it is asked: by bands or whole, alone or beside others."""

import numpy as np
import pytest
from numpy.typing import NDArray

from emserve.cards import ModelCard
from tests.pictures import phantom
from workers.inference.engine import Engine


@pytest.fixture
def images(starter: tuple[ModelCard, Engine]) -> NDArray[np.float32]:
    norms = starter[0].norms
    greys = np.stack([phantom(seed, side=256).image for seed in (6, 7)])
    return ((greys / np.float32(255) - norms.mean) / norms.std).astype(np.float32)


@pytest.mark.parametrize("downsampling", [1, 2, 8])
def test_bands_of_a_class_map_are_those_of_the_whole(
    downsampling: int, images: NDArray[np.float32], starter: tuple[ModelCard, Engine]
) -> None:
    heads = starter[1].predict(images, downsampling)
    whole = heads.render(0, 256)
    assert whole.shape == (2, 1, 256 * downsampling, 256 * downsampling)
    assert 0.02 < np.mean(whole > 0.5) < 0.98
    bands = np.concatenate([heads.render(y0, y0 + 64) for y0 in range(0, 256, 64)], axis=2)
    # Each band has its own share of the points that are decided anew.
    assert np.mean(np.abs(bands - whole) > 0.05) <= 1e-3
    assert np.mean((bands > 0.5) != (whole > 0.5)) <= 1e-4


def test_images_of_a_batch_get_what_each_gets_alone(
    images: NDArray[np.float32], starter: tuple[ModelCard, Engine]
) -> None:
    engine = starter[1]
    both = engine.predict(images, fine_boundaries=True)
    for number, image in enumerate(images):
        alone = engine.predict(image[None], fine_boundaries=True)
        for name in ("centres", "offsets"):
            expected = getattr(alone, name)[0]
            np.testing.assert_allclose(getattr(both, name)[number], expected, atol=1e-3 * expected.std())
