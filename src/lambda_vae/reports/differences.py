"""Where our figures and published ones part, and why: sentences computed from the records alone."""

from collections.abc import Sequence

from lambda_vae.equalization.theory import predicted_capacity
from lambda_vae.records.run_row import RunRow
from lambda_vae.reports.causes import because, cause_counts
from lambda_vae.reports.conclusions import witness
from lambda_vae.reports.tables import Line, comparison_table

__all__ = ["UNSTATED", "differences"]

#: Nats, nats and units below which a difference needs no explanation.
_LARGE = {"surrogate_nll": 1.0, "snr_capacity": 2.0, "active_units": 2.0}
_AS_PREDICTED = 0.15

#: What the paper leaves open; every difference may come from there too.
UNSTATED = (
    "The paper gives network, latent dimensions, optimiser, learning rate and epochs of its binary runs, which ours "
    "share; it does not give their batch size, activation function, initialisation or number of seeds."
)


def differences(rows: Sequence[RunRow], data: str) -> tuple[str, ...]:
    """Return a sentence or more on each method that has published figures to compare with, in the order of the table.

    Returns:
        For a line of the paper: what its "NLL" may be compared with, and the reason where active units or capacity are
        far apart; for a figure published elsewhere, how far ours is from it.
    """
    lines = [line for line in comparison_table(rows, data).lines if line.runs]
    found = []
    for line in lines:
        shows = witness(line, [other for other in lines if other is not line])
        sentences = [*_likelihood(line), *_units(line, shows), *_capacity(line), *_elsewhere(line, data)]
        if sentences:
            found.append(f"{line.row.title or line.label}: {' '.join(sentences)}")
    return tuple(found)


def _gap(line: Line, key: str) -> tuple[float, float, bool] | None:
    """Ours, theirs, and whether they are far apart; None where either is missing."""
    ours, theirs = line.cell(key), line.published(key)
    if ours.mean is None or theirs is None:
        return None
    return ours.mean, theirs, abs(ours.mean - theirs) > max(_LARGE[key], 2 * (ours.spread or 0.0))


def _likelihood(line: Line) -> list[str]:
    gap = _gap(line, "surrogate_nll")
    if gap is None:
        return []
    ours, theirs, large = gap
    bound, excess = line.nll_bound.mean, line.excess_kl.mean or 0.0
    apart = f"{abs(ours - theirs):.1f} nats {_side(ours, theirs)}" if large else "much the same"
    if excess < 0.05 or bound is None:
        return [f'the paper\'s "NLL" {theirs:.2f} is to be compared with our bound {ours:.2f}, {apart}.']
    return [
        f'the paper\'s "NLL" {theirs:.2f} is its surrogate and may be compared with our surrogate only, {ours:.2f} '
        f"({apart}); the valid bound of the same runs is {bound:.2f}, higher by the {excess:.1f} nats of KL that the "
        "surrogate leaves out."
    ]


def _units(line: Line, shows: Line | None) -> list[str]:
    gap = _gap(line, "active_units")
    if gap is None or not gap[2]:
        return []
    ours, theirs, _ = gap
    text = f"Active units: {ours:.1f} here, {theirs:.0f} in the paper".replace(".0 here", " here")
    more = f", but {shows.label} shows that the data hold more for them" if shows is not None else ""
    why = more or because(cause_counts(line.done))
    return [f"{text}; here the others collapsed{why}." if ours < theirs and why else f"{text}."]


def _capacity(line: Line) -> list[str]:
    gap = _gap(line, "snr_capacity")
    if gap is None or not gap[2]:
        return []
    ours, theirs, _ = gap
    delta, dim = line.row.delta, line.row.latent_dim
    if delta and dim and abs(predicted_capacity(dim, delta) - theirs) < _AS_PREDICTED:
        return [
            f"Capacity: the paper's {theirs:.1f} nats is what δ alone predicts (Eq. 7 with unit signal and noise σ_c "
            f"in all {dim} dimensions); ours, {ours:.1f}, is measured."
        ]
    units = (line.active_units.mean, line.published("active_units"))
    each = [value / count for value, count in zip((ours, theirs), units, strict=True) if count]
    per_unit = f", {each[0]:.2f} and {each[1]:.2f} for each active unit" if len(each) == 2 else ""
    return [f"Capacity: {ours:.1f} nats here, {theirs:.1f} in the paper{per_unit}."]


def _elsewhere(line: Line, data: str) -> list[str]:
    sentences = []
    for figure in line.row.elsewhere or ():
        quantity, value = figure["quantity"], float(figure["value"])
        ours = line.cell(quantity).mean
        if figure["data"] == data and ours is not None:
            apart = f"{abs(ours - value):.1f} nats {_side(ours, value)}"
            sentences.append(f"{quantity} {ours:.2f} here, {apart} than the {value:.2f} of {figure['source']}.")
    return sentences


def _side(ours: float, theirs: float) -> str:
    return "higher" if ours > theirs else "lower"
