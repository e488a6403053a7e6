r"""A verdict for every dimension, and for a collapsed one its cause.

The rules, in the order they are applied:

**Not measured**: any of the numbers below is NaN.

**Collapsed**: S_i = Var_x[mu_i] <= 0.01 (the paper, 6.1; Burda et al. 2015).

**Under-dispersed** (records call it over-sharp): not collapsed, and the valid bound could be lowered by more than 0.25
nats by widening this one dimension's noise:

.. math:: \tfrac12 (t - 1 - \ln t)\,[t < 1], \qquad V = S + \bar s^2, \quad t = \bar s^2 / V + \bar s\,\max(0, -g)

with s the sampling noise and g the reconstruction gradient (Eq. 3). This is what widening the noise to its best value
is worth, exact for a linear-Gaussian decoder: E[-log p(x|z)] = const + h s^2/2 with h = -g/s (Stein), so the best noise
has s^2 = 1/(1 + h), and t is the present s^2 over the best one, at the scale that suits the prior. t = 1 at the optimum
of the valid bound, where g + 1/s - s = 0. The scale itself, m^2 + V away from 1, costs (m^2 + V - 1 - ln V)/2 nats,
exact: rescaling z_i by its own mean and variance, undone in the decoder's first layer, leaves the reconstruction as it
is. It is named in the explanation, and is no sharpness: a dimension of noise 1 and spread 50 is not too sharp.

**Active**: everything else. A dimension of many sites is active if one of its sites is.

Causes of a collapse. Two numbers say whether a dimension still carries something. The encoder is active if S_i > 0.003.
The decoder is active if its curvature h_i = max(0, -g_i)/s_i, that of E[-log p(x|z)] in z_i, exceeds 0.1: a posterior
that follows it has variance 1/(1 + h). In a linear-Gaussian model at its optimum the encoder's signal-to-noise ratio
S_i/s_i^2 equals it (on MNIST, active dimensions agree to about 15%). Both thresholds lie well above what the
optimiser's own jitter leaves of a dead dimension (MNIST, Adam 1e-3: S = 0.001 to 0.002, h = 0.02 to 0.03, while
C^dec, which is an RMS, is still 0.3).

What the data hold beyond the dimensions in use is searched by `residual_signal`: the directions in which the residual
varies by more than its own noise, each with its variance e in units of the noise variance that the likelihood assumes
(1 = that noise). A direction lives at KL weight beta iff e > beta (linear VAE; Lucas et al. 2019, arXiv:1911.02469). A
collapsed dimension on which both sides are still at work takes a direction first; the others claim one each, or one a
site, the largest curvature first and the strongest direction first.

**No signal** (the irreducible part of the gap, Section 3.2): no direction is left for it, even where both sides are
faintly at work, and one worth more than 0.5 nats would have been seen among so many examples.

**Decoder noise**: its direction has e <= 1 and e <= beta: the likelihood assumes a noise above what the dimension could
explain. It would live at the noise that fits the data.

**Undetermined**: nothing could be searched and the two sides were never at work together; or no direction was found,
but there are so few examples for so many features that one worth more than 0.5 nats could hide.

The others had something to carry: e > 1. With 1 < e <= beta it is the KL weight, a **gradient imbalance**. With e >
beta they could live, and training lost them. They are judged at the last epoch of the history (its first, random one
apart) at which both sides were at work, else as they are now.

**Gradient imbalance** (Proposition 1): the KL term's pull exceeds the reconstruction's,

.. math:: \rho_i + 2\,\mathrm{se} < 0.9\,\beta,

with beta the KL weight of the objective at that moment (1 in theory, Appendix A.1; 0.9 leaves room for the drift within
an epoch). At an equilibrium of sigma rho_i = beta for every dimension, so that a ratio near it excludes nothing.

**Information gap** (Proposition 2): the reconstruction holds its own, but sampling noise hides the signal, so that what
the decoder reacts to is mostly noise:

.. math:: S_i / s_i^2 < \tfrac12 h_i

**Gradient imbalance** again: else. Signal and gradient have gone down together, or are gone, and the KL term is what
is left to pull.
"""

import math
from collections.abc import Sequence
from itertools import islice

from lambda_vae.diagnostics.dimension import Cause, DimensionState, Judgement, Label, Thresholds, Verdict
from lambda_vae.diagnostics.explain import explain
from lambda_vae.diagnostics.residual import ResidualSignal
from lambda_vae.diagnostics.sharpness import widening_gain

__all__ = ["verdicts"]


def verdicts(
    states: Sequence[DimensionState],
    residual: ResidualSignal | None = None,
    histories: Sequence[Sequence[DimensionState]] | None = None,
    thresholds: Thresholds | None = None,
    sites: int = 1,
) -> list[Verdict]:
    """Return the verdict on every dimension by the rules in this module's head.

    Args:
        states: The finished model.
        residual: What the used dimensions leave in the data; None where it could not be measured.
        histories: For each dimension its states over the epochs, oldest first.
        thresholds: The defaults if absent.
        sites: Of each dimension; so many directions of the residual it can carry.
    """
    limits = thresholds or Thresholds()
    past = histories or [()] * len(states)
    # The first epoch still shows the random start.
    judged = [Judgement(now, tuple(islice(before, 1, None))) for now, before in zip(states, past, strict=True)]
    labels = [_label(state, limits) for state in states]
    collapsed = [i for i, label in enumerate(labels) if label is Label.COLLAPSED]
    searched = residual if residual is not None and not math.isnan(residual.strongest) else None
    claims = _claims(judged, collapsed, searched, limits, sites)
    results = []
    for i, label in enumerate(labels):
        cause = _cause(judged[i], claims[i], searched, limits) if label is Label.COLLAPSED else None
        text = explain(label, cause, judged[i], limits, residual=searched, claim=claims.get(i))
        results.append(Verdict(label, cause, text, states[i].sites_in_use))
    return results


def _label(state: DimensionState, limits: Thresholds) -> Label:
    if not state.measured:
        return Label.NOT_MEASURED
    if state.signal_power <= limits.active:
        return Label.COLLAPSED
    return Label.UNDER_DISPERSED if widening_gain(state, limits.errors) > limits.sharpness else Label.ACTIVE


def _claims(
    judged: Sequence[Judgement],
    collapsed: Sequence[int],
    residual: ResidualSignal | None,
    limits: Thresholds,
    sites: int,
) -> dict[int, float | None]:
    """For each collapsed dimension the variance of the strongest direction that it can claim; NaN of a doubtful one."""

    def place(i: int) -> tuple[bool, float, float, int]:
        now = judged[i].now
        return not now.at_work(limits), -now.decoder_curvature, -now.signal_power, i

    order = sorted(collapsed, key=place)
    left = () if residual is None else (*residual.variances, *[math.nan] * residual.doubtful)
    return {i: left[at * sites] if at * sites < len(left) else None for at, i in enumerate(order)}


def _cause(judgement: Judgement, claim: float | None, residual: ResidualSignal | None, limits: Thresholds) -> Cause:
    found = _found(judgement, claim, residual, limits)
    # A KL that is not charged outweighs nothing.
    return Cause.UNDETERMINED if found is Cause.IMBALANCE and judgement.free(limits) else found


def _found(judgement: Judgement, claim: float | None, residual: ResidualSignal | None, limits: Thresholds) -> Cause:
    now = judgement.now
    if now.at_work(limits) and (residual is None or claim is not None):
        return _lost(judgement.decisive(limits), limits)
    if residual is None:
        state = judgement.decisive(limits)
        return _lost(state, limits) if state.at_work(limits) else Cause.UNDETERMINED
    if claim is not None and math.isnan(claim):
        return Cause.UNDETERMINED
    if claim is None:
        return Cause.UNDETERMINED if residual.unseen > limits.unseen else Cause.NO_SIGNAL
    if claim <= min(1.0, now.kl_weight):
        return Cause.NOISE
    return Cause.IMBALANCE if claim <= now.kl_weight else _lost(judgement.decisive(limits), limits)


def _lost(state: DimensionState, limits: Thresholds) -> Cause:
    if not state.at_work(limits):
        return Cause.IMBALANCE
    # A comparison with an undefined ratio is false: at sigma = 1 the KL term pulls at nothing.
    outweighed = state.ratio + limits.errors * state.ratio_stderr < limits.critical_ratio * state.kl_weight
    hidden = state.encoder_snr < limits.supply * state.decoder_curvature
    return Cause.GAP if hidden and not outweighed else Cause.IMBALANCE
