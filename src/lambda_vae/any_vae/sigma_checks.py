"""Whether sigma is what `encode`'s second tensor was taken for, by what the decoder makes of noise of that width.

With h the curvature of E[-log p(x|z)] in z (Stein: h = -g/sigma), a trained posterior has t = sigma^2 (1 + h) near 1,
and below 1 / (1 - sigma^2) at any KL weight: where the decoder reacts to z, no objective leaves sigma above 1.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lambda_vae.any_vae.parametrisations import TAKES, logvar_from
from lambda_vae.any_vae.posteriors import GaussianOutput
from lambda_vae.diagnostics.activity import ACTIVE_THRESHOLD
from lambda_vae.errors import InputError

__all__ = ["check_sigma"]

_DRAWS = 4

#: Sigma that no N(0, 1) prior leaves where the decoder reads z.
_ABOVE_PRIOR = 1.05

#: t above which noise is far too wide for what the decoder makes of it: 0.15 nats a number.
_WIDE = 2.0

#: |ln t| of the median that speaks against a reading, and of nine in ten that speaks for another.
_OFF, _FITS = 0.7, 0.35

LogDensity = Callable[[Tensor, Tensor], Tensor]


def check_sigma(log_p: LogDensity, x: Tensor, q: GaussianOutput, second: Tensor, takes: str | None) -> tuple[str, ...]:
    """Return what a reader must know of sigma; empty where nothing speaks against it.

    Raises:
        InputError: It is none of the kind.
    """
    mu = q.mu.float()
    used = mu.double().var(0, correction=0) > ACTIVE_THRESHOLD
    if len(x) < 8:
        return ()
    own = _gain(log_p, x, mu)
    if own is not None:
        _check_order(own, _gain(log_p, x, second.float()))
    if not bool(used.any()):
        return ()
    found = _excess(log_p, x, mu, q.logvar, used)
    name = takes or "logvar"
    positive = name == "logvar" and bool((second > 0.0).all())
    low, high = float(second.min()), float(second.max())
    if positive and takes is None and found is not None and own is not None and own.sure and found.mean_ratio > _WIDE:
        raise InputError(
            f"the second tensor of encode lies between {low:.3g} and {high:.3g}; as ln sigma^2 that makes sigma 1 or "
            "more, where the decoder reads z: no trained VAE does that, so it looks like a standard deviation: say "
            "takes='std' ('var' if it is a variance), or takes='logvar' if it is ln sigma^2 all the same"
        )
    if positive:
        return (
            f"The second tensor of encode is above 0 everywhere ({low:.3g} to {high:.3g}), as a standard deviation is; "
            "it was taken for ln sigma^2. If it is one, say takes='std'.",
        )
    better = () if found is None else _better(log_p, x, mu, second, used, name, found)
    width = float(q.logvar.double().exp().mean(0)[used].mean().sqrt())
    if better or not (width > _ABOVE_PRIOR and own is not None and own.sure):
        return better
    return (
        f"Sigma of the dimensions that vary is {width:.3g} on average, where the decoder reads them: no VAE with the "
        "prior N(0, I) leaves it above 1. Either another prior was trained with (prior=), or the second tensor of "
        f"encode is not {name!r}.",
    )


@dataclass(frozen=True)
class _Gain:
    """How much better log p(x|z) is with an example's own code than with another's; nats per example."""

    mean: float
    stderr: float

    @property
    def sure(self) -> bool:
        return self.mean > max(1.0, 4.0 * self.stderr)


def _gain(log_p: LogDensity, x: Tensor, z: Tensor) -> _Gain | None:
    with torch.no_grad():
        gain = (log_p(x, z) - log_p(x, z.roll(1, 0))).double()
    return _Gain(float(gain.mean()), float(gain.std()) / len(x) ** 0.5) if bool(gain.isfinite().all()) else None


def _check_order(own: _Gain, other: _Gain | None) -> None:
    if other is not None and other.sure and other.mean > 2.0 * max(own.mean, 0.0) + 1.0 and not own.sure:
        raise InputError(
            f"log p(x|z) rises by {other.mean:.3g} nats where z is the second tensor of encode, and by {own.mean:.3g} "
            "where it is the first; return them in this order: `return mu, logvar`"
        )


@dataclass(frozen=True, eq=False)
class _Excess:
    """t = sigma^2 (1 + h) of the used numbers."""

    ratio: Tensor
    nll: float

    @property
    def mean_ratio(self) -> float:
        return float(self.ratio.mean())

    def misfit(self, share: float) -> float:
        return float(self.ratio.log().abs().quantile(share))

    @property
    def unrest(self) -> float:
        """How far ln t differs between numbers; another KL weight moves all alike, and so leaves this as it is."""
        return float(self.ratio.log().std(correction=0))


def _excess(log_p: LogDensity, x: Tensor, mu: Tensor, logvar: Tensor, used: Tensor) -> _Excess | None:
    """What noise of this width does; None where log p(x|z) has no gradient in z."""
    std = (0.5 * logvar.float()).exp()
    chance = torch.Generator().manual_seed(0)
    pull, nll = torch.zeros_like(mu, dtype=torch.float64), 0.0
    for _ in range(_DRAWS):
        eps = torch.randn(mu.shape, generator=chance).to(mu)
        for noise in (eps, -eps):
            try:
                with torch.enable_grad():
                    z = (mu + std * noise).detach().requires_grad_()
                    value = log_p(x, z)
                    score = torch.autograd.grad(value.sum(), z)[0]
            except (RuntimeError, TypeError, ValueError, NotImplementedError):
                return None
            pull += (score * noise).double() / (2 * _DRAWS)
            nll -= float(value.detach().double().mean()) / (2 * _DRAWS)
    demand = (-pull * std).mean(0).clamp(min=0.0)
    ratio = (std.double().square().mean(0) + demand)[used]
    kl = 0.5 * (mu.double().square() + logvar.double().exp() - logvar.double() - 1.0).flatten(1).sum(1).mean()
    return _Excess(ratio, nll + float(kl)) if bool(ratio.isfinite().all()) and bool((ratio > 0).all()) else None


def _better(
    log_p: LogDensity, x: Tensor, mu: Tensor, second: Tensor, used: Tensor, name: str, found: _Excess
) -> tuple[str, ...]:
    """Whether sigma fits the decoder under another reading, and not under this one."""
    if found.misfit(0.5) < _OFF:
        return ()
    others = [
        (f"takes={other!r}", logvar_from(second, other))
        for other in TAKES
        if other != name and not (other in ("std", "var") and not bool((second > 0.0).all()))
    ]
    fits = []
    for way, logvar in (*others, ("its sign turned, as that of a ln precision", -logvar_from(second, name))):
        read = _excess(log_p, x, mu, logvar, used)
        if read is None or not read.nll < found.nll - 1.0:
            continue
        if read.misfit(0.9) < _FITS and 2.0 * read.unrest < found.unrest:
            fits.append(way)
    if not fits:
        return ()
    return (
        f"Sigma does not fit what the decoder makes of noise. It would with {' or '.join(fits)}: if the second tensor "
        f"of encode is that, say so (it was taken for {name!r}).",
    )
