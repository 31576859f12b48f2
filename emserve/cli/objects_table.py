"""Measured objects as a table that fits a terminal: the main columns of the first rows."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from emserve.client.segmentation import Row

ROWS_SHOWN = 15
_MAIN = (
    "label",
    "class_name",
    "area",
    "centroid_y",
    "centroid_x",
    "feret_max",
    "circularity",
    "confidence",
)
_UNITS = {"nm", "nm2"}
_COLUMNS_SHOWN = 8


def objects_table(rows: Sequence[Row]) -> Table:
    """The main columns of `rows`, of which there is at least one."""
    columns = main_columns(rows[0])
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        table.add_column(Text(name), justify="right")
    for row in rows[:ROWS_SHOWN]:
        table.add_row(*(Text(_shown(row.get(name))) for name in columns))
    if len(rows) > ROWS_SHOWN:
        table.caption = f"and {len(rows) - ROWS_SHOWN} more"
        table.caption_justify = "left"
    return table


def main_columns(row: Row) -> list[str]:
    """The columns that say most, in nanometres where they are known; the first ones when none is familiar."""
    chosen: list[str] = []
    for word in _MAIN:
        fitting = [name for name in row if word in name and name not in chosen]
        in_nm = [name for name in fitting if _UNITS & set(name.split("_")) and row[name] is not None]
        chosen += (in_nm or fitting)[:1]
    return (chosen or list(row))[:_COLUMNS_SHOWN]


def _shown(value: float | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)
