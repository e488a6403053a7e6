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
from lambda_vae.diagnostics.spectrum import StreamedSpectrum, covariance_kept, debiased, fit_noise, most_searched
from lambda_vae.estimation.budget import Limits
from lambda_vae.estimation.examples import Examples, conditioned, evenly, x_of
from lambda_vae.estimation.noise import spawned
from lambda_vae.estimation.protocol import LatentVariableModel
from lambda_vae.estimation.shares import ALONE, Shares

__all__ = ["ResidualSignal", "residual_signal"]

#: Decoder passes (rows of z) that the tangents may take altogether, whatever they cost.
_ROWS = 400_000

#: Operations that the search may take, and as a share of what an encoder and a decoder pass over all data take.
_OPERATIONS, _SHARE = 1.5e10, 0.75

#: Examples for each feature at which "no signal" can be told from what hides among too few (`Thresholds.unseen`), under
#: a Gaussian and otherwise: so many are looked at whatever that costs.
_ENOUGH_KNOWN, _ENOUGH = 0.6, 1.25

#: Operations that a number of a score is worth: its density and the gradient of that.
_OF_A_SCORE = 300.0

#: Examples that are looked at together, and numbers of theirs: chance is drawn for so many, whatever the batches.
_GROUP, _GROUP_NUMBERS, _FEWEST = 128, 2**22, 8

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
    limits: Limits | None = None,
    shares: Shares = ALONE,
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
        limits: Of work and memory.
        shares: The processes that divide the search, where covariances are kept; else each searches by itself.

    Source:
        Ours. That a direction lives iff its eigenvalue exceeds the noise: Lucas et al. 2019, arXiv:1911.02469. For the
        comparison with data that hold nothing: Horn 1965, "A rationale and test for the number of factors in factor
        analysis".
    """
    first = next(iter(batches), None)
    if first is None or conditioned(vae, first[:1])[0].likelihood is None:
        return None
    allowed = limits or Limits()
    numbers = x_of(first)[0].numel()
    group = len(first) if allowed.whole else min(_GROUP, max(_FEWEST, _GROUP_NUMBERS // numbers))
    scores = ResidualScores(
        carried,
        resting,
        generator,
        replicates=_REPLICATES,
        project=int(carried.sum()) <= _MOST_TANGENTS,
        at_once=group if allowed.whole else allowed.rows,
    )
    if not scores.look(next(evenly(batches, None, math.inf, group)), vae):
        return None
    most = _most_examples(scores, allowed, examples)
    shares = shares if covariance_kept(scores.features, most) else ALONE
    seed = spawned(generator, first.device).initial_seed()
    spectra: list[StreamedSpectrum] = []
    tangents = torch.zeros((), dtype=torch.float64, device=first.device)
    for place, part in enumerate(evenly(batches, examples, most, group)):
        if x_of(part)[0].numel() != numbers:
            return None  # series of different lengths share no directions
        # a stream of its own for each group, so that nobody needs to look at the others'
        scores.generator = torch.Generator(first.device).manual_seed(seed + place)
        for rows in scores.rows(part, vae) if shares.looks(place) else ():
            parts = (rows.data, *rows.chance)
            spectra = spectra or [StreamedSpectrum(one.shape[1], one.device, expected=most) for one in parts]
            if not shares.mine(place):
                break
            for spectrum, one in zip(spectra, parts, strict=True):
                spectrum.add(one)
            tangents += rows.tangents * len(rows.data)
    _share(spectra, tangents, shares)
    if not spectra or spectra[0].examples < 2:
        return None
    return _compare(spectra, float(tangents) / spectra[0].examples, int((~carried).sum()), scores, margin)


def _share(spectra: list[StreamedSpectrum], tangents: Tensor, shares: Shares) -> None:
    shares.exchange()
    tangents.copy_(shares.total(tangents))
    for spectrum in spectra:
        spectrum.share(shares)


def _most_examples(scores: ResidualScores, limits: Limits, examples: int | None) -> float:
    """How many examples the search may look at, by what one costs."""
    features, tangents = scores.features, len(scores.tangents)
    kinds = 1 if scores.noise is Noise.KNOWN else 1 + _REPLICATES
    through, score, product = limits.encoder + limits.decoder, _OF_A_SCORE * features, kinds * 2.0 * features
    work = max(_OPERATIONS, _SHARE * (examples or 0) * (through + score))
    each = through + tangents * (limits.decoder + score) + kinds * score
    affordable = work / (each + product * features)
    if affordable < features:  # of so few, the products among each other are the smaller matrix
        affordable = (math.sqrt(each**2 + 4.0 * product * work) - each) / (2.0 * product)
    enough = (_ENOUGH_KNOWN if scores.noise is Noise.KNOWN else _ENOUGH) * features
    if examples is None or enough <= examples:
        affordable = max(affordable, enough)
    least = min(affordable, _ROWS / max(1, 2 * tangents), most_searched(features, limits.bytes, kinds))
    return max(2.0, math.floor(least))


def _compare(
    spectra: list[StreamedSpectrum], tangents: float, collapsed: int, scores: ResidualScores, margin: float
) -> ResidualSignal:
    data, *chance = spectra
    features, n = max(data.features - tangents, 1.0), data.examples
    # A feature noisier than the model says, but on its own, is not shared by others: it is no signal where the
    # likelihood has no noise of its own to be wrong.
    values = data.eigenvalues(data.diagonal().clamp(min=1.0) if chance else None)
    if not bool(torch.isfinite(values).all()):
        return ResidualSignal((), math.nan, math.nan)
    by_chance = max((one.largest() for one in chance), default=0.0)
    level = sum(float(one.diagonal().sum()) for one in chance)
    fit = fit_noise(values, features, n, margin=_EDGE_MARGIN)
    # Numbers that vary less than the model's draws, such as grey values under a Bernoulli, are compared with less;
    # classes and counts have no other noise than the model's.
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
