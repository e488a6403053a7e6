r"""What do the dimensions in use leave in the data for one more dimension to carry?

With z at the posterior mean, the score of the decoder's output, d log p(x|theta)/d theta, whitened by the information
of each feature, is what one example has beyond the code; for a Gaussian it is (x - dec(z)) / s. Its covariance over the
data has one eigenvalue a direction, in units of the noise that the likelihood assumes: a linear decoder gains from a
dimension in a direction of eigenvalue e iff e exceeds the KL weight (for a Gaussian: iff the variance e s^2 of the data
exceeds beta s^2).

**What the used dimensions carry is not counted**, even where they leave part of it behind, as they do at a KL weight or
a noise that does not fit (a linear VAE at weight beta leaves beta s^2 in each of its own directions). Each example's
score is projected off the decoder's tangent space at its code: off what changes when a used dimension moves,

.. math:: T_i = s(x', z - \sigma_i e_i) - s(x', z + \sigma_i e_i), \qquad x' \sim p(x|z).

**Noise is the data's own.** The eigenvalues that noise produces among n examples of F features end near
v (1 + sqrt(F/n))^2, with v the mean of what is left when the directions above that are taken away (`spectrum.py`). A
likelihood without a noise of its own to be wrong (a Bernoulli, a count) is also asked what it produces: draws from the
model pass through the same steps, and a direction must exceed theirs.

This holds for likelihoods whose features are independent given z. An autoregressive decoder explains the rest by
itself.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from lambda_vae.diagnostics.residual_scores import Noise, ResidualScores
from lambda_vae.diagnostics.spectrum import StreamedSpectrum, debiased, fit_noise
from lambda_vae.estimation.examples import Examples, conditioned
from lambda_vae.estimation.protocol import LatentVariableModel

__all__ = ["ResidualSignal", "residual_signal"]

#: Decoder passes (rows of z) that the tangents may take altogether.
_ROWS = 400_000

#: Wider codes are not projected off: every dimension in use takes two decoder passes.
_MOST_TANGENTS = 256

#: How far above the edge of white noise an eigenvalue must be; the edge itself trembles by less (Tracy and Widom 1994).
_EDGE_MARGIN = 1.05

#: Draws from the model that show what chance alone produces.
_REPLICATES = 2


@dataclass(frozen=True)
class ResidualSignal:
    """What the used dimensions leave in the data.

    Args:
        variances: Of each direction that stands out from noise, the strongest first, in units of the noise variance
            that the likelihood assumes; corrected for what noise adds to them among few examples.
        strongest: The largest eigenvalue as it was measured, same unit. NaN where the scores are not finite.
        floor: What an eigenvalue must exceed.
        doubtful: Further directions that stand out from the data's own noise but not from the model's, of which cannot
            be told whether another noise would make them live: features of several kinds.
        noise: The noise variance that fits the data when as many directions as there are collapsed dimensions are
            carried as well, same unit: 1 where the likelihood's own fits.
        noise_std: What the likelihood assumes, units of x; None where its features differ or it is no Gaussian.
        unseen: What a direction may be worth and go unseen among so few examples, nats.
        examples: That were looked at.
        features: Of each, less what the used dimensions carry.
    """

    variances: tuple[float, ...]
    strongest: float
    floor: float
    doubtful: int = 0
    noise: float = 1.0
    noise_std: float | None = None
    unseen: float = 0.0
    examples: int = 0
    features: int = 0

    @property
    def directions(self) -> int:
        """How many stand out."""
        return len(self.variances)


def residual_signal(
    vae: LatentVariableModel,
    batches: Iterable[Shaped[Tensor, "B ..."] | Examples],
    carried: Bool[Tensor, " D"],
    resting: Float[Tensor, " D"],
    *,
    margin: float = 1.2,
    examples: int | None = None,
    generator: torch.Generator | None = None,
) -> ResidualSignal | None:
    """Return what the dimensions in use leave unexplained, or None where the likelihood cannot be drawn from.

    Args:
        vae: The model.
        batches: Data on the model's device.
        carried: Which dimensions are in use; the others rest.
        resting: Where they rest: E_x[mu].
        margin: How far above chance an eigenvalue must be.
        examples: How many the data are, so that some can be left out evenly where all would take too long; None looks
            at all.
        generator: The source of chance.

    Source:
        Ours. That a direction lives iff its eigenvalue exceeds the noise: Lucas et al. 2019, arXiv:1911.02469. For the
        comparison with data that hold nothing: Horn 1965, "A rationale and test for the number of factors in factor
        analysis".
    """
    used = int(carried.sum())
    project = used <= _MOST_TANGENTS
    scores = ResidualScores(carried, resting, generator, replicates=_REPLICATES, project=project)
    most = _ROWS / max(1, 2 * used) if project else math.inf
    spectra: list[StreamedSpectrum] = []
    tangents, seen, features = 0.0, 0, 0
    for batch in batches:
        numbers = (batch.x if isinstance(batch, Examples) else batch)[0].numel()
        if not seen:
            model, x = conditioned(vae, batch)
            if model.likelihood is None or not scores.look(model, x):
                return None
            features, most = numbers, min(most, StreamedSpectrum(scores.features).most_examples)
        if numbers != features:
            return None  # series of different lengths share no directions
        few = batch[_evenly(seen, len(batch), examples, most).to(batch.device)]
        seen += len(batch)
        for start in range(0, len(few), scores.at_once):
            model, x = conditioned(vae, few[start : start + scores.at_once])
            rows = scores.rows(model, x)
            parts = (rows.data, *rows.chance)
            spectra = spectra or [StreamedSpectrum(part.shape[1], part.device) for part in parts]
            for spectrum, part in zip(spectra, parts, strict=True):
                spectrum.add(part)
            tangents += rows.tangents * len(x)
    if not spectra or spectra[0].examples < 2:
        return None
    return _compare(spectra, tangents / spectra[0].examples, int((~carried).sum()), scores, margin)


def _evenly(before: int, count: int, total: int | None, most: float) -> Tensor:
    """Which of the next examples to look at, so that no more than `most` of all are."""
    index = torch.arange(before, before + count)
    if total is None or total <= most:
        return index[: max(0, int(min(most - before, count)))] - before
    kept = ((index + 1) * most / total).floor() > (index * most / total).floor()
    return index[kept] - before


def _compare(
    spectra: list[StreamedSpectrum], tangents: float, collapsed: int, scores: ResidualScores, margin: float
) -> ResidualSignal:
    data, *chance = spectra
    features, n = max(data.features - tangents, 1.0), data.examples
    # A feature noisier than the model says, but on its own, is not shared by others: it is no signal where the
    # likelihood # has no noise of its own to be wrong.
    values = data.eigenvalues(data.diagonal().clamp(min=1.0) if chance else None)
    if not bool(torch.isfinite(values).all()):
        return ResidualSignal((), math.nan, math.nan)
    drawn = [one.eigenvalues() for one in chance]
    by_chance, level = max((float(one[0]) for one in drawn), default=0.0), sum(float(one.sum()) for one in drawn)
    fit = fit_noise(values, features, n, margin=_EDGE_MARGIN)
    # Numbers that vary less than the model's draws, such as grey values under a Bernoulli, are compared with less;
    # classes # and counts have no other noise than the model's.
    less = min(1.0, fit.noise_var * features * len(chance) / level) if scores.noise is Noise.FREE and level else 1.0
    floor = max(fit.edge, margin * by_chance * less)
    above = values[values > floor]
    doubtful = int((values > fit.edge).sum()) - len(above) if scores.noise is Noise.SEVERAL else 0
    real = debiased(above, fit.noise_var, features, n).clamp(max=float(values[0]))
    fits = fit_noise(values, features, n, most=min(collapsed, len(above))).noise_var
    hidden = (
        float(debiased(torch.tensor([floor]), fit.noise_var, features, n)) / fit.noise_var if fit.noise_var else 1.0
    )
    return ResidualSignal(
        variances=tuple(real.tolist()),
        strongest=float(values[0]),
        floor=floor,
        doubtful=doubtful,
        noise=fits,
        noise_std=scores.noise_std,
        unseen=0.5 * (hidden - 1.0 - math.log(hidden)),
        examples=n,
        features=round(features),
    )
