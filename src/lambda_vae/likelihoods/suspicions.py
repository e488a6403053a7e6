"""What a decoder's answers on the data themselves say of a mistake: another scale, axes in another order, a softmax."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.likelihoods.axes import axes

__all__ = ["Given", "suspicions"]

#: Fewer numbers altogether show nothing.
_NUMBERS = 256

#: How much more squared error than the data's own mean leaves shows that the decoder is one of other data.
_WORSE = 1.2


@dataclass(frozen=True, eq=False)
class Given:
    """What the decoder answers for some examples at their own codes.

    Args:
        name: Whose answer it is: "decode" or "log_likelihood".
        family: Of p(x|z).
        x: The examples.
        mean: E[x|z], as rows.
        shape: Of one example's answer, as the decoder gave it.
    """

    name: str
    family: str
    x: Tensor
    mean: Float[Tensor, "B F"]
    shape: tuple[int, ...]

    @property
    def rows(self) -> Float[Tensor, "B F"]:
        """X as rows."""
        return self.x.reshape(len(self.x), -1).to(self.mean.dtype)


def suspicions(given: Given) -> tuple[str, ...]:
    """Return what is likely to be wrong, as notes; what surely is raises.

    Raises:
        InputError: Decisive evidence of a mistake, in one sentence.
    """
    if given.mean.numel() < _NUMBERS or not bool(torch.isfinite(given.mean).all()):
        return ()
    notes: tuple[str, ...] = ()
    if given.family == "Bernoulli":
        _require_one_sigmoid(given)
        notes += _softmax(given) + _grey(given)
    if given.family in ("Gaussian", "Laplace"):
        notes += _scale(given)
    notes += axes(given.name, given.x, given.rows, given.mean, given.shape)
    return notes or _no_fit(given)


def _no_fit(given: Given) -> tuple[str, ...]:
    """A decoder that says less of each example than the data's own mean does is one of other data."""
    x, mean = given.rows, given.mean
    known = float((x - x.mean(0)).square().mean())
    off = float((x - mean).square().mean())
    if not off > _WORSE * known:
        return ()
    return (
        "At the examples' own codes the mean of p(x|z) is further from x than x's own mean is: a mean squared error of "
        f"{off:.3g} for {known:.3g}. The model is not trained, or its features come in another order or unit than x's.",
    )


def _softmax(given: Given) -> tuple[str, ...]:
    """Independent probabilities that sum to 1 in every row are those of a softmax."""
    rows, p = given.rows, given.mean
    if p.shape[1] <= 2 or float((p.sum(1) - 1.0).abs().max()) > 1e-3:
        return ()
    total = float(rows.sum(1).mean())
    text = f"{given.name} gives probabilities that sum to 1 in every row, as a softmax does"
    if bool((rows.sum(1) == 1.0).all()):
        return (f"{text[0].upper()}{text[1:]}, and x are one-hot: `categorical` is their likelihood.",)
    raise InputError(f"{text}, while x sums to {total:.3g} on average; take `multinomial` in place of `bernoulli`")


def _require_one_sigmoid(given: Given) -> None:
    """Logits that all lie in [0, 1] are probabilities where they say more of x so than as logits, or than its mean."""
    logits, x = torch.logit(given.mean), given.rows
    if not bool(((logits > -1e-4) & (logits < 1.0 + 1e-4)).all()):
        return
    as_p, as_logits, flat = (_bits(x, p) for p in (logits, given.mean, x.mean().expand_as(x)))
    gains = [as_p - other for other in (as_logits, flat)]
    if len(x) > 1 and all(float(gain.mean()) > 4.0 * float(gain.std()) / len(x) ** 0.5 for gain in gains):
        raise InputError(
            f"{given.name} takes numbers from {float(logits.min()):.3g} to {float(logits.max()):.3g} for logits, and "
            "they fit x as probabilities: decode ends in a sigmoid already, so leave out logits=True or that sigmoid"
        )


def _bits(x: Tensor, p: Tensor) -> Tensor:
    p = p.clamp(1e-6, 1.0 - 1e-6)
    return (x * p.log() + (1.0 - x) * (1.0 - p).log()).sum(1)


def _grey(given: Given) -> tuple[str, ...]:
    grey = float(((given.rows > 0.0) & (given.rows < 1.0)).float().mean())
    if grey == 0.0:
        return ()
    return (
        f"{max(grey, 0.01):.0%} of x lie between 0 and 1, where a Bernoulli has no probability: nll_bound is a "
        "cross-entropy, comparable only with itself; binarise x, or take another likelihood.",
    )


def _scale(given: Given) -> tuple[str, ...]:
    x, mean = given.rows, given.mean
    low, high = float(x.min()), float(x.max())
    least, most = float(mean.min()), float(mean.max())
    ways: list[tuple[bool, Callable[[Tensor], Tensor], str]] = [
        (low >= 0 and high > 2 and high <= 255 and most <= 1.001, lambda x: x / 255, "x / 255"),
        (low >= 0 and high > 2 and high <= 255 and least < 0, lambda x: x / 127.5 - 1, "x / 127.5 - 1"),
        (-1.001 <= low < -0.5 and high <= 1.001 and least >= 0, lambda x: (x + 1) / 2, "(x + 1) / 2"),
        (low >= 0 and high <= 1.001 and least < -0.5 and most <= 1.001, lambda x: 2 * x - 1, "2 * x - 1"),
    ]
    for possible, scaled, text in ways:
        if possible and _explained(scaled(x), mean) > 0.2 and _explained(x, mean) < 0.0:
            raise InputError(
                f"{given.name} gives means from {least:.3g} to {most:.3g} for x from {low:.3g} to {high:.3g}, and they "
                f"fit {text} instead; scale the data so"
            )
    if least >= 0 and most <= 1 and most - least > 0.5 and (low < -0.5 or high > 2):
        return (
            f"{given.name} gives means from {least:.3g} to {most:.3g} for x from {low:.3g} to {high:.3g}: a decoder "
            "that ends in a sigmoid cannot reach such x.",
        )
    return ()


def _explained(x: Tensor, mean: Tensor) -> float:
    """The share of the variance about one number for all that the means explain."""
    return 1.0 - float((x - mean).square().mean() / (x - x.mean()).square().mean().clamp(min=1e-30))
