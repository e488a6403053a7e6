"""Equations 9 to 17 of the paper, and what they predict: pure functions of numbers.

A function of sigma (`std`) or lambda (`exponent`) takes floats and returns a float, or takes tensors that broadcast and
returns a tensor, differentiable, in float32 or better. Information is in nats, for one latent dimension. A float out of
range is an InputError; the values of a tensor are not checked, since training would wait for the device.

One rule is ours: where sigma >= 1, sigma^lambda would widen the noise instead of narrowing it, so the noise is left as
it is, and every function here is about the noise that is sampled.
"""

import math
from collections.abc import Callable
from functools import reduce
from typing import NamedTuple, TypeVar, cast, overload

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.errors import require_within

__all__ = [
    "NEAR_PRIOR_STD",
    "FixedPoint",
    "attractor_std",
    "critical_std",
    "excess_kl",
    "gradient_amplification",
    "information_gain",
    "joint_fixed_point",
    "narrowing",
    "narrowing_of_log",
    "net_information_gain",
    "optimal_exponent",
    "predicted_capacity",
    "predicted_sampling_std",
    "sampling_logvar",
    "sampling_std",
]

Number = TypeVar("Number", float, Float[Tensor, "..."])

#: sigma of a collapsed dimension, at least: Eq. 16 divides by ln sigma, which changes sign at 1.
COLLAPSED_STD = 1.0 - 1e-6

#: sigma of a dimension near the prior, at least: the paper's count of collapsed dimensions on images (Section 6.2).
NEAR_PRIOR_STD = 0.9

_DOMAIN: dict[str, tuple[Callable[[float], bool], str]] = {
    "delta": (lambda value: value > 1, "greater than 1 (inf is the plain VAE)"),
    "std": (lambda value: value > 0, "positive"),
    "exponent": (lambda value: value >= 1, "at least 1"),
    "max_exponent": (lambda value: 1 <= value < math.inf, "finite and at least 1"),
    "signal_power": (lambda value: value >= 0, "at least 0"),
    "latent_dim": (lambda value: value >= 1, "at least 1"),
}


class FixedPoint(NamedTuple):
    """The joint equilibrium of sigma and lambda."""

    exponent: float
    std: float


def critical_std(delta: float) -> float:
    """Return sigma_c, the posterior std above which an exponent pays, and the noise it then leaves; 1 for delta = inf.

    Args:
        delta: The price of an extra nat of KL, > 1.

    Source:
        The paper, Eq. 17. Deviation: sqrt(1 - 1/delta) is written so that it keeps its digits as delta goes to 1.

    Example:
        >>> round(critical_std(1.01), 4)
        0.0995
    """
    return math.exp(_log_critical_std(delta))


def optimal_exponent(std: Number, delta: float, max_exponent: float = 20.0) -> Number:
    r"""Return lambda*, the exponent with the greatest net information gain, between 1 and `max_exponent`.

    .. math:: \lambda^* = \max\Bigl(1, \frac{\ln(1 - 1/\delta)}{2 \ln\sigma}\Bigr)

    Args:
        std: Posterior std.
        delta: > 1; inf gives 1, the plain VAE.
        max_exponent: What a collapsed dimension gets.

    Source:
        The paper, Eq. 16 and Proposition 3. Deviation: from sigma = 1 - 1e-6 on, `max_exponent`: the limit at 1 is
        infinite, and above it the paper's max(1, .) would give 1 just where the collapse is complete.

    Example:
        >>> round(optimal_exponent(0.4, 1.01), 2), optimal_exponent(0.05, 1.01), optimal_exponent(1.0, 1.01)
        (2.52, 1.0, 20.0)
    """
    require(max_exponent=max_exponent)
    log_critical = _log_critical_std(delta)
    collapsed = max_exponent if delta < math.inf else 1.0

    def formula(std: Tensor) -> Tensor:
        exponent = log_critical / std.clamp(max=COLLAPSED_STD).log()
        return torch.where(std >= COLLAPSED_STD, collapsed, exponent.clamp(1.0, max_exponent))

    return _lift(formula, std=std)


def attractor_std(exponent: Number) -> Number:
    r"""Return sigma*, the std at which an exponent neither amplifies nor damps the reconstruction gradient.

    .. math:: \sigma^* = \lambda^{-1/(\lambda - 1)}, \quad \sigma^* \to 1/e \text{ as } \lambda \to 1

    Args:
        exponent: lambda.

    Source:
        The paper, Eq. 13. It attracts under d sigma/dt = sigma - lambda sigma^lambda, with rate lambda - 1.

    Example:
        >>> attractor_std(2.0)
        0.5
    """

    def formula(exponent: Tensor) -> Tensor:
        x = exponent - 1
        series = 1 - x / 2 + x.square() / 3  # of ln(1 + x) / x, which is 0/0 at lambda = 1
        near = x.abs() < 1e-5
        return torch.exp(-torch.where(near, series, x.log1p() / torch.where(near, 1.0, x)))

    return _lift(formula, exponent=exponent)


def joint_fixed_point(delta: float, max_exponent: float = 20.0) -> FixedPoint:
    """Return the solution of Eq. 13 and Eq. 16 together: lambda is best for sigma, and sigma the attractor of lambda.

    Both hold where sigma*(lambda)^lambda = sigma_c. The left side falls from 1/e at lambda = 1, so for delta above
    1 / (1 - e^-2), about 1.157, no exponent above 1 solves it: lambda is at the minimum of Eq. 16, which is 1, sigma at
    its limit 1/e, and nothing is equalized. Likewise lambda is `max_exponent` for delta close to 1.

    Args:
        delta: > 1.
        max_exponent: The greatest exponent allowed.

    Example:
        >>> exponent, std = joint_fixed_point(1.01)
        >>> round(exponent, 1), round(std, 2), joint_fixed_point(2.0).exponent
        (7.3, 0.73, 1.0)
    """
    require(max_exponent=max_exponent)
    critical = critical_std(delta)
    low, high = 1.0, max_exponent
    if attractor_std(high) ** high > critical:
        low = high
    for _ in range(64):  # bisection: each halving gains a bit, 64 exhaust a double
        middle = 0.5 * (low + high)
        low, high = (middle, high) if attractor_std(middle) ** middle > critical else (low, middle)
    return FixedPoint(high, attractor_std(high))


def sampling_std(std: Number, exponent: Number | float) -> Number:
    """Return the std that z is sampled with: sigma^lambda, but sigma bit for bit where sigma >= 1 or lambda = 1.

    Args:
        std: Posterior std.
        exponent: lambda.

    Source:
        The paper, Eq. 9. Deviation: the rule for sigma >= 1 at the head of this module.

    Example:
        >>> sampling_std(0.5, 2.0), sampling_std(1.5, 2.0)
        (0.25, 1.5)
    """
    return _lift(
        # clamped, since the gradient of the branch that is not taken must be finite as well
        lambda std, exponent: torch.where((std >= 1) | (exponent == 1), std, std.clamp(max=1.0) ** exponent),
        std=std,
        exponent=exponent,
    )


def narrowing(std: Number, exponent: Number | float) -> Number:
    """Return sigma^(lambda - 1), the factor of a draw's distance from the mean; exactly 1 at lambda = 1.

    z' = mu + narrowing * (z - mu) turns a draw z ~ N(mu, sigma^2) into one from N(mu, sigma^(2 lambda)).

    Args:
        std: Posterior std.
        exponent: lambda.

    Source:
        The paper, Eq. 9. Deviation: the rule for sigma >= 1 at the head of this module. Below the
        smallest normal number sigma counts as that number and gets no gradient, which would be infinite for lambda < 2.

    Example:
        >>> narrowing(0.5, 3.0), narrowing(0.5, 1.0), narrowing(1.5, 3.0)
        (0.25, 1.0, 1.0)
    """

    def formula(std: Tensor, exponent: Tensor) -> Tensor:
        # clamped, since the gradient of the branch that is not taken must be finite as well; sigma^0 is 1, without any
        return torch.where(std >= 1, 1.0, std.clamp(torch.finfo(std.dtype).tiny, 1.0) ** (exponent - 1))

    return _lift(formula, std=std, exponent=exponent)


def narrowing_of_log(log_std: Number, exponent: Number | float) -> Number:
    """Return `narrowing` as a function of ln sigma, with fewer operations; at sigma = 1 it has a gradient.

    Args:
        log_std: ln sigma.
        exponent: lambda.

    Source:
        The paper, Eq. 9, as for `narrowing`.
    """
    least = math.log(torch.finfo(torch.float32).tiny)
    formula = lambda log_std, exponent: torch.exp(log_std.clamp(least, 0.0) * (exponent - 1))  # noqa: E731
    return _lift(formula, log_std=log_std, exponent=exponent)


def sampling_logvar(logvar: Number, exponent: Number | float) -> Number:
    """Return ln of the variance that z is sampled with: `sampling_std` as a function of ln sigma^2.

    Args:
        logvar: ln sigma^2.
        exponent: lambda.

    Source:
        The paper, Eq. 9. Deviation: the rule for sigma >= 1 at the head of this module.

    Example:
        >>> sampling_logvar(-1.5, 2.0), sampling_logvar(0.5, 2.0)
        (-3.0, 0.5)
    """
    return _lift(
        lambda logvar, exponent: torch.where(logvar < 0, exponent * logvar, logvar), logvar=logvar, exponent=exponent
    )


def gradient_amplification(std: Number, exponent: Number | float) -> Number:
    """Return lambda sigma^(lambda - 1), the factor of an exponent on the reconstruction gradient.

    Args:
        std: Posterior std.
        exponent: lambda.

    Source:
        The paper, Eq. 11. Deviation: 1 where sigma >= 1, whose noise is left as it is.

    Example:
        >>> gradient_amplification(0.5, 2.0), gradient_amplification(0.75, 2.0)
        (1.0, 1.5)
    """
    return _lift(
        lambda std, exponent: torch.where(std >= 1, 1.0, exponent * std.clamp(max=1.0) ** (exponent - 1)),
        std=std,
        exponent=exponent,
    )


def information_gain(std: Number, exponent: Number | float) -> Number:
    """Return (lambda - 1) |ln sigma|, the information about x gained by the narrower noise, >= 0.

    Args:
        std: Posterior std.
        exponent: lambda.

    Source:
        The paper, Eq. 12, one dimension at one sigma. It assumes that the entropy of z stays as it is.

    Example:
        >>> round(information_gain(0.5, 2.0), 4)
        0.6931
    """
    return _lift(lambda std, exponent: (exponent - 1) * std.clamp(max=1.0).log().abs(), std=std, exponent=exponent)


def excess_kl(std: Number, exponent: Number | float) -> Number:
    r"""Return KL(q_lambda || p) - KL(q_1 || p), the excess over the KL in the paper's loss, >= 0.

    .. math:: \tfrac12 \bigl(\sigma^{2\lambda} - \sigma^2 - \ln\sigma^{2\lambda} + \ln\sigma^2\bigr)

    Args:
        std: Posterior std.
        exponent: lambda.

    Source:
        The paper, Eq. 14. Deviation: expm1 keeps its digits near collapse, where all four terms cancel.

    Example:
        >>> round(excess_kl(0.5, 2.0), 4)
        0.5994
    """

    def formula(std: Tensor, exponent: Tensor) -> Tensor:
        logvar = 2 * std.clamp(max=1.0).log()
        change = (exponent - 1) * logvar
        return 0.5 * (change.expm1() - change + logvar.expm1() * change.expm1())

    return _lift(formula, std=std, exponent=exponent)


def net_information_gain(std: Number, exponent: Number | float, delta: float) -> Number:
    """Return J = information gain - delta * excess KL, which lambda* maximises.

    Args:
        std: Posterior std.
        exponent: lambda.
        delta: > 1; inf gives 0 at exponent 1 and -inf elsewhere.

    Source:
        The paper, Eq. 15.

    Example:
        >>> net_information_gain(0.5, optimal_exponent(0.5, 1.1), 1.1) > net_information_gain(0.5, 1.0, 1.1)
        True
    """
    require(delta=delta)

    def formula(std: Tensor, exponent: Tensor) -> Tensor:
        cost = delta * excess_kl(std, exponent)
        if delta == math.inf:
            cost = torch.where(cost.isnan() & ~std.isnan(), 0.0, cost)  # inf times a cost of 0
        return information_gain(std, exponent) - cost

    return _lift(formula, std=std, exponent=exponent)


def predicted_sampling_std(std: Number, delta: float, max_exponent: float = 20.0) -> Number:
    """Return the noise at lambda*: min(sigma, sigma_c) as far as `max_exponent` allows; sigma from 1 on.

    Args:
        std: Posterior std.
        delta: > 1.
        max_exponent: The greatest exponent allowed.

    Source:
        The paper, Eq. 30: delta fixes the noise by itself, whatever sigma is above sigma_c.

    Example:
        >>> round(predicted_sampling_std(0.4, 1.01), 4), predicted_sampling_std(0.05, 1.01)
        (0.0995, 0.05)
    """
    return sampling_std(std, optimal_exponent(std, delta, max_exponent))


@overload
def predicted_capacity(latent_dim: int, delta: float, signal_power: float = 1.0) -> float: ...
@overload
def predicted_capacity(latent_dim: int, delta: float, signal_power: Float[Tensor, "..."]) -> Float[Tensor, "..."]: ...
def predicted_capacity(
    latent_dim: int, delta: float, signal_power: float | Float[Tensor, "..."] = 1.0
) -> float | Float[Tensor, "..."]:
    """Return the capacity in nats of `latent_dim` Gaussian channels whose noise is sigma_c, fixed by delta alone.

    Args:
        latent_dim: D.
        delta: > 1; inf is a channel as noisy as the prior.
        signal_power: S, the variance of mu over the data.

    Source:
        The paper, Eq. 7 with the noise of Eq. 30.

    Example:
        >>> round(predicted_capacity(30, 1.01), 1), round(predicted_capacity(30, 1.10), 1)
        (69.4, 37.3)
    """
    require(latent_dim=latent_dim)
    noise = critical_std(delta) ** 2
    return _lift(lambda signal_power: 0.5 * latent_dim * torch.log1p(signal_power / noise), signal_power=signal_power)


def _log_critical_std(delta: float) -> float:
    """Return ln sqrt(1 - 1/delta)."""
    require(delta=delta)
    return -0.5 * math.log1p(1 / (delta - 1))


def require(**values: int | float | Tensor) -> None:
    """Raise InputError for a number outside the domain that `_DOMAIN` gives its name; tensors pass."""
    for name, value in values.items():
        if name in _DOMAIN and not isinstance(value, Tensor):
            require_within(name, value, *_DOMAIN[name])


def _lift(formula: Callable[..., Tensor], **values: Number | float) -> Number:
    """Apply a formula of tensors: floats pass through float64 and come back as a float, halves become float32."""
    require(**values)
    given: list[float | Tensor] = list(values.values())
    dtypes = [value.dtype for value in given if isinstance(value, Tensor)]
    dtype = reduce(torch.promote_types, dtypes, torch.float32) if dtypes else torch.float64
    result = formula(**{name: torch.as_tensor(value, dtype=dtype) for name, value in values.items()})
    return cast(Number, result if dtypes else result.item())
