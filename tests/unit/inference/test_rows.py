"""Sheets give back what was written, whatever the bands."""

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from workers.images.sheet import Sheet
from workers.inference.rows import Workspace, bands


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.float32])
def test_a_sheet_gives_back_what_was_written_and_zeros_elsewhere(workspace: Workspace, dtype: type) -> None:
    values: NDArray[Any] = np.random.default_rng(1).integers(0, 200, (23, 2, 7)).astype(dtype)
    sheet = workspace.sheet("s", (30, 2, 7), dtype)
    for y0, y1 in bands(23, 5):
        sheet.write(y0, values[y0:y1])
    np.testing.assert_array_equal(sheet.read(0, 23), values)
    np.testing.assert_array_equal(sheet.read(9, 12), values[9:12])
    assert not sheet.read(23, 30).any()
    assert sheet.read(28, 99).shape == (2, 2, 7)


def test_a_part_of_a_sheet_is_some_columns_of_some_rows(workspace: Workspace) -> None:
    values = np.arange(600, dtype=np.uint16).reshape(20, 30)
    sheet = workspace.sheet("s", values.shape, values.dtype)
    sheet.write(0, values)
    np.testing.assert_array_equal(sheet.read_part(3, 17, 5, 29), values[3:17, 5:29])


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int16, np.float32])
def test_an_array_file_is_read_by_bands(workspace: Workspace, tmp_path: Path, dtype: type) -> None:
    values: NDArray[Any] = np.random.default_rng(1).integers(0, 2, (23, 7)).astype(dtype)
    np.save(tmp_path / "a.npy", values)
    sheet = workspace.open_npy(tmp_path / "a.npy")
    assert sheet.shape == values.shape
    assert sheet.dtype == values.dtype
    np.testing.assert_array_equal(sheet.read(3, 17), values[3:17])


def test_a_column_major_file_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.asfortranarray(np.zeros((3, 4))))
    with pytest.raises(ValueError, match="C-ordered"):
        workspace.open_npy(tmp_path / "a.npy")


def test_a_full_disk_is_an_error_with_its_number() -> None:
    sheet = Sheet(Path("/dev/full"), (4, 4), np.uint8)
    with pytest.raises(OSError, match="space") as caught:
        sheet.write(0, np.zeros((4, 4), np.uint8))
    assert caught.value.errno == errno.ENOSPC
    sheet.close()
