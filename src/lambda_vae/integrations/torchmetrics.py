"""torchmetrics: how many latent dimensions are in use, as a Metric that sums up over batches and processes."""

from typing import Any

import torch
from torch import Tensor

from lambda_vae.diagnostics.activity import active, activity_features
from lambda_vae.diagnostics.covariance import StreamedCovariance
from lambda_vae.diagnostics.directions import MOST_DIMENSIONS, code_directions
from lambda_vae.distributions import DiagGaussian
from lambda_vae.equalization import NEAR_PRIOR_STD
from lambda_vae.errors import InputError
from lambda_vae.integrations.tested import needed

needed("torchmetrics", "torchmetrics.Metric")  # raises if one is missing

from torchmetrics import Metric  # noqa: E402

__all__ = ["LatentActivity"]

_SUMS = ("mu", "mu_sq", "shrink", "sampling_var", "kl")


class LatentActivity(Metric):
    """Measures of the posterior alone, as in `diagnose`, for validation loops: no decoder, no likelihood.

    `compute` returns scalars by the names of `docs/measures.md`: active_units, near_prior, kl (nats per example, summed
    over the dimensions), snr_capacity (nats), active_directions, and examples. They are those of all examples since the
    last reset, on all processes; NaN where there are too few (a variance over examples needs two, directions more than
    there are dimensions). Sums are float64, whatever the encoder's precision.

    Args:
        latent_dim: D.
        options: Of `torchmetrics.Metric`.

    Raises:
        InputError: latent_dim is not a positive integer.

    Example:
        >>> metric = LatentActivity(2)
        >>> metric.update(torch.tensor([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]), torch.tensor([[-2.0, 0.0]] * 3))
        >>> found = metric.compute()
        >>> int(found["active_units"]), int(found["near_prior"])
        (1, 1)
    """

    full_state_update = False
    higher_is_better = None
    is_differentiable = False

    examples: Tensor
    sum_mu: Tensor
    outer: Tensor

    def __init__(self, latent_dim: Any, **options: Any) -> None:
        super().__init__(**options)
        if not isinstance(latent_dim, int) or latent_dim < 1:
            raise InputError(f"latent_dim is {latent_dim!r}; give the number of latent dimensions, LatentActivity(16)")
        self.latent_dim = latent_dim
        self.add_state("examples", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        for name in _SUMS:
            self.add_state(f"sum_{name}", torch.zeros(latent_dim, dtype=torch.float64), dist_reduce_fx="sum")
        width = latent_dim if latent_dim <= MOST_DIMENSIONS else 0
        self.add_state("outer", torch.zeros(width, width, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, mu: Tensor, logvar: Tensor) -> None:
        """Add a batch of posteriors N(mu, exp(logvar)), whose prior is N(0, I).

        Args:
            mu: Means.
            logvar: ln sigma^2.

        Raises:
            InputError: Not both [B, latent_dim] and floating.
        """
        shapes = [list(part.shape) for part in (mu, logvar)]
        if any(len(shape) != 2 or shape[1] != self.latent_dim for shape in shapes) or shapes[0] != shapes[1]:
            raise InputError(
                f"mu has shape {shapes[0]} and logvar {shapes[1]}; LatentActivity({self.latent_dim}) takes both as "
                f"[B, {self.latent_dim}]; call it with mu.flatten(1), logvar.flatten(1) where a code has sites"
            )
        if not (mu.is_floating_point() and logvar.is_floating_point()):
            raise InputError(f"mu is {mu.dtype} and logvar {logvar.dtype}; LatentActivity takes floating numbers")
        q = DiagGaussian(mu.detach().double(), logvar.detach().double())
        features = activity_features(q, q, DiagGaussian(torch.zeros_like(q.mu), torch.zeros_like(q.mu)))
        self.examples += len(mu)
        for name in _SUMS:
            setattr(self, f"sum_{name}", getattr(self, f"sum_{name}") + features[name].sum(0))
        if len(self.outer):
            self.outer += q.mu.T @ q.mu

    def compute(self) -> dict[str, Tensor]:
        """Return the counts and sums over everything seen, one float64 number each."""
        n = self.examples
        mean = {name: getattr(self, f"sum_{name}") / n for name in _SUMS}
        enough = n > 1
        signal = (mean["mu_sq"] - mean["mu"].square()) * torch.where(enough, n / (n - 1), torch.nan)
        std = 1.0 + mean["shrink"]
        return {
            "active_units": _count(active(signal), signal),
            "near_prior": _count(std > NEAR_PRIOR_STD, std),
            "kl": mean["kl"].sum(),
            "snr_capacity": 0.5 * torch.log1p(signal / mean["sampling_var"]).sum(),
            "active_directions": self._directions(mean["sampling_var"]),
            "examples": n.clone(),
        }

    def _directions(self, noise: Tensor) -> Tensor:
        if not len(self.outer) or int(self.examples) <= self.latent_dim:
            return torch.full_like(self.examples, torch.nan)
        seen = StreamedCovariance(self.latent_dim, self.outer.device)
        seen.count, seen.total, seen.products = int(self.examples), self.sum_mu, self.outer
        return torch.full_like(self.examples, float(code_directions(seen, noise).active))


def _count(which: Tensor, values: Tensor) -> Tensor:
    """A count; NaN if any of the values is, as in a report."""
    return torch.where(values.isnan().any(), torch.nan, which.sum().double())
