"""What the paper claims of a figure next to what we see: a short page, its numbers from the record alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lambda_vae.reports.provenance import provenance_lines

__all__ = ["AGREES", "DIFFERS", "IN_PART", "NOT_SHOWN", "Claim", "claims_page", "verdict"]

AGREES, IN_PART, DIFFERS, NOT_SHOWN = "agrees", "agrees in part", "differs", "not shown here"


@dataclass(frozen=True)
class Claim:
    """One statement of the paper.

    Args:
        paper: What it says.
        seen: What we see, with the numbers that decide.
        verdict: `AGREES`, `IN_PART`, `DIFFERS` or `NOT_SHOWN`.
    """

    paper: str
    seen: str
    verdict: str


def verdict(holds: bool, otherwise: str = DIFFERS) -> str:
    """Return the verdict on a claim that a number decides."""
    return AGREES if holds else otherwise


def claims_page(
    title: str, picture: str, caption: str, claims: Sequence[Claim], provenance: Mapping[str, Any], notes: Sequence[str]
) -> str:
    """Return the page of a figure, with the notes, which must be read before anything is believed, above the claims."""
    rows = "".join(f"\n| {_cell(c.paper)} | {_cell(c.seen)} | **{c.verdict}** |" for c in claims)
    table = f"| the paper | what we see | |\n| --- | --- | --- |{rows}"
    kept = ("command", "commit", "data", "seeds", "machine")
    facts = [f"{label}: {text}" for label, text in provenance_lines(provenance) if label in kept]
    made = ["Made by " + "; ".join(facts) + "."] if facts else []
    said = [f"> {note}" for note in notes]
    return "\n\n".join([f"# {title}", f"![{title}]({picture})", caption, *said, table, *made]) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
