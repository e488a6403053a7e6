"""Where our figures and published ones part, and why: sentences computed from the records alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from lambda_vae.equalization.theory import predicted_capacity
from lambda_vae.records.read import Row
from lambda_vae.reports.causes import because, cause_counts
from lambda_vae.reports.tables import Cell, Line, comparison_table
from lambda_vae.reports.witness import witness

__all__ = ["UNSTATED", "differences"]

#: Nats, nats and units below which a difference needs no explanation.
_LARGE = {"surrogate_nll": 1.0, "snr_capacity": 2.0, "active_units": 2.0}
_AS_PREDICTED = 0.15

#: What the paper leaves open; every difference may come from there too.
UNSTATED = (
    "The paper gives network, latent dimensions, optimiser, learning rate and epochs of its binary runs, which ours "
    "share; it does not give their batch size, activation function, initialisation or number of seeds."
)


def differences(rows: Sequence[Row], data: str) -> tuple[str, ...]:
    """Return a sentence or more on each method that has published figures beside it, in the order of the table.

    Args:
        rows: One a run, as in table.json.
        data: Name of the data set.

    Returns:
        For a line of the paper: what its "NLL" is beside which quantity of ours, and the reason where active units or
        capacity are far apart; for a figure published elsewhere, how far ours is from it.
    """
    found, lines = [], comparison_table(rows, data).lines
    runs = {
        line.label: [row for row in rows if row["label"] == line.label and row["status"] == "done"] for line in lines
    }
    for line in lines:
        group = runs[line.label]
        others = [other for other in lines if other is not line and runs[other.label]]
        shows = witness(line, others, lambda other: runs[other.label])
        sentences = [*_likelihood(line), *_units(line, group, shows), *_capacity(line), *_elsewhere(line, data)]
        if group and sentences:
            found.append(f"{line.row.get('title') or line.label}: {' '.join(sentences)}")
    return tuple(found)


def _gap(line: Line, key: str) -> tuple[float, float, bool] | None:
    """Ours, theirs, and whether they are far apart; None where either is missing."""
    ours, theirs = line.cell(key), line.cell(f"paper:{key}")
    if ours.mean is None or theirs.mean is None:
        return None
    return ours.mean, theirs.mean, abs(ours.mean - theirs.mean) > max(_LARGE[key], 2 * (ours.spread or 0.0))


def _likelihood(line: Line) -> list[str]:
    gap = _gap(line, "surrogate_nll")
    if gap is None:
        return []
    ours, theirs, large = gap
    bound, excess = line.cell("nll_bound").mean, line.cell("excess_kl").mean or 0.0
    apart = f"{abs(ours - theirs):.1f} nats {_side(ours, theirs)}" if large else "much the same"
    if excess < 0.05 or bound is None:
        return [f'the paper\'s "NLL" {theirs:.2f} stands beside our bound {ours:.2f}, {apart}.']
    return [
        f'the paper\'s "NLL" {theirs:.2f} is its surrogate, and only our surrogate, {ours:.2f}, may stand beside it '
        f"({apart}); the valid bound of the same runs is {bound:.2f}, higher by the {excess:.1f} nats of KL that the "
        "surrogate leaves out."
    ]


def _units(line: Line, group: Sequence[Row], shows: Line | None) -> list[str]:
    gap = _gap(line, "active_units")
    if gap is None or not gap[2]:
        return []
    ours, theirs, _ = gap
    text = f"Active units: {ours:.1f} here, {theirs:.0f} in the paper".replace(".0 here", " here")
    why = (
        because(cause_counts(group)) if shows is None else f", but {shows.label} shows that the data hold more for them"
    )
    if ours < theirs and why:
        text += f"; here the others collapsed{why}"
    return [f"{text}."]


def _capacity(line: Line) -> list[str]:
    gap = _gap(line, "snr_capacity")
    if gap is None or not gap[2]:
        return []
    ours, theirs, _ = gap
    delta, dim = line.row.get("delta"), line.row.get("latent_dim")
    if delta and dim and abs(predicted_capacity(int(dim), float(delta)) - theirs) < _AS_PREDICTED:
        return [
            f"Capacity: the paper's {theirs:.1f} nats is what δ alone predicts (Eq. 7 with unit signal and noise σ_c "
            f"in all {dim} dimensions); ours, {ours:.1f}, is measured."
        ]
    units = [line.cell(key).mean for key in ("active_units", "paper:active_units")]
    each = [value / count for value, count in zip((ours, theirs), units, strict=True) if count]
    per_unit = f", {each[0]:.2f} and {each[1]:.2f} for each active unit" if len(each) == 2 else ""
    return [f"Capacity: {ours:.1f} nats here, {theirs:.1f} in the paper{per_unit}."]


def _elsewhere(line: Line, data: str) -> list[str]:
    figures: Sequence[Mapping[str, Any]] = line.row.get("elsewhere") or ()
    sentences = []
    for figure in figures:
        cell: Cell = line.cell(figure["quantity"])
        if figure["data"] == data and cell.mean is not None:
            value = float(figure["value"])
            sentences.append(
                f"{figure['quantity']} {cell.mean:.2f} here, {abs(cell.mean - value):.1f} nats "
                f"{_side(cell.mean, value)} than the {value:.2f} of {figure['source']}."
            )
    return sentences


def _side(ours: float, theirs: float) -> str:
    return "higher" if ours > theirs else "lower"
