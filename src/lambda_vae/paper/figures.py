"""Every figure of the paper, a line each; a record in, an image and a page out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lambda_vae.checked import check_known
from lambda_vae.errors import InputError
from lambda_vae.files import json_text, read_json, write_atomic, write_json
from lambda_vae.paper import figure1, figure2, figure3, figure4, figure5, figure6, figure7, figure8, figure9
from lambda_vae.paper.claims import claims_page
from lambda_vae.paper.figure import PaperFigure
from lambda_vae.paper.recipe import Recipe, recipes_in
from lambda_vae.paper.tables import TABLES, Table
from lambda_vae.reports.style import save_figure

__all__ = ["FIGURES", "PUBLISHED", "find_figure", "load_recipes", "write_figure"]

#: Every figure, by its name on the command line.
FIGURES: dict[str, PaperFigure] = {
    "figure1": figure1.FIGURE,
    "figure2": figure2.FIGURE,
    "figure3": figure3.FIGURE,
    "figure4": figure4.FIGURE,
    "figure5": figure5.FIGURE,
    "figure6": figure6.FIGURE,
    "figure7": figure7.FIGURE,
    "figure8": figure8.FIGURE,
    "figure9": figure9.FIGURE,
}

#: Everything that `reproduce` makes anew, with what its runs share.
PUBLISHED: dict[str, Table] = {**TABLES, **{name: figure.runs for name, figure in FIGURES.items()}}


def load_recipes(name: str) -> tuple[Recipe, ...]:
    """Return the rows of a table or the runs of a figure, in its order.

    Args:
        name: A name in `PUBLISHED`.

    Raises:
        InputError: Unknown name, or a recipe that cannot be read.
    """
    check_known("table or figure", name, PUBLISHED, "there are")
    return recipes_in(PUBLISHED[name].recipes or name)


def write_figure(record: Mapping[str, Any], page: Path) -> Path:
    """Draw a figure and write its page, with .svg, .pdf and the record itself as .json next to it; returns the page.

    Args:
        record: "figure" (a name in `FIGURES`), "numbers", "provenance" and "notes".
        page: Where to, .md.

    Raises:
        InputError: `page` does not end in .md, or the record is damaged.
    """
    if page.suffix != ".md":
        raise InputError(f"{page} ends in {page.suffix!r}; a figure's page is written as .md")
    plain = json.loads(json_text(record))  # drawn from what a reader of the file will have
    figure, numbers = FIGURES[record["figure"]], plain["numbers"]
    try:
        drawn, claims = figure.draw(numbers), figure.claims(numbers)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(
            f"the record of {record['figure']} is damaged ({type(error).__name__}: {error}); make the figure again"
        ) from error
    for ending in (".svg", ".pdf"):
        save_figure(drawn, page.with_suffix(ending))
    write_json(page.with_suffix(".json"), plain, indent=None)
    image = page.with_suffix(".svg").name
    write_atomic(page, claims_page(figure.title, image, figure.caption, claims, plain["provenance"], plain["notes"]))
    return page


def find_figure(folder: Path) -> Mapping[str, Any] | None:
    """Return the record of the figure in a folder, None where there is none.

    Args:
        folder: That `reproduce` wrote to.

    Raises:
        InputError: The record cannot be read.
    """
    path = next((path for name in FIGURES if (path := folder / f"{name}.json").exists()), None)
    if path is None:
        return None
    record = read_json(path)
    if not isinstance(record, dict) or not {"figure", "numbers", "provenance", "notes"} <= record.keys():
        raise InputError(f"{path} is no record of a figure; restore it, or make the figure again")
    if record["figure"] not in FIGURES:
        raise InputError(f"{path} names the figure {record['figure']!r}; there are {', '.join(FIGURES)}")
    return record
