"""Why dimensions collapse: what each cause means, its colour, and how a sentence counts them."""

from collections.abc import Iterable, Mapping, Sequence

from lambda_vae.records.run_row import RunRow

__all__ = ["CAUSES", "CAUSE_COLORS", "because", "cause_counts", "causes_of", "listed_causes"]

CAUSES = {
    "gradient imbalance": "the KL term pushes them to the prior harder than the reconstruction holds them back",
    "information gap": "their sampling noise drowns the signal before the decoder sees it",
    "decoder noise": "the likelihood assumes more noise than they could explain of the data",
    "no signal": "the dimensions in use leave nothing in the data for them to encode",
    "undetermined": "what was measured does not tell",
}
"""Why a dimension collapsed, by the name that the diagnosis gives it; what follows "because"."""

CAUSE_COLORS = {
    "gradient imbalance": "#e08a00",
    "information gap": "#c8452f",
    "decoder noise": "#1f9e89",
    "no signal": "#8a97a8",
    "undetermined": "#bdb7ab",
}
"""Of the causes, in every picture of the page; the first is that of a collapse without a cause."""


def cause_counts(rows: Sequence[RunRow]) -> dict[str, float]:
    """Return how many dimensions collapsed for each cause, the mean over the runs that say; the most frequent first."""
    known = [row.cause_counts for row in rows if row.cause_counts is not None]
    names = dict.fromkeys([*CAUSES, *(name for counts in known for name in counts)])
    means = {name: sum(counts.get(name) or 0 for counts in known) / len(known) for name in names} if known else {}
    return dict(sorted(((name, mean) for name, mean in means.items() if mean), key=lambda item: -item[1]))


def because(counts: Mapping[str, float]) -> str:
    """Return the end of a sentence on collapsed dimensions: the reason of most, and the count of every cause.

    Example:
        >>> because({"gradient imbalance": 9, "no signal": 2})
        ', mostly because the KL term pushes them to the prior harder than the reconstruction holds them back \
(9 gradient imbalance, 2 no signal)'
        >>> because({"gradient imbalance": 1, "no signal": 1})
        ' (1 gradient imbalance, 1 no signal)'
    """
    if not counts:
        return ""
    cause = next(iter(counts))
    if cause not in CAUSES or 2 * counts[cause] <= sum(counts.values()):
        return f" ({listed_causes(counts)})"
    named = cause if len(counts) == 1 else listed_causes(counts)
    if cause == "undetermined":
        return f", for causes that the measurements do not tell ({named})"
    return f", {'all' if len(counts) == 1 else 'mostly'} because {CAUSES[cause]} ({named})"


def listed_causes(counts: Mapping[str, float]) -> str:
    """Return "9 gradient imbalance, 2 no signal"."""
    return ", ".join(f"{f'{number:.1f}'.removesuffix('.0')} {name}" for name, number in counts.items())


def causes_of(found: Iterable[str | None]) -> list[dict[str, str]]:
    """Return name, colour and meaning of each cause that occurs, in one order whatever the page.

    Args:
        found: Of dimensions; None is no collapse. A name that is not known here has the colour of any collapse.
    """
    seen = {cause for cause in found if cause}
    names = [*(name for name in CAUSES if name in seen), *sorted(seen - CAUSES.keys())]
    anyone = CAUSE_COLORS["gradient imbalance"]
    return [{"name": name, "color": CAUSE_COLORS.get(name, anyone), "meaning": CAUSES.get(name, "")} for name in names]
