"""One look for every figure: drawn without pyplot or global settings, the same bytes for the same numbers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from lambda_vae.errors import InputError
from lambda_vae.files import replacing

__all__ = [
    "COLORS",
    "DASHES",
    "INK",
    "MARKERS",
    "check_ending",
    "close_rows",
    "look",
    "name_line",
    "name_panel",
    "new_figure",
    "save_figure",
]

COLORS = ("#0072b2", "#d55e00", "#009e73", "#b0569b", "#c48a00", "#4aa3df", "#7a5cb0", "#808080")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)), (0, (8, 2, 1, 2)))
MARKERS = ("o", "s", "D", "^", "P", "v", "*", "h")
INK = "#333333"
"""Of words within a figure, and of lines that are no series."""

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans", "font.size": 9.0, "axes.titlesize": 9.5, "axes.labelsize": 9.0,
    "legend.fontsize": 8.0, "legend.frameon": False, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": "#dddddd", "grid.linewidth": 0.6, "axes.axisbelow": True,
    "axes.edgecolor": "#555555", "lines.linewidth": 1.6, "svg.hashsalt": "lambda-vae", "svg.fonttype": "path",
    "pdf.fonttype": 42, "figure.dpi": 100, "savefig.dpi": 160, "image.cmap": "Greys", "axes.unicode_minus": False,
}  # fmt: skip

_DATELESS = {".svg": {"Date": None, "Creator": None}, ".pdf": {"CreationDate": None}, ".png": {"Software": None}}


@contextmanager
def look() -> Iterator[None]:
    """Draw in the house style within the block; matplotlib's own settings are untouched outside it."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure; call it inside `look`.

    Args:
        width: Inches.
        height: Inches.
    """
    return Figure(figsize=(width, height), layout="constrained")


def close_rows(figure: Figure) -> None:
    """Let the rows of a figure stand close together, as strips of pictures should."""
    layout = figure.get_layout_engine()
    assert isinstance(layout, ConstrainedLayoutEngine)
    layout.set(h_pad=0.02, hspace=0)


def name_panel(axis: Axes, letter: str, title: str = "") -> None:
    """Write a panel's letter, in bold, and its title above its left edge.

    Args:
        axis: The panel.
        letter: Such as "a"; none if empty.
        title: What it shows; text, never mathematics.
    """
    mark = rf"$\bf{{({letter})}}$ " if letter else ""
    axis.set_title(mark + title.replace("$", r"\$"), loc="left")


def name_line(
    axis: Axes, place: tuple[float, float], text: str, color: str, shift: tuple[float, float] = (4, 0)
) -> None:
    """Write a line's name next to it, where a legend would make the eye travel.

    Args:
        axis: The panel.
        place: A point of the line, in data units.
        text: The name.
        color: The line's.
        shift: From the point to the text's edge, in printer's points; to the left where the first is negative.
    """
    side = "right" if shift[0] < 0 else "left"
    axis.annotate(
        text.replace("$", r"\$"), place, shift, textcoords="offset points", color=color, fontsize=8, ha=side,
        va="center", annotation_clip=False,
    )  # fmt: skip


def check_ending(path: Path) -> None:
    """Refuse a file that no figure can be written to.

    Raises:
        InputError: An ending other than .svg, .pdf or .png.
    """
    if path.suffix not in _DATELESS:
        raise InputError(f"cannot write a figure as {path.suffix or path.name!r}; use .svg, .pdf or .png")


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as svg, pdf or png, by the ending of `path`, without dates, and return `path`.

    Args:
        figure: From one of the functions in `figures`.
        path: Where to; written next to it and renamed.

    Raises:
        InputError: Another ending.
    """
    check_ending(path)
    with look(), replacing(path) as temporary:
        _settle(figure)
        figure.savefig(temporary, format=path.suffix[1:], metadata=_DATELESS[path.suffix])
    return path


def _settle(figure: Figure) -> None:
    """Fix the layout. Its solver's last digits change from call to call, and the names of clip paths depend on them."""
    if figure.get_layout_engine() is None:
        return
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axis in figure.axes:
        left, bottom, width, height = (round(float(value), 6) for value in axis.get_position().bounds)
        axis.set_position((left, bottom, width, height))
