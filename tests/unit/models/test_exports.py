"""Exported files: their tensors are read without their code, and the network is recognised by them."""

import io
import pickle
import random
import warnings
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tests.exports import SMALL, export, released_tensors, save_scripted, small_network
from workers.models.archive import ModelFileDamaged, ModelFileUnsafe
from workers.models.checkpoint import NoTensors, read_tensors
from workers.models.convert import convert
from workers.models.fold import fold
from workers.models.panoptic import PanopticNetwork
from workers.models.recognise import UnknownNetwork, recognise
from workers.models.registry import build_outline
from workers.models.scripted import QuantizedModel
from workers.models.weights import WeightsMismatch, load

Rewrite = Callable[[dict[str, bytes]], None]


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Panoptic-DeepLab as empanada exports it."""
    path = tmp_path_factory.mktemp("export") / "ours.pth"
    return export(small_network("panoptic_deeplab_pr"), "panoptic_deeplab_pr", path)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of each form that torch writes, with hardly anything in it."""
    folder = tmp_path_factory.mktemp("tiny")
    torch.save({"a": torch.zeros(2)}, folder / "plain.pth")
    scripted = save_scripted({"a.weight": torch.zeros(2)}, folder / "scripted.pth")
    return {"scripted": scripted, "checkpoint": folder / "plain.pth"}


def rewritten(source: Path, target: Path, change: Rewrite, compression: int = zipfile.ZIP_STORED) -> Path:
    """The archive with its entries changed; names are those below its root."""
    with zipfile.ZipFile(source) as archive:
        entries = {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(f"ours/{name}", content)
    return target


def outputs(network: PanopticNetwork) -> list[torch.Tensor]:
    image = torch.randn(1, 1, 128, 128, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        heads = network(image)
        return [heads.coarse_logits, heads.ctr_hmp, heads.offsets]


def converted(source: Path, folder: Path) -> tuple[PanopticNetwork, Any]:
    """The network that a worker would load, and what was found."""
    found = convert(source, folder / "weights.safetensors")
    outline = build_outline(found.architecture, found.architecture_config)
    return load(outline, folder / "weights.safetensors"), found


@pytest.mark.parametrize(("architecture", "classes"), [("panoptic_deeplab_pr", 1), ("panoptic_bifpn_pr", 3)])
def test_an_exported_network_gives_what_the_original_gives(
    architecture: str, classes: int, tmp_path: Path
) -> None:
    original = small_network(architecture, classes)
    network, found = converted(export(original, architecture, tmp_path / "ours.pth"), tmp_path)
    assert (found.architecture, found.channels, found.fused) == (architecture, classes, True)
    for ours, theirs in zip(outputs(network), outputs(original), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3 * float(theirs.std()), rtol=0)


@pytest.mark.parametrize("parallel", ["", "module."])
@pytest.mark.parametrize(
    "wrap", [lambda d: d, lambda d: {"state_dict": d, "epoch": 3, "norms": {"mean": 0.5}}]
)
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before torch 1.6"])
def test_a_checkpoint_gives_the_tensors_that_were_saved(
    legacy: bool, wrap: Callable[[Any], Any], parallel: str, tmp_path: Path
) -> None:
    saved = {"a.weight": torch.arange(6.0).view(2, 3), "a.num_batches_tracked": torch.tensor(5)}
    whole = wrap({parallel + key: tensor for key, tensor in saved.items()})
    torch.save(whole, tmp_path / "ours.pth", _use_new_zipfile_serialization=not legacy)
    found = read_tensors(tmp_path / "ours.pth")
    assert found.keys() == saved.keys()
    assert all(torch.equal(found[key], tensor) for key, tensor in saved.items())


def test_a_checkpoint_gives_what_the_original_gives(tmp_path: Path) -> None:
    original = small_network("panoptic_bifpn_pr")
    torch.save({"state_dict": original.state_dict()}, tmp_path / "ours.pth")
    network, found = converted(tmp_path / "ours.pth", tmp_path)
    assert not found.fused
    for ours, theirs in zip(outputs(network), outputs(fold(original)), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("architecture", SMALL)
def test_every_size_is_told_by_the_shapes(architecture: str) -> None:
    network = small_network(architecture, 4)
    for tensors in (released_tensors(network, architecture), network.state_dict()):
        found = recognise(tensors)
        outline = build_outline(found.architecture, found.config)
        shapes = {key: tensor.shape for key, tensor in network.state_dict().items()}
        assert {key: tensor.shape for key, tensor in outline.state_dict().items()} == shapes


def test_views_and_shared_memory_come_back_as_they_were(tmp_path: Path) -> None:
    shared = torch.arange(24.0)
    tensors = {
        "a.weight": shared[3:15].view(3, 4).t(),
        "b.weight": shared[6:8],
        "c.running_mean": torch.tensor(5),
        "d.weight": torch.zeros(0, 3),
        "e.weight": torch.arange(4).half(),
    }
    found = read_tensors(save_scripted(tensors, tmp_path / "views.pth"))
    for key, tensor in tensors.items():
        assert torch.equal(found[key], tensor), key
        assert found[key].dtype == tensor.dtype


def test_the_code_of_an_archive_is_neither_needed_nor_read(scripted: Path, tmp_path: Path) -> None:
    def spoil(entries: dict[str, bytes]) -> None:
        for name in [name for name in entries if name.startswith("code/")]:
            entries[name] = b"\xff this is no code"

    spoilt = rewritten(scripted, tmp_path / "spoilt.pth", spoil)
    expected = read_tensors(scripted)
    assert all(torch.equal(tensor, expected[key]) for key, tensor in read_tensors(spoilt).items())


def _update(changes: dict[str, bytes], entries: dict[str, bytes]) -> None:
    entries.update(changes)


def _pickle(function: Callable[..., Any], *arguments: Any, protocol: int = 2) -> bytes:
    class Explosive:
        def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
            return function, arguments

    return pickle.dumps(Explosive(), protocol)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("form", ["scripted", "checkpoint", "legacy"])
def test_a_pickle_that_does_something_is_refused_and_nothing_is_done(
    form: str, protocol: int, tiny: dict[str, Path], tmp_path: Path
) -> None:
    marker, hostile = tmp_path / "was-run", tmp_path / "hostile.pth"
    attack = _pickle(Path.touch, marker, protocol=protocol)
    if form == "legacy":
        hostile.write_bytes(attack)
    else:
        rewritten(tiny[form], hostile, lambda entries: entries.update({"data.pkl": attack}))
    with pytest.raises((ModelFileUnsafe, ModelFileDamaged), match=r"hostile\.pth") as caught:
        read_tensors(hostile)
    assert not marker.exists()
    if protocol == 2 and form != "legacy":
        assert "would import" in str(caught.value)


def test_a_pickle_that_imports_os_is_named(tiny: dict[str, Path], tmp_path: Path) -> None:
    import os

    attack = _pickle(os.system, f"touch {tmp_path / 'was-run'}")
    hostile = rewritten(tiny["scripted"], tmp_path / "os.pth", lambda e: e.update({"data.pkl": attack}))
    with pytest.raises(ModelFileUnsafe, match=r"would import posix\.system"):
        read_tensors(hostile)
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("kind", ["scripted", "checkpoint"])
def test_a_zip_bomb_is_refused_before_it_is_unpacked(
    kind: str, compression: int, tiny: dict[str, Path], tmp_path: Path
) -> None:
    zeros = {"data/0": bytes(4 * 1024**2)}
    bomb = rewritten(tiny[kind], tmp_path / "bomb.pth", lambda e: e.update(zeros), compression)
    assert bomb.stat().st_size < 64 * 1024
    with pytest.raises(ModelFileUnsafe, match="bomb"):
        read_tensors(bomb)


def test_a_bomb_of_entries_that_lie_upon_each_other_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "overlap.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ours/constants.pkl", b"")
        archive.writestr("ours/data.pkl", b"")
        archive.writestr("ours/data/0", bytes(1000))
        first = archive.getinfo("ours/data/0")
        for number in range(1, 50):
            archive.filelist.append(_at(first, f"ours/data/{number}"))
        archive._didModify = True  # type: ignore[attr-defined]  # the only way to write such a directory
    with pytest.raises(ModelFileUnsafe, match="would unpack to 50000"):
        read_tensors(path)


def _at(entry: zipfile.ZipInfo, name: str) -> zipfile.ZipInfo:
    other = zipfile.ZipInfo(name)
    other.header_offset, other.file_size, other.compress_size = entry.header_offset, 1000, 1000
    other.CRC = entry.CRC
    return other


def test_a_description_that_fills_memory_is_refused(tiny: dict[str, Path], tmp_path: Path) -> None:
    greedy = b"\x80\x02}r\xff\xff\xff\x7f."  # puts a dictionary at place 2**31 - 1 of the memo
    file = rewritten(tiny["scripted"], tmp_path / "greedy.pth", lambda e: e.update({"data.pkl": greedy}))
    with pytest.raises(ModelFileUnsafe, match="fill memory"):
        read_tensors(file)


def test_modules_without_an_end_are_refused(tiny: dict[str, Path], tmp_path: Path) -> None:
    endless = b"\x80\x02c__torch__\nM\n)\x81q\x00}(X\x01\x00\x00\x00ah\x00X\x01\x00\x00\x00bh\x00ub."
    file = rewritten(tiny["scripted"], tmp_path / "endless.pth", lambda e: e.update({"data.pkl": endless}))
    with pytest.raises(ModelFileUnsafe, match="without an end"):
        read_tensors(file)


def _tensor_pickle(size: int, stride: int, offset: int, numel: int) -> bytes:
    """A module with one tensor of these measures in storage 0."""

    def number(value: int) -> bytes:
        return b"\x8a\x08" + value.to_bytes(8, "little", signed=True)

    storage = b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
    measures = number(offset) + b"(" + number(size) + b"t(" + number(stride) + b"t\x89}t"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n" + storage + number(numel) + b"tQ" + measures + b"R"
    return b"\x80\x02c__torch__\nM\n)\x81}X\x01\x00\x00\x00a" + tensor + b"sb."


@pytest.mark.parametrize(
    ("size", "stride", "offset", "numel"),
    [
        (5, 1, 0, 4),
        (4, 1, 1, 4),
        (2, 10**6, 0, 4),
        (10**12, 0, 0, 4),
        (4, 1, -1, 4),
        (-4, 1, 0, 4),
        (4, -1, 3, 4),
    ],
    ids=["too long", "beyond the end", "stride", "expanded", "before the start", "negative", "backwards"],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(
    size: int, stride: int, offset: int, numel: int, tmp_path: Path
) -> None:
    whole = _one_tensor(tmp_path / "whole.pth", _tensor_pickle(4, 1, 0, 4))
    assert read_tensors(whole)["a"].shape == (4,)
    with pytest.raises(ModelFileDamaged, match="makes no sense"):
        read_tensors(_one_tensor(tmp_path / "beyond.pth", _tensor_pickle(size, stride, offset, numel)))


def _one_tensor(path: Path, description: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ours/constants.pkl", b"")
        archive.writestr("ours/data.pkl", description)
        archive.writestr("ours/data/0", bytes(16))
    return path


def test_a_truncated_archive_is_damaged_at_whatever_byte(scripted: Path, tmp_path: Path) -> None:
    content, cut = scripted.read_bytes(), tmp_path / "cut.pth"
    for length in (0, 3, 100, len(content) // 2, len(content) - 1):
        cut.write_bytes(content[:length])
        with pytest.raises(ModelFileDamaged, match=r"cut\.pth"):
            read_tensors(cut)


def test_a_flipped_bit_in_a_tensor_is_found(scripted: Path, tmp_path: Path) -> None:
    content = bytearray(scripted.read_bytes())
    with zipfile.ZipFile(scripted) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
    content[largest.header_offset + largest.file_size // 2] ^= 1
    (tmp_path / "flipped.pth").write_bytes(content)
    with pytest.raises(ModelFileDamaged, match="CRC"):
        read_tensors(tmp_path / "flipped.pth")


def test_noise_in_an_archive_never_does_more_than_to_be_refused(scripted: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(scripted) as archive:
        description = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
    dice = random.Random(5)
    for _ in range(60):
        noisy = bytearray(description)
        for _ in range(dice.randint(1, 4)):
            noisy[dice.randrange(len(noisy))] = dice.randrange(256)
        noise = {"data.pkl": bytes(noisy)}
        file = rewritten(scripted, tmp_path / "noisy.pth", partial(_update, noise))
        try:
            recognise(read_tensors(file))
        except (ModelFileDamaged, ModelFileUnsafe, NoTensors, UnknownNetwork, QuantizedModel) as error:
            assert str(error)  # noqa: PT017 - either is right


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a....", b"\x80\x02}.", b"PK\x03\x04", b"PK\x05\x06" + bytes(18)]
)
def test_what_torch_did_not_write_is_damaged_or_empty(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    path.write_bytes(content)
    with pytest.raises((ModelFileDamaged, NoTensors), match=r"other\.pth"):
        read_tensors(path)


def test_an_archive_of_another_network_says_what_was_looked_for(tmp_path: Path) -> None:
    other = {"features.0.weight": torch.zeros(3, 3), "classifier.bias": torch.zeros(3)}
    with pytest.raises(UnknownNetwork, match=r"semantic_pr.*2 tensors, such as features\.0\.weight"):
        convert(save_scripted(other, tmp_path / "other.pth"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_network_that_nearly_fits_has_all_its_faults_listed(tmp_path: Path) -> None:
    tensors = released_tensors(small_network("panoptic_deeplab_pr"), "panoptic_deeplab_pr")
    tensors["ins_xy.head.1.weight"] = torch.zeros(5, 32, 1, 1)
    tensors["extra.weight"] = torch.zeros(1)
    del tensors["ins_center.head.1.bias"]
    with pytest.raises(WeightsMismatch) as caught:
        convert(save_scripted(tensors, tmp_path / "odd.pth"), tmp_path / "out")
    assert caught.value.missing == ("ins_center.head.1.bias",)
    assert caught.value.left_over == ("extra.weight",)
    assert caught.value.other_shape == ("ins_xy.head.1.weight (5, 32, 1, 1) for (2, 32, 1, 1)",)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    tensors = small_network("panoptic_deeplab_pr").state_dict()
    tensors["ins_xy.head.1.bias"][0] = float("nan")
    torch.save(tensors, tmp_path / "nan.pth")
    with pytest.raises(NoTensors, match=r"NaN or infinity in ins_xy\.head\.1\.bias"):
        read_tensors(tmp_path / "nan.pth")


class _Quantized(nn.Module):
    """A convolution that runs in 8 bits."""

    def __init__(self) -> None:
        super().__init__()
        self.quant = torch.ao.quantization.QuantStub()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.conv(self.quant(x))
        return y


def _quantized_network() -> nn.Module:
    network = _Quantized().eval()
    network.qconfig = torch.ao.quantization.get_default_qconfig("fbgemm")  # type: ignore[no-untyped-call]
    torch.ao.quantization.prepare(network, inplace=True)  # type: ignore[no-untyped-call]
    network(torch.randn(1, 1, 8, 8))
    torch.ao.quantization.convert(network, inplace=True)  # type: ignore[no-untyped-call]
    return network


@pytest.mark.parametrize("form", ["scripted", "checkpoint"])
def test_a_quantized_model_is_refused_with_the_reason_and_the_remedy(form: str, tmp_path: Path) -> None:
    path = tmp_path / "MitoNet_v1_quantized.pth"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that its own quantization will move
        network = _quantized_network()
        if form == "scripted":
            torch.jit.save(torch.jit.script(network), path)
        else:
            torch.save(network.state_dict(), path)
        with pytest.raises(QuantizedModel, match=r"8 bits.*without _quantized in its name"):
            read_tensors(path)


def test_weights_are_written_once_however_often_they_are_shared(tmp_path: Path) -> None:
    network = small_network("panoptic_bifpn_pr")
    torch.save(network.state_dict(), tmp_path / "a.pth")
    convert(tmp_path / "a.pth", tmp_path / "out")
    stored = load_file(tmp_path / "out")
    assert sum(tensor.numel() for tensor in stored.values()) == sum(
        parameter.numel() for parameter in fold(network).parameters()
    )
    assert io.BytesIO((tmp_path / "out").read_bytes()).getbuffer().nbytes < 2_000_000
