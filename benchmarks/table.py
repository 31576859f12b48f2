"""What a measurement has to show: a table of text, beside the numbers themselves."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A title, the heads of its columns, and its rows."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def seconds(value: float) -> str:
    return f"{value:.3g} s" if value < 100 else f"{value:.0f} s"


def times(ratio: float) -> str:
    return f"x {ratio:.3g}" if ratio < 100 else f"x {ratio:.0f}"
