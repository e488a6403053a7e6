"""Figure 8, reconstructions of the same test images by both models."""

import math
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from lambda_vae.paper.claims import DIFFERS, IN_PART, NOT_SHOWN, Claim, verdict
from lambda_vae.paper.decoded import Codes, decoded_panels
from lambda_vae.paper.figure import Numbers, PaperFigure
from lambda_vae.paper.pairs import NO_BITS, Pair, claims_of, name_of, told
from lambda_vae.paper.panels import strip
from lambda_vae.reports.style import close_rows, name_panel, new_figure

__all__ = ["FIGURE"]

#: Test images that are measured; fewer are shown.
_MEASURED = 512


def _of_codes(codes: Codes) -> dict[str, Any]:
    """Reconstructions at mu, with errors and detail."""
    decoded, shape = codes.decoded(codes.mu), codes.run.dataset.shape
    return {
        "reconstructions": codes.images(decoded),
        "squared_error": codes.errors(decoded),
        "detail": float(_detail(decoded, shape) / _detail(codes.x, shape)),
    }


def _detail(images: Float[Tensor, "N F"], shape: tuple[int, ...]) -> Tensor:
    """Mean squared difference of neighbouring pixels: blur takes it away."""
    maps = images.clamp(0, 1).view(-1, *shape)
    return maps.diff(dim=1).square().mean() + maps.diff(dim=2).square().mean()


def _draw(numbers: Numbers) -> Figure:
    """For each data set the originals, and below them what each model makes of them."""
    panels = numbers["panels"]
    rows = sum(1 + len(panel["runs"]) for panel in panels)
    figure = new_figure(7.2, 0.64 * max(rows, 1) + 0.25 * len(panels))
    close_rows(figure)
    axes = iter(figure.subplots(max(rows, 1), 1, squeeze=False)[:, 0])
    for place, panel in enumerate(panels):
        first = next(axes)
        strip(first, "test images", panel["originals"])
        name_panel(first, "abcdefgh"[place % 8], panel["data"])
        for run in panel["runs"]:
            strip(next(axes), name_of(run), run["reconstructions"])
    return figure


def _sharper(pair: Pair) -> Claim:
    plain, ours = pair.plain, pair.ours
    before, after = (np.array(run["squared_error"], dtype=np.float64) for run in (plain, ours))
    saved, stderr = (before - after).mean(), (before - after).std(ddof=1) / math.sqrt(len(before))
    closer, finer = bool(saved > 2 * stderr), ours["detail"] > plain["detail"]
    return Claim(
        f"{pair.title}: optimal λ produces sharper, more detailed reconstructions.",
        f"{len(before)} test images: error {before.mean():.4f} for the VAE and {after.mean():.4f} for λ-VAE, a "
        f"difference of {-saved:+.5f} ± {stderr:.5f}; detail {plain['detail']:.0%} of the originals' and "
        f"{ours['detail']:.0%}.",
        verdict(closer and finer, IN_PART if closer or finer else DIFFERS),
    )


def _bits(pair: Pair) -> Claim:
    (before, after), plain, ours = pair.paper("surrogate_bpd"), pair.plain, pair.ours
    paper = (
        f"{pair.title}: the gain in capacity translates into reconstruction quality; ELBO-BPD improves from "
        f"{before} to {after}."
    )
    if None in (plain["surrogate_bpd"], ours["surrogate_bpd"], plain["nll_bound_bpd"], ours["nll_bound_bpd"]):
        return Claim(paper, NO_BITS, NOT_SHOWN)
    better, bound = ours["surrogate_bpd"] < plain["surrogate_bpd"], ours["nll_bound_bpd"] < plain["nll_bound_bpd"]
    return Claim(
        paper,
        f"The paper's quantity: {told(plain['surrogate_bpd'], '.3f')} for the VAE and "
        f"{told(ours['surrogate_bpd'], '.3f')} for λ-VAE. It is no bound on −ln p(x); the bound of the distribution "
        f"sampled from: {told(plain['nll_bound_bpd'], '.3f')} and {told(ours['nll_bound_bpd'], '.3f')}.",
        verdict(better and bound, IN_PART if better else DIFFERS),
    )


FIGURE = PaperFigure(
    title="Figure 8: reconstructions",
    caption=(
        "The first images of the test set and their reconstructions, E[x|z] at z = μ. The claims speak of more images "
        "than are shown. Error: mean squared difference to the original, its values in [0, 1]. Detail: mean squared "
        "difference of neighbouring pixels, as a share of the originals': blur takes it away."
    ),
    numbers=partial(decoded_panels, count=_MEASURED, read=_of_codes),
    drawing=_draw,
    claims=partial(claims_of, makers=(_sharper, _bits)),
    data=("cifar10",),
    other_data=True,
    table="table2",
    also=("celeba64",),
)
