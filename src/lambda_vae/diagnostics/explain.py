"""Verdicts in plain sentences, with their numbers."""

import math
from collections.abc import Sequence

from lambda_vae.diagnostics.dimension import Cause, Judgement, Label, Thresholds, Verdict
from lambda_vae.diagnostics.sharpness import sharpness_cost

__all__ = ["explain", "summary"]


def explain(
    label: Label, cause: Cause | None, judgement: Judgement, limits: Thresholds, *, searched: bool = True
) -> str:
    """Return one sentence on a dimension.

    Args:
        label: What it is.
        cause: Of a collapse, else None.
        judgement: Its numbers.
        limits: The thresholds in use.
        searched: Whether the data were searched for what the other dimensions leave.
    """
    now = judgement.now
    if label is Label.NOT_MEASURED:
        return "Not measured: at least one of its numbers is not finite."
    if cause is not None:
        return _explain_collapse(cause, judgement, limits, searched)
    capacity = 0.5 * math.log1p(now.signal_power / now.sampling_std**2)
    if label is Label.OVER_SHARP:
        cost = sharpness_cost(now, limits.errors)
        return (
            f"Over-sharp: it carries {capacity:.2f} nats at a noise of {now.sampling_std:.3f}; its best scale "
            f"and noise would lower the valid bound by about {cost:.2f} nats."
        )
    deaf = "" if now.demand > limits.encoder else "; but the decoder does not react to it"
    return (
        f"Active: its mean varies with the input (S = {now.signal_power:.3f}) and reaches the decoder with noise "
        f"{now.sampling_std:.3f}, {capacity:.2f} nats of capacity{deaf}."
    )


def _explain_collapse(cause: Cause, judgement: Judgement, limits: Thresholds, searched: bool) -> str:
    now, state = judgement.now, judgement.decisive(limits)
    if cause is Cause.NO_SIGNAL and not searched:
        return (
            "Collapsed, no signal: neither encoder nor decoder is at work "
            f"(S = {now.signal_power:.5f}, decoder capacity {now.decoder_capacity:.2f}); whether the data still hold "
            "something for it could not be measured."
        )
    if cause is Cause.NO_SIGNAL:
        return (
            "Collapsed, no signal: what the other dimensions leave in the data does not stand out from "
            f"chance (S = {now.signal_power:.5f}, decoder capacity {now.decoder_capacity:.2f})."
        )
    if not state.at_work(limits):
        held = "the data still hold something for it" if searched else "one side is still at work"
        return (
            f"Collapsed, gradient imbalance: {held}, but the reconstruction gradient has "
            f"vanished ({now.gradient:.3f}; S = {now.signal_power:.5f}, decoder capacity {now.decoder_capacity:.2f})."
        )
    when = "" if state.epoch is None else f"at epoch {state.epoch}, when it last carried something, "
    if cause is Cause.GAP:
        return (
            f"Collapsed, information gap: {when}sampling noise {state.sampling_std:.3f} left it a signal-to-noise "
            f"ratio of {state.supply:.3f} (S = {state.signal_power:.4f}), where the decoder's reaction was worth "
            f"{state.demand:.2f}."
        )
    ratio = state.ratio / state.kl_weight if state.kl_weight else math.inf
    numbers = f"(S = {state.signal_power:.4f}, noise {state.sampling_std:.3f})"
    if ratio < limits.critical_ratio:
        return (
            f"Collapsed, gradient imbalance: {when}the reconstruction pulled {ratio:.2f} times as hard as the KL term "
            f"{numbers}."
        )
    if state.epoch is None:
        return f"Collapsed, gradient imbalance: it is still at work, but too weakly against the KL term {numbers}."
    return (
        f"Collapsed, gradient imbalance: up to epoch {state.epoch} it carried something {numbers}; since then signal "
        "and reconstruction gradient have faded together under the KL term"
        f"{', while the data still hold something for it' if searched else ''}."
    )


def summary(results: Sequence[Verdict]) -> str:
    """Return the outcome for all dimensions in one plain sentence.

    Args:
        results: One a dimension.

    Example:
        >>> summary([Verdict(Label.ACTIVE, None, ""), Verdict(Label.COLLAPSED, Cause.NO_SIGNAL, "")])
        '1 of 2 dimensions is in use; 1 collapsed (1 no signal).'
    """
    count = {label: sum(result.label is label for result in results) for label in Label}
    causes = {cause: sum(result.cause is cause for result in results) for cause in Cause}
    sharp = count[Label.OVER_SHARP]
    used = count[Label.ACTIVE] + sharp
    text = f"{used} of {len(results)} dimensions {'is' if used == 1 else 'are'} in use"
    if sharp:
        text += f", {sharp} of them over-sharp"
    if count[Label.COLLAPSED]:
        reasons = ", ".join(f"{number} {cause}" for cause, number in causes.items() if number)
        text += f"; {count[Label.COLLAPSED]} collapsed ({reasons})"
    if count[Label.NOT_MEASURED]:
        text += f"; {count[Label.NOT_MEASURED]} could not be measured"
    return f"{text}."
