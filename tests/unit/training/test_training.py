"""A run of seconds gives a network that can be released, loaded and gone on from."""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
import typer
from scipy import ndimage
from torch.utils.data import DataLoader

from emserve.cards import Catalogue
from tests.integration.workshop import eventually
from training.augment import NORMS, random_crop
from training.checkpoint import (
    CannotKeep,
    Configuration,
    Learner,
    OtherConfiguration,
    keep,
    learnt_weights,
    resume,
)
from training.crops import Crops
from training.phantoms import Phantom, Structure, Truth, make_phantom
from training.phantoms.organelle import Organelle
from training.pool import FIRST_SEED, PhantomPool, fill
from training.recipe import Recipe
from training.release import main as release
from training.release import starter_card
from training.starter_network import STARTER_CONFIG
from training.starters import STARTERS, Family, Starter
from training.targets import STRIDE, make_targets
from training.train import batch_losses, main, new_learner, train
from workers.models.weights import load_card


def test_offsets_lead_from_every_pixel_of_an_object_to_its_centre() -> None:
    labels = np.zeros((32, 48), np.uint16)
    labels[4:12, 8:24] = 1
    labels[20:28, 30:40] = 2
    targets = make_targets(labels, np.zeros_like(labels))
    y, x = np.nonzero(targets.inside[0])
    reached = STRIDE * np.stack([y, x]) + targets.offset[:, y, x]
    first = labels[STRIDE * y, STRIDE * x] == 1
    np.testing.assert_allclose(reached[:, first].T, [(7.5, 15.5)] * int(first.sum()), atol=1e-4)
    np.testing.assert_allclose(reached[:, ~first].T, [(23.5, 34.5)] * int((~first).sum()), atol=1e-4)
    peaks = np.argwhere(targets.centre[0] > 0.9 * targets.centre.max())
    assert {(2, 4), (6, 9)} <= {tuple(peak) for peak in peaks.tolist()}


def test_crops_have_their_size_and_pad_with_the_mean_grey() -> None:
    rng = np.random.default_rng(1)
    phantom = make_phantom(1, (96, 96))
    crops = [random_crop(rng, phantom, STARTERS[Family.MITONET], 128) for _ in range(20)]
    assert all(crop.image.shape == crop.labels.shape == (128, 128) for crop in crops)
    assert all(crop.image.min() >= 0 and crop.image.max() <= 1 for crop in crops)
    padded = [crop for crop in crops if crop.image[-1, -1] == np.float32(NORMS.mean)]
    assert padded
    assert all(crop.labels[-1, -1] == 0 for crop in padded)


def test_crops_turn_image_and_kinds_with_labels() -> None:
    rng = np.random.default_rng(3)
    blobs = ndimage.gaussian_filter(rng.standard_normal((256, 256)), 8) > 0  # the same from no other side
    truth = empty_truth(256)
    truth.mitochondria[:], truth.kinds[:] = blobs, np.where(blobs, Organelle.MITOCHONDRION, Organelle.OUTSIDE)
    phantom = Phantom(np.where(blobs, 200, 60).astype(np.uint8), truth, 12.0)
    for _ in range(20):
        crop = random_crop(rng, phantom, STARTERS[Family.MITONET], 96)
        shown = crop.labels > 0
        np.testing.assert_array_equal(crop.kinds == Organelle.MITOCHONDRION, shown)
        likeness = np.corrcoef(crop.image.ravel(), shown.ravel())[0, 1]
        assert abs(likeness) > 0.8  # negative where greys are turned round


def test_crops_of_phantoms_show_what_the_model_segments() -> None:
    rng, shown = np.random.default_rng(2), 0
    phantom = make_phantom(1, (192, 192), 12.0)
    for _ in range(10):
        crop = random_crop(rng, phantom, STARTERS[Family.MITONET], 96)
        shown += int(np.count_nonzero(crop.labels))
        assert set(np.unique(crop.kinds[crop.labels > 0])) <= {Organelle.MITOCHONDRION}
    assert shown > 1000


def test_the_learning_rate_rises_and_falls_to_nothing() -> None:
    recipe = Recipe(crops=1000)
    rates = [recipe.rate(done) for done in np.linspace(0, 1, 101)]
    assert rates[0] == 0
    assert max(rates) == pytest.approx(recipe.peak_rate, rel=0.05)
    assert rates[-1] == pytest.approx(0, abs=1e-9)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> PhantomPool:
    folder = tmp_path_factory.mktemp("pool")
    fill(folder, 3)
    return PhantomPool(folder)


def test_a_pool_holds_the_truth_of_every_structure(pool: PhantomPool) -> None:
    drawn = pool.draw(np.random.default_rng(0))
    again = make_phantom_like(drawn)
    np.testing.assert_array_equal(drawn.image, again.image)
    for structure in Structure:
        np.testing.assert_array_equal(drawn.truth.of(structure), again.truth.of(structure))


def test_a_pool_gives_phantoms_of_the_pixel_sizes_that_are_asked_for(pool: PhantomPool) -> None:
    rng = np.random.default_rng(0)
    finest, *others = sorted({pool.draw(rng).pixel_size_nm for _ in range(40)})
    assert len(others) == 2
    assert {pool.draw(rng, 0.9 * finest, 1.01 * finest).pixel_size_nm for _ in range(20)} == {finest}
    assert len({pool.draw(rng, 1000).pixel_size_nm for _ in range(40)}) == 3  # rather others than none


@pytest.mark.parametrize("command", ["training.pool {pool} --count 2", "training.train {run} --pool {pool}"])
def test_a_pool_of_another_generator_is_not_gone_on_with(
    command: str, pool: PhantomPool, tmp_path: Path
) -> None:
    other = tmp_path / "pool" / f"{FIRST_SEED}.npz"
    other.parent.mkdir()
    with np.load(pool.folder / other.name) as file:
        np.savez(other, **{**file, "image": file["image"][::-1]})
    words = command.format(pool=other.parent, run=tmp_path / "run").split()
    ended = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "another version of the generator" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.rglob("*.*")) == [other]
    fill(pool.folder, 3)  # its own it goes on with


def test_a_pool_without_disk_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    limited = f"ulimit -f 2000; exec {sys.executable} -m training.pool {tmp_path / 'pool'}"
    ended = subprocess.run(["/bin/sh", "-c", limited], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "File too large. Make room" in ended.stderr
    assert "1600 phantoms take about 4,2" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not list(tmp_path.rglob("*.*"))


def test_several_processes_fill_one_pool(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "training.pool", str(tmp_path), "--count", "3"]
    fillers = [subprocess.Popen(words) for _ in range(2)]
    assert [filler.wait() for filler in fillers] == [0, 0]
    assert len(list(tmp_path.iterdir())) == len(PhantomPool(tmp_path)) == 3


def test_a_training_whose_pool_nobody_fills_says_so_and_ends(pool: PhantomPool, tmp_path: Path) -> None:
    words = f"-m training.train {tmp_path / 'run'} --pool {pool.folder} --wait-seconds 0.5".split()
    ended = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert f"{pool.folder} holds 3 phantoms" in ended.stderr
    assert f"python -m training.pool {pool.folder}" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not list(tmp_path.iterdir())


def make_phantom_like(drawn: Phantom) -> Phantom:
    """The phantom of the same pixel size, made anew from the seeds that a pool begins with."""
    made = (make_phantom(FIRST_SEED + index, drawn.image.shape, drawn.pixel_size_nm) for index in range(3))
    return next(each for each in made if np.array_equal(each.image, drawn.image))


def empty_truth(side: int) -> Truth:
    mitochondria, nuclei, droplets = (np.zeros((side, side), np.uint16) for _ in range(3))
    return Truth(mitochondria, nuclei, droplets, np.zeros((side, side), np.uint8))


@pytest.mark.parametrize("starter", STARTERS.values(), ids=STARTERS)
def test_each_model_learns_what_its_card_says(starter: Starter) -> None:
    assert starter_card(starter, STARTER_CONFIG, None).class_names == {1: starter.structure}
    truth = empty_truth(96)
    truth.of(starter.structure)[:] = 1  # this one everywhere, the others nowhere
    phantom = Phantom(np.full((96, 96), 100, np.uint8), truth, 10.0)
    crops = [random_crop(np.random.default_rng(seed), phantom, starter, 32) for seed in range(5)]
    assert all(crop.labels[0, 0] == 1 for crop in crops)


def test_crops_are_often_around_an_object_and_never_only_there() -> None:
    truth = empty_truth(512)
    truth.lipid_droplets[500:506, 500:506] = 1  # a hundredth of all windows would hold it
    phantom = Phantom(np.full((512, 512), 100, np.uint8), truth, 12.0)
    rng = np.random.default_rng(1)
    crops = [random_crop(rng, phantom, STARTERS[Family.DROPNET], 64) for _ in range(60)]
    with_it = sum(bool(crop.labels.any()) for crop in crops)
    assert 30 < with_it < 55


_RECIPE = Recipe(crops=8, side=96, batch=2, points=64)
_BEGUN = Configuration("nucleonet", STARTER_CONFIG, _RECIPE, seed=1)


@pytest.fixture(scope="module")
def run(pool: PhantomPool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    assert len(pool) == 3
    folder = tmp_path_factory.mktemp("runs") / "nucleonet"
    train(folder, pool, _BEGUN)
    return folder


def test_a_training_keeps_a_log_and_a_plot(run: Path) -> None:
    header, row = (run / "log.csv").read_text().splitlines()
    assert header == "crops,rate,total,semantic,centre,offset,points,kinds"
    crops, _, total, *parts = map(float, row.split(","))
    assert crops == _RECIPE.crops
    assert total == pytest.approx(sum(parts), rel=0.01)
    assert (run / "log.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_becomes_a_model_that_the_service_loads(run: Path, tmp_path: Path) -> None:
    release(run, tmp_path)
    catalogue = Catalogue(tmp_path)
    card = catalogue.find("nucleonet@starter")
    assert card.class_names == {1: Structure.NUCLEI}
    weights = catalogue.weights(card)
    assert weights == tmp_path / "nucleonet@starter.safetensors"
    assert weights.stat().st_size <= 8e6
    load_card(card, weights)
    assert json.loads((tmp_path / "nucleonet@starter.json").read_text())["licence"] == "Apache-2.0"


def test_what_goes_on_from_a_model_is_released_half_way_from_it_or_as_it_is(
    pool: PhantomPool, tmp_path: Path
) -> None:
    begun = replace(_BEGUN, start="nucleonet@starter")
    train(tmp_path, pool, begun)
    _, learnt = learnt_weights(tmp_path)
    _, alone = learnt_weights(tmp_path, with_begun=False)
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    before, averaged = kept["begun"], kept["averaged"]
    moved = 0
    for name, tensor in learnt.items():
        after = averaged[f"module.{name}"]
        assert torch.equal(alone[name], after)
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (before[name] + after) / 2)
            moved += not torch.equal(after, before[name])
    assert moved > 100


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (replace(_BEGUN, model="dropnet"), "model was nucleonet and is dropnet"),
        (replace(_BEGUN, seed=2), "seed was 1 and is 2"),
        (replace(_BEGUN, recipe=replace(_RECIPE, crops=16)), "'crops': 16"),
    ],
)
def test_a_run_is_not_gone_on_with_under_another_configuration(
    run: Path, pool: PhantomPool, other: Configuration, named: str
) -> None:
    before = (run / "checkpoint.pt").read_bytes()
    with pytest.raises(OtherConfiguration, match=named):
        train(run, pool, other)
    assert (run / "checkpoint.pt").read_bytes() == before


def test_what_learns_comes_back_from_a_checkpoint_as_it_was(pool: PhantomPool, tmp_path: Path) -> None:
    crops = Crops(pool, STARTERS[Family.NUCLEONET], _RECIPE.side, (1, 0))
    batches = iter(DataLoader(crops, batch_size=_RECIPE.batch))
    before, after = next(batches), next(batches)
    learner, again = (new_learner(_BEGUN, torch.device("cpu")) for _ in range(2))
    learn(learner, before)
    keep(tmp_path, _BEGUN, learner, 1)
    assert resume(tmp_path, _BEGUN, again) == 1
    learn(learner, after)
    learn(again, after)
    for part in ("network", "teller", "averaged", "optimizer"):
        expected, got = (getattr(each, part).state_dict() for each in (learner, again))
        torch.testing.assert_close(got, expected, rtol=0, atol=0)
    assert torch.equal(again.generator.get_state(), learner.generator.get_state())


def learn(learner: Learner, batch: list[torch.Tensor]) -> None:
    """A step at the optimizer's own rate."""
    learner.optimizer.zero_grad()
    torch.stack(batch_losses(learner, batch, _RECIPE.points)).sum().backward()  # type: ignore[no-untyped-call]
    learner.optimizer.step()
    learner.averaged.update_parameters(learner.network)


def test_a_run_that_had_a_gpu_goes_on_and_is_released_without_one(
    run: Path, pool: PhantomPool, tmp_path: Path
) -> None:
    with ZipFile(run / "checkpoint.pt") as kept, ZipFile(tmp_path / "checkpoint.pt", "w") as moved:
        for name in kept.namelist():
            moved.writestr(name, kept.read(name).replace(b"X\3\0\0\0cpu", b"X\6\0\0\0cuda:0"))
    _, expected = learnt_weights(run)
    _, learnt = learnt_weights(tmp_path)
    torch.testing.assert_close(learnt, expected, rtol=0, atol=0)
    train(tmp_path, pool, _BEGUN)
    again = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    torch.testing.assert_close(
        again["optimizer"], torch.load(run / "checkpoint.pt", weights_only=True)["optimizer"], rtol=0, atol=0
    )


def test_a_folder_that_cannot_be_written_is_told_before_the_work(pool: PhantomPool, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        CannotKeep, match=r"checkpoint\.pt cannot be written: Not a directory\. Mend that, then"
    ):
        train(tmp_path / "file" / "run", pool, _BEGUN)


@pytest.mark.parametrize("name", ["log.csv", "log.png"])
def test_a_log_that_cannot_be_written_ends_the_training_with_a_sentence(
    name: str, run: Path, pool: PhantomPool, tmp_path: Path
) -> None:
    shutil.copy(run / "checkpoint.pt", tmp_path)
    (tmp_path / name).mkdir()
    with pytest.raises(CannotKeep, match=f"{name} cannot be written: Is a directory"):
        train(tmp_path, pool, _BEGUN)


@pytest.mark.parametrize("torn", ["8,0.0", "8,0.001,5,1,1,1,1,1", "8,0.001,5,1\r\n", "\0\0\0\r\n"])
def test_what_a_crash_left_of_a_row_is_dropped(
    torn: str, run: Path, pool: PhantomPool, tmp_path: Path
) -> None:
    shutil.copy(run / "checkpoint.pt", tmp_path)
    header, row = (run / "log.csv").read_bytes().splitlines(keepends=True)
    (tmp_path / "log.csv").write_bytes(header + row + torn.encode())
    train(tmp_path, pool, _BEGUN)
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 2


@pytest.fixture(scope="module")
def full_pool(pool: PhantomPool, tmp_path_factory: pytest.TempPathFactory) -> PhantomPool:
    """As many phantoms as a training waits for, most of them the same."""
    folder = tmp_path_factory.mktemp("full")
    for copy in range(64):
        (folder / f"{copy}.npz").hardlink_to(pool.folder / f"{FIRST_SEED + copy % 3}.npz")
    return PhantomPool(folder)


def command(pool: PhantomPool, run: Path, crops: int) -> str:
    """The command line of a training that keeps a checkpoint after each step."""
    program = f"{sys.executable} -m training.train {run} --pool {pool.folder}"
    return f"exec {program} --crops {crops} --keep-seconds 0"


def test_a_killed_training_goes_on_where_it_was(
    full_pool: PhantomPool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    with _killed_afterwards(full_pool, run):
        eventually(lambda: _steps(run) >= 3, "the third step")
    reached = _steps(run)

    with pytest.raises(typer.Exit) as shorter:
        main(run, pool=full_pool.folder, crops=16)
    assert shorter.value.exit_code == 1
    assert "begun with another configuration" in capsys.readouterr().err
    seen = [reached]
    with _killed_afterwards(full_pool, run):
        while seen[-1] == reached:  # one that began afresh would be seen on its way
            eventually(lambda: _steps(run) != seen[-1], "another step")
            seen.append(_steps(run))
    assert seen == sorted(seen)


@contextlib.contextmanager
def _killed_afterwards(pool: PhantomPool, run: Path) -> Iterator[None]:
    """A training that keeps each step."""
    process = subprocess.Popen(["/bin/sh", "-c", command(pool, run, crops=800)])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_a_training_without_disk_says_so_and_ends(full_pool: PhantomPool, tmp_path: Path) -> None:
    limited = f"ulimit -f 2000; {command(full_pool, tmp_path / 'run', crops=16)}"
    ended = subprocess.run(["/bin/sh", "-c", limited], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "checkpoint.pt cannot be written: File too large. Make room" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not list(tmp_path.rglob("*.*"))


def _steps(run: Path) -> int:
    path = run / "checkpoint.pt"
    # Mapped, since nobody needs the weights.
    return int(torch.load(path, weights_only=True, mmap=True)["step"]) if path.exists() else -1
