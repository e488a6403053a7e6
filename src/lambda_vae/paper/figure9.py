"""Figure 9, what a PixelCNN decoder makes of a code, pixel by pixel: does it look at z at all?"""

import math
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lambda_vae.equalization import NEAR_PRIOR_STD
from lambda_vae.paper.claims import DIFFERS, IN_PART, NOT_SHOWN, Claim, verdict
from lambda_vae.paper.decoded import Codes, decoded_panels
from lambda_vae.paper.figure import Numbers, PaperFigure
from lambda_vae.paper.pairs import NO_BITS, Pair, claims_of, gain_verdict, name_of, place_of, told
from lambda_vae.paper.panels import series, strip
from lambda_vae.reports.style import COLORS, INK, MARKERS, close_rows, name_panel, new_figure

__all__ = ["FIGURE"]

#: Test images that are measured; fewer are shown.
_MEASURED = 256
#: Ways to make an image pixel by pixel, with the seed of the draws: the same chance for every model and every code.
_MODES = {"greedy": None, "ancestral": 0}
#: What the names of the paper's lines begin with.
_LINES = "PixelCNN "


def _of_codes(codes: Codes) -> dict[str, Any]:
    """Images made pixel by pixel, each from its own code and from the next image's."""
    return {"modes": {mode: _mode(codes, seed) for mode, seed in _MODES.items()}}


def _mode(codes: Codes, seed: int | None) -> dict[str, Any]:
    own, other = codes.decoded(codes.mu, seed), codes.decoded(codes.mu.roll(1, 0), seed)
    return {
        "reconstructions": codes.images(own),
        "squared_error": codes.errors(own),
        "squared_error_of_other_code": codes.errors(other),
    }


def _draw(numbers: Numbers) -> Figure:
    """For each mode the originals above both models' images. Deviation: the errors, which images only suggest."""
    panels = numbers["panels"]
    heights = [2 * (1 + len(panel["runs"])) for panel in panels]
    figure = new_figure(7.2, 0.44 * max(sum(heights), 1) + 0.6 * len(panels))
    close_rows(figure)
    outer = figure.add_gridspec(max(len(panels), 1), 2, width_ratios=(2.6, 1), height_ratios=heights or [1])
    for place, panel in enumerate(panels):
        letters = "abcdefghi"[3 * place % 9 :]
        inner = outer[place, 0].subgridspec(heights[place], 1)
        axes = iter([figure.add_subplot(cell) for cell in inner])  # type: ignore[attr-defined]
        for letter, mode in zip(letters, _MODES, strict=False):
            first = next(axes)
            strip(first, "test images", panel["originals"])
            name_panel(first, letter, f"{panel['data']}, {mode}")
            for run in panel["runs"]:
                strip(next(axes), name_of(run), run["modes"][mode]["reconstructions"])
        _error_panel(figure.add_subplot(outer[place, 1]), panel["runs"], letters[2])
    return figure


def _error_panel(axis: Axes, runs: list[Numbers], letter: str) -> None:
    rows = [(mode, run) for mode in _MODES for run in runs]
    for height, (mode, run) in enumerate(reversed(rows)):
        place = place_of(run)
        own, other = (run["modes"][mode][name] for name in ("squared_error", "squared_error_of_other_code"))
        means = [float(np.mean(values)) for values in (own, other)]
        series(axis, means, [height, height], place, lw=1)
        for values, mean, fill, size in ((own, means[0], COLORS[place], 4), (other, means[1], "none", 8)):
            axis.errorbar(
                mean, height, xerr=_stderr(values), color=COLORS[place], marker=MARKERS[place], markersize=size,
                markerfacecolor=fill, markeredgewidth=1, capsize=2, lw=1,
            )  # fmt: skip
    axis.set_yticks(range(len(rows)), [f"{mode}\n{name_of(run)}" for mode, run in reversed(rows)])
    axis.margins(x=0.1)
    axis.set(xlabel="squared error", xlim=(0, None), ylim=(-0.7, len(rows) - 0.4))
    axis.annotate(
        "filled: own code\nhollow: another's", (0, 0), (3, 3), xycoords="axes fraction", textcoords="offset points",
        color=INK, fontsize=7, va="bottom",
    )  # fmt: skip
    name_panel(axis, letter, "is z used?")


def _stderr(values: Any) -> float:  # noqa: ANN401 - a list, or an array
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))


def _bits(pair: Pair) -> Claim:
    (before, after), plain, ours = pair.paper("surrogate_bpd", _LINES), pair.plain, pair.ours
    paper = f"{pair.title}: near-identical ELBO-BPD, {before} for the standard VAE and {after} for λ-VAE."
    if None in (plain["surrogate_bpd"], ours["surrogate_bpd"]):
        return Claim(paper, NO_BITS, NOT_SHOWN)
    apart = ours["surrogate_bpd"] - plain["surrogate_bpd"]
    return Claim(
        paper,
        f"The paper's quantity: {plain['surrogate_bpd']:.3f} and {ours['surrogate_bpd']:.3f}, {apart:+.3f}. The bound "
        f"of the distribution sampled from: {told(plain['nll_bound_bpd'], '.3f')} and "
        f"{told(ours['nll_bound_bpd'], '.3f')}.",
        verdict(abs(apart) <= 0.05),
    )


def _units(pair: Pair) -> Claim:
    before, after = pair.paper("active_units", _LINES)
    few, many, total = pair.plain["active_units"], pair.ours["active_units"], pair.ours["latent_dim"]
    high, left = pair.plain.get("near_prior"), pair.ours.get("near_prior")
    known = few is not None and many is not None
    more = (known and many > few) or (high is not None and left is not None and left < high)
    return Claim(
        f"{pair.title}: {512 - before} of 512 dimensions collapse in the standard VAE, {512 - after} in λ-VAE.",
        f"Active units: {told(few)} of {pair.plain['latent_dim']} in the VAE, {told(many)} of {total} in λ-VAE; of the "
        f"VAE's dimensions {told(high)} have σ > {NEAR_PRIOR_STD}, of λ-VAE's {told(left)}.",
        verdict(known and few <= 0.5 * total and many == total, IN_PART if more else DIFFERS),
    )


def _decoder(pair: Pair) -> Claim:
    (before, after), name = pair.paper("decoder_capacity", _LINES), "decoder_capacity"
    return Claim(
        f"{pair.title}: the decoder allocates {before} nats to the code in the standard VAE and {after} in λ-VAE "
        f"({after / before:.1f}×).",
        f"Decoder capacity {told(pair.plain[name], '.1f')} and {told(pair.ours[name], '.1f')} nats, "
        f"{told(pair.gain(name), '.2f')} times as much.",
        gain_verdict((before, after), pair.gain(name)),
    )


def _lost(run: Numbers, mode: str) -> tuple[float, float]:
    """By how much another image's code makes the error larger, with its standard error over images."""
    errors = run["modes"][mode]
    worse = np.array(errors["squared_error_of_other_code"], dtype=np.float64) - np.array(errors["squared_error"])
    return float(worse.mean()), _stderr(worse)


def _detail(pair: Pair, mode: str) -> Claim:
    (little, little_off), (much, much_off) = _lost(pair.plain, mode), _lost(pair.ours, mode)
    before, after = (float(np.mean(run["modes"][mode]["squared_error"])) for run in (pair.plain, pair.ours))
    used, more = much > 2 * much_off, much - little > 2 * math.hypot(little_off, much_off)
    images = len(pair.ours["modes"][mode]["squared_error"])
    return Claim(
        f"{pair.title}, {mode}: the standard VAE ignores z; λ-VAE's reconstructions retain what is particular to the "
        "input.",
        f"{images} test images: error {before:.4f} for the VAE and {after:.4f} for λ-VAE. With another image's code it "
        f"grows by {little:.4f} ± {little_off:.4f} and {much:.4f} ± {much_off:.4f}.",
        verdict(used and more and after < before and little < 0.25 * much, IN_PART if used and more else DIFFERS),
    )


FIGURE = PaperFigure(
    title="Figure 9: reconstructions with a PixelCNN decoder",
    caption=(
        "Reconstruction with a PixelCNN decoder from z = μ, pixel by pixel and without teacher forcing: the likeliest "
        "value of each pixel given those before it (greedy), or a draw (ancestral, the same chance for both models). "
        "Right: mean squared error to the original, values in [0, 1], from the image's own code (filled) and from "
        "another image's (hollow), ± one standard error. Where both are the same, z is not looked at. The errors are "
        "of more images than are shown."
    ),
    numbers=partial(decoded_panels, count=_MEASURED, read=_of_codes),
    drawing=_draw,
    claims=partial(claims_of, makers=(_bits, _units, _decoder, *(partial(_detail, mode=mode) for mode in _MODES))),
    data=("cifar10",),
    other_data=True,
    table="table3",
)
