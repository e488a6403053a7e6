"""Verdicts in plain sentences, with their numbers."""

import math
from collections.abc import Sequence

from lambda_vae.diagnostics.dimension import Cause, DimensionState, Judgement, Label, Thresholds, Verdict
from lambda_vae.diagnostics.residual import ResidualSignal
from lambda_vae.diagnostics.sharpness import scale_cost, sharpness_cost

__all__ = ["explain", "summary"]


def explain(
    label: Label,
    cause: Cause | None,
    judgement: Judgement,
    limits: Thresholds,
    *,
    residual: ResidualSignal | None = None,
    claim: float | None = None,
) -> str:
    """Return one sentence on a dimension.

    Args:
        label: What it is.
        cause: Of a collapse, else None.
        judgement: Its numbers.
        limits: The thresholds in use.
        residual: What the other dimensions leave in the data; None where that was not searched.
        claim: Variance of the direction that it could carry, in units of the noise that the likelihood assumes.
    """
    now = judgement.now
    if label is Label.NOT_MEASURED:
        return "Not measured: at least one of its numbers is not finite."
    if cause is not None:
        return f"Collapsed, {cause}: {_why(cause, judgement, limits, residual, claim)}{_idle(now, limits)}."
    capacity = 0.5 * math.log1p(now.signal_power / now.sampling_std**2)
    if label is Label.UNDER_DISPERSED:
        cost = sharpness_cost(now, limits.errors)
        return (
            f"Under-dispersed: it carries {capacity:.2f} nats at a noise of {now.sampling_std:.3f}; its best scale "
            f"and noise would lower the valid bound by about {cost:.2f} nats."
        )
    if math.isnan(now.gradient):
        ignored = "; how the decoder reacts was not measured"
    else:
        ignored = "; but the decoder does not react to it" if now.ignored(limits) else ""
    where = f"at {now.sites_in_use} of its {now.sites} sites " if now.sites_in_use else ""
    stray = scale_cost(now)
    scale = (
        f"; its codes, of mean {now.mean:.2f} and variance {now.signal_power + now.sampling_std**2:.3g}, do not fit "
        f"the prior's scale, which costs {stray:.2f} nats"
        if stray > limits.sharpness
        else ""
    )
    return (
        f"Active: {where}its mean varies with the input (S = {now.signal_power:.3f}) and reaches the decoder with "
        f"noise {now.sampling_std:.3f}, {capacity:.2f} nats of capacity{ignored}{scale}."
    )


def _why(
    cause: Cause, judgement: Judgement, limits: Thresholds, residual: ResidualSignal | None, claim: float | None
) -> str:
    now, state = judgement.now, judgement.decisive(limits)
    numbers = f"S = {max(now.signal_power, 0.0):.5f}"
    if now.differentiated:
        numbers += f", decoder capacity {now.decoder_capacity:.2f}"
    if cause is Cause.UNDETERMINED and (claim is not None or now.at_work(limits)) and judgement.free(limits):
        return f"its KL is not charged (a weight of 0) and draws it to nothing; it may not have learned yet ({numbers})"
    if cause is Cause.UNDETERMINED and residual is None:
        idle = "neither encoder nor decoder is" if now.differentiated else "the encoder is not"
        return f"{idle} at work ({numbers}), and whether the data hold something for it was not searched"
    assert residual is not None or cause not in (Cause.UNDETERMINED, Cause.NO_SIGNAL, Cause.NOISE)
    if claim is not None and math.isnan(claim):
        return (
            "the data vary together by more than their own noise, but by less than the model's, and features of "
            f"several kinds do not tell whether another noise would let it live ({numbers})"
        )
    if residual is not None and cause is Cause.UNDETERMINED:
        return (
            f"no direction stands out, but among {residual.examples} examples of {residual.features} features one "
            f"worth more than {limits.unseen:g} nats could hide"
        )
    if cause is Cause.NO_SIGNAL:
        return f"what the other dimensions leave in the data does not stand out from its noise ({numbers})"
    if residual is not None and claim is not None and cause is Cause.NOISE:
        return _noise(residual, claim, now.kl_weight)
    if state is now and claim is not None and claim <= now.kl_weight:
        return (
            f"the data hold a direction of {claim:.3g} times the noise that the likelihood assumes, which lives only "
            f"at a KL weight below that; it is {now.kl_weight:.3g}"
        )
    if not state.at_work(limits):
        held = "the data still hold something for it" if claim is not None else "one side is still at work"
        return f"{held}, but the reconstruction gradient has vanished ({now.gradient:.3f}; {numbers})"
    return _lost(cause, state, limits, claim is not None)


def _noise(residual: ResidualSignal, claim: float, kl_weight: float) -> str:
    """What the likelihood assumes, what the data hold, and the noise at which the dimension would live."""
    lives = claim / kl_weight if kl_weight > 0.0 else math.inf
    if residual.noise_std is None:
        return (
            f"the likelihood assumes a noise variance that exceeds what it could explain: the data hold a direction of "
            f"{claim:.3g} times that variance, where their own noise is {residual.noise:.3g} times it"
        )
    std = residual.noise_std
    return (
        f"the likelihood assumes a noise of std {std:.3g}, and the strongest direction left for it has std "
        f"{std * math.sqrt(claim):.3g}; it would live at a noise below {std * math.sqrt(lives):.3g}, and "
        f"{std * math.sqrt(residual.noise):.3g} fits the data"
    )


def _lost(cause: Cause, state: DimensionState, limits: Thresholds, held: bool) -> str:
    """Of a dimension that could live: how training lost it."""
    when = "" if state.epoch is None else f"at epoch {state.epoch}, when it last carried something, "
    if cause is Cause.GAP:
        return (
            f"{when}sampling noise {state.sampling_std:.3f} left it a signal-to-noise ratio of {state.encoder_snr:.3f} "
            f"(S = {state.signal_power:.4f}), where the decoder's reaction was worth {state.decoder_curvature:.2f}"
        )
    ratio = state.ratio / state.kl_weight if state.kl_weight else math.inf
    numbers = f"(S = {state.signal_power:.4f}, noise {state.sampling_std:.3f})"
    if ratio < limits.critical_ratio:
        return f"{when}the reconstruction pulled {ratio:.2f} times as hard as the KL term {numbers}"
    if state.epoch is None:
        return f"it is still at work, but too weakly against the KL term {numbers}"
    return (
        f"up to epoch {state.epoch} it carried something {numbers}; since then signal and reconstruction gradient have "
        f"faded together under the KL term{', while the data still hold something for it' if held else ''}"
    )


def _idle(now: DimensionState, limits: Thresholds) -> str:
    """A code that is the same for every example carries nothing, whatever it costs."""
    if not now.kl > limits.idle_kl:
        return ""
    return f"; it pays {now.kl:.2f} nats of KL for a code that is the same for every example"


def summary(results: Sequence[Verdict], kl: Sequence[float] = (), limits: Thresholds | None = None) -> str:
    """Return the outcome for all dimensions in one plain sentence.

    Example:
        >>> summary([Verdict(Label.ACTIVE, None, ""), Verdict(Label.COLLAPSED, Cause.NO_SIGNAL, "")])
        '1 of 2 dimensions is in use; 1 collapsed (1 no signal).'
    """
    count = {label: sum(result.label is label for result in results) for label in Label}
    causes = {cause: sum(result.cause is cause for result in results) for cause in Cause}
    sharp = count[Label.UNDER_DISPERSED]
    used = count[Label.ACTIVE] + sharp
    text = f"{used} of {len(results)} dimensions {'is' if used == 1 else 'are'} in use"
    if sharp:
        text += f", {sharp} of them under-dispersed"
    if count[Label.COLLAPSED]:
        reasons = ", ".join(f"{number} {cause}" for cause, number in causes.items() if number)
        text += f"; {count[Label.COLLAPSED]} collapsed ({reasons})"
    paid = [nats for result, nats in zip(results, kl, strict=False) if result.label is Label.COLLAPSED]
    idle = [nats for nats in paid if nats > (limits or Thresholds()).idle_kl]
    if idle:
        text += (
            f", and {len(idle)} of these {'pays' if len(idle) == 1 else 'pay'} {sum(idle):.1f} nats of KL for nothing"
        )
    if count[Label.NOT_MEASURED]:
        text += f"; {count[Label.NOT_MEASURED]} could not be measured"
    return f"{text}."
