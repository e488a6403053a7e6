"""The first sentence of a report: how many dimensions are in use, and what that count hides by half or more."""

from collections.abc import Sequence

import torch

from lambda_vae.diagnostics.dimension import Label, Verdict
from lambda_vae.diagnostics.explain import summary
from lambda_vae.equalization import NEAR_PRIOR_STD

__all__ = ["headline"]

#: Below this share of the used dimensions, active directions are worth a word; below half, the first sentence's.
_HIDDEN, _HALF = 0.9, 0.5


def headline(
    findings: Sequence[Verdict],
    std_mean: torch.Tensor,
    signal_to_noise: torch.Tensor,
    directions: float | None,
    kl: Sequence[float] = (),
) -> list[str]:
    """Return the outcome in one sentence, and a second one where a rotation hides some of the collapse.

    Args:
        findings: One a dimension.
        std_mean: Mean sigma, [D].
        signal_to_noise: S over the noise variance that the decoder gets, [D].
        directions: That the code moves along; None where that cannot be told.
        kl: Of each dimension, nats.
    """
    text = summary(findings, kl)
    used = torch.tensor([finding.label in (Label.ACTIVE, Label.UNDER_DISPERSED) for finding in findings])
    count = int(used.sum())
    widespread = torch.tensor([not finding.sites_in_use for finding in findings])
    faint = int((used & widespread & (std_mean.cpu() > NEAR_PRIOR_STD) & (signal_to_noise.cpu() < 1.0)).sum())
    clauses = []
    if count and faint >= _HALF * count:
        whom, whose = f"{'all' if faint == count else faint} of these hardly", "their"
        whom, whose = ("hardly", "its") if count == 1 else (whom, whose)
        clauses.append(
            f"{whom}: {whose} sigma is above {NEAR_PRIOR_STD:g}, where the prior's is 1, and {whose} signal is below it"
        )
    few = directions is not None and directions < _HIDDEN * count
    if few and directions is not None and directions <= _HALF * count:
        clauses.append(f"together they move along {directions:g} directions only")
        few = False
    if clauses:  # after what is said of the dimensions in use, before what is said of the others
        of_used, mark, others = text.removesuffix(".").partition("; ")
        text = f"{of_used}, but {', and '.join(clauses)}{mark}{others}."
    hidden = (
        [f"But the means of those in use move along {directions:g} directions only: the rest repeats these."]
        if few
        else []
    )
    return [text, *hidden]
