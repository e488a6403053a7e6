"""The paper's figures as drawings: a record in, a picture and a page out; what is in a folder can be drawn anew."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from lambda_vae.errors import InputError
from lambda_vae.files import json_text, read_json, write_atomic, write_json
from lambda_vae.paper import figure1, figure2, figure3, figure4, figure5, figure6, figure7, figure8, figure9
from lambda_vae.paper.claims import Claim, claims_page
from lambda_vae.reports.style import save_figure

__all__ = ["DRAWINGS", "Drawing", "find_drawing", "write_drawing"]

Numbers = Mapping[str, Any]


@dataclass(frozen=True)
class Drawing:
    """How a figure of the paper is drawn and judged; both are pure functions of its numbers.

    Args:
        title: In a few words.
        caption: What is drawn, and how.
        draw: The picture.
        claims: What the paper says of it, beside what we see.
    """

    title: str
    caption: str
    draw: Callable[[Numbers], Figure]
    claims: Callable[[Numbers], Sequence[Claim]]


#: Every figure, by its name on the command line.
DRAWINGS: dict[str, Drawing] = {
    "figure1": Drawing(
        "Figure 1: the causes of posterior collapse", figure1.CAPTION, figure1.causes_figure, figure1.causes_claims
    ),
    "figure2": Drawing(
        "Figure 2: variance equalization in theory",
        figure2.CAPTION,
        figure2.equalization_theory_figure,
        figure2.equalization_claims,
    ),
    "figure3": Drawing(
        "Figure 3: both causes on mixtures of Gaussians",
        figure3.CAPTION,
        figure3.mixtures_figure,
        figure3.mixtures_claims,
    ),
    "figure4": Drawing(
        "Figure 4: variance equalization in training",
        figure4.CAPTION,
        figure4.histogram_figure,
        figure4.histogram_claims,
    ),
    "figure5": Drawing(
        "Figure 5: reconstruction and generation",
        figure5.CAPTION,
        figure5.generation_figure,
        figure5.generation_claims,
    ),
    "figure6": Drawing(
        "Figure 6: capacity over training", figure6.CAPTION, figure6.capacity_figure, figure6.capacity_claims
    ),
    "figure7": Drawing(
        "Figure 7: λ beside the optimum", figure7.CAPTION, figure7.alignment_figure, figure7.alignment_claims
    ),
    "figure8": Drawing(
        "Figure 8: reconstructions",
        figure8.CAPTION,
        figure8.reconstruction_figure,
        figure8.reconstruction_claims,
    ),
    "figure9": Drawing(
        "Figure 9: reconstructions with a PixelCNN decoder",
        figure9.CAPTION,
        figure9.pixelcnn_figure,
        figure9.pixelcnn_claims,
    ),
}


def write_drawing(record: Mapping[str, Any], page: Path) -> Path:
    """Draw a figure and write its page; beside it .svg, .pdf, and .json with the record itself. Returns the page.

    Args:
        record: "figure" (a name in `DRAWINGS`), "numbers", "provenance" and "notes".
        page: Where to, .md.

    Raises:
        InputError: `page` does not end in .md, or the record is damaged.
    """
    if page.suffix != ".md":
        raise InputError(f"{page} ends in {page.suffix!r}; a figure's page is written as .md")
    plain = json.loads(json_text(record))  # drawn from what a reader of the file will have
    drawing, numbers = DRAWINGS[record["figure"]], plain["numbers"]
    try:
        figure, claims = drawing.draw(numbers), drawing.claims(numbers)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(
            f"the record of {record['figure']} is damaged ({type(error).__name__}: {error}); make the figure again"
        ) from error
    for ending in (".svg", ".pdf"):
        save_figure(figure, page.with_suffix(ending))
    write_json(page.with_suffix(".json"), plain, indent=None)
    picture = page.with_suffix(".svg").name
    write_atomic(
        page, claims_page(drawing.title, picture, drawing.caption, claims, plain["provenance"], plain["notes"])
    )
    return page


def find_drawing(folder: Path) -> Mapping[str, Any] | None:
    """Return the record of the figure in a folder, None where there is none.

    Args:
        folder: That `reproduce` wrote to.

    Raises:
        InputError: The record cannot be read.
    """
    path = next((path for name in DRAWINGS if (path := folder / f"{name}.json").exists()), None)
    if path is None:
        return None
    record = read_json(path)
    if not isinstance(record, dict) or not {"figure", "numbers", "provenance", "notes"} <= record.keys():
        raise InputError(f"{path} is no record of a figure; restore it, or make the figure again")
    if record["figure"] not in DRAWINGS:
        raise InputError(f"{path} names the figure {record['figure']!r}; there are {', '.join(DRAWINGS)}")
    return record
