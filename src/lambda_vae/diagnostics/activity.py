"""Which dimensions the encoder uses: signal power, sigma, KL; read from the moments of `activity_features`."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lambda_vae.distributions import Density, DiagGaussian, TorchDensity
from lambda_vae.estimation.moments import Moments, Reading

__all__ = [
    "ACTIVE_THRESHOLD",
    "active",
    "activity_features",
    "kl_per_dimension",
    "log_precision",
    "signal_power",
    "std_mean",
    "std_spread",
]

#: Burda et al. 2015, arXiv:1509.00519, Section 5.2: a unit is active if Var_x[E[z|x]] exceeds this.
ACTIVE_THRESHOLD = 0.01


def activity_features(q: DiagGaussian, q_sampled: DiagGaussian, prior: Density) -> dict[str, Float[Tensor, "B D"]]:
    """Return what the readings below need of one batch, float64, each [B, D].

    Args:
        q: q_1(z|x), or its marginals where it is no diagonal Gaussian.
        q_sampled: q_lambda(z|x), which z is drawn from, likewise.
        prior: p(z); its marginals are what each dimension's KL is from.
    """
    # In float64 from here on: KL near collapse is a difference of nearly equal numbers.
    q, q_sampled, p_z = (DiagGaussian(d.mu.double(), d.logvar.double()) for d in (q, q_sampled, prior.marginals()))
    kls = [prior.kl_each(one) if isinstance(prior, TorchDensity) else None for one in (q, q_sampled)]
    kl, kl_sampled = (one.kl_per_dim(p_z) if own is None else own for one, own in zip((q, q_sampled), kls, strict=True))
    return {
        "mu": q.mu,
        "mu_sq": q.mu.square(),
        # sigma - 1: its spread keeps its digits where sigma is close to 1, which is where they matter
        "shrink": torch.expm1(0.5 * q.logvar),
        "shrink_sq": torch.expm1(0.5 * q.logvar).square(),
        "logvar": q.logvar,
        "sampling_std": q_sampled.std,
        "sampling_var": q_sampled.var,
        "kl": kl,
        "kl_sampled": kl_sampled,
    }


def signal_power(moments: Moments) -> Reading:
    """Return S_i = Var_x[mu_i(x)], [D]; unit: z squared.

    Source:
        The paper, Section 3.2 (S_i) and Section 6.1 (AU).
    """
    return moments.read(lambda m: (m["mu_sq"] - m["mu"].square()) * moments.unbiased, "z squared")


def active(power: Float[Tensor, " D"], threshold: float = ACTIVE_THRESHOLD) -> Bool[Tensor, " D"]:
    """Return which dimensions are active, S_i > threshold; NaN is not."""
    return power > threshold


def std_mean(moments: Moments) -> Reading:
    """Return E_x[sigma_i(x)], [D]; unit: z."""
    return moments.read(lambda m: 1.0 + m["shrink"], "z")


def std_spread(moments: Moments) -> Reading:
    """Return the standard deviation of sigma_i(x) over x, [D]; unit: z."""
    # The floor, far below float32's own rounding, keeps the root differentiable where sigma does not depend on x.
    return moments.read(
        lambda m: ((m["shrink_sq"] - m["shrink"].square()) * moments.unbiased).clamp(min=1e-24).sqrt(), "z"
    )


def kl_per_dimension(moments: Moments, *, sampled: bool = False) -> Reading:
    """Return E_x[KL(q_i(z|x) || p_i(z))], [D]; unit: nats per example."""
    return moments.read(lambda m: m["kl_sampled" if sampled else "kl"], "nats per example")


def log_precision(moments: Moments) -> Reading:
    """Return E_x[-ln sigma_i(x)^2], [D]; unit: nats.

    Source:
        The paper, Eq. 12: the information gained for each unit of (lambda - 1)/2.
    """
    return moments.read(lambda m: -m["logvar"], "nats")
