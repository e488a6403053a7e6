"""What a figure of the paper is: the runs it is of, its numbers, its drawing, and what the paper claims of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.figure import Figure

from lambda_vae.paper.claims import Claim
from lambda_vae.paper.tables import TABLES, Table
from lambda_vae.records.read import ComparisonRecord
from lambda_vae.reports.style import look

__all__ = ["Comparisons", "Numbers", "PaperFigure"]

Comparisons = Mapping[str, ComparisonRecord]
"""Finished runs, by data."""

Numbers = Mapping[str, Any]
"""What is drawn, as plain data."""


@dataclass(frozen=True)
class PaperFigure:
    """A figure of the paper; its drawing and its claims are pure functions of its numbers.

    Args:
        title: "Figure N: " and a few words.
        caption: What is drawn, and how.
        numbers: From its finished runs to the numbers that are drawn.
        drawing: From those to the picture; called in the look of all figures.
        claims: From those to what the paper says of it, next to what we see.
        data: What it is made on, a comparison each; none for theory alone.
        other_data: Whether it may be asked for on other data.
        images: Whether that must be images.
        table: The table whose runs it is of, with a panel for each data set; runs of its own in recipes/NAME if empty.
        also: Further data that it is made on where they are there.
    """

    title: str
    caption: str
    numbers: Callable[[Comparisons], dict[str, Any]]
    drawing: Callable[[Numbers], Figure]
    claims: Callable[[Numbers], Sequence[Claim]]
    data: tuple[str, ...] = ()
    other_data: bool = False
    images: bool = False
    table: str = ""
    also: tuple[str, ...] = ()

    def draw(self, numbers: Numbers) -> Figure:
        """Return the picture.

        Args:
            numbers: As its record holds them.
        """
        with look():
            return self.drawing(numbers)

    @property
    def runs(self) -> Table:
        """What its runs share; of a table's the first seed alone, so that nothing is trained twice."""
        title = self.title.partition(":")[0]
        if not self.table:
            return Table(title)
        own = TABLES[self.table]
        scales = {name: replace(scale, seeds=1) for name, scale in own.scales.items()}
        return replace(own, title=title, scales=scales, recipes=self.table)
