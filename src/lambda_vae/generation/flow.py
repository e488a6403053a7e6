"""A normalizing flow fitted to points, on the scale of their own spread."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions import DiagGaussian, Inverse, SplineFlow, TransformedDistribution, standard_normal
from lambda_vae.rng import global_seed

__all__ = ["ScaledFlow", "fit_scaled_flow", "new_flow"]

_LAYERS, _HIDDEN = 2, (128,)

_EPOCHS, _PATIENCE, _BATCH, _LEARNING_RATE = 20, 3, 500, 3e-3


def new_flow(dim: int) -> SplineFlow:
    """Return the flow that is fitted, untrained; the weights are drawn from torch's global generator."""
    return SplineFlow(dim, _LAYERS, _HIDDEN)


@dataclass(frozen=True, eq=False)
class ScaledFlow:
    """The law of mean + std * y, where y is N(0, I) seen through an autoregressive spline flow.

    Its density takes one pass; a draw takes D.

    Args:
        flow: From y to N(0, I).
        mean: [D].
        std: [D].

    Source:
        Papamakarios et al. 2017, arXiv:1705.07057, Eq. 3 and 4, with the splines of Durkan et al. 2019,
        arXiv:1906.04032.
    """

    flow: SplineFlow
    mean: Float[Tensor, " D"]
    std: Float[Tensor, " D"]

    @property
    def noise_dim(self) -> int:
        """D: one number a dimension."""
        return len(self.mean)

    @property
    def _y(self) -> TransformedDistribution:
        return TransformedDistribution(standard_normal(self.noise_dim), Inverse(self.flow()))

    def rsample(self, eps: Float[Tensor, "*sample D"]) -> Float[Tensor, "*sample D"]:
        """Return draws made of standard normal noise."""
        return self.mean + self.std * self._y.rsample(eps)

    def log_prob(self, z: Float[Tensor, "*sample D"]) -> Float[Tensor, "*sample_batch"]:
        """Return the log density at z in nats."""
        return self._y.log_prob((z - self.mean) / self.std) - self.std.log().sum()

    def marginals(self) -> DiagGaussian:
        """Return the diagonal Gaussian with the law's own means and variances, as fixed points measure them."""
        y = self._y.marginals()
        return DiagGaussian(self.mean + self.std * y.mu, y.logvar + 2.0 * self.std.log())


def fit_scaled_flow(points: Float[Tensor, "N D"], seed: int) -> tuple[ScaledFlow, int]:
    """Return the flow of greatest likelihood on a tenth of the points that its training never saw, and its epochs."""
    points = points.float()
    chance = torch.Generator().manual_seed(seed)
    with global_seed(seed):
        law = ScaledFlow(new_flow(points.shape[1]), points.mean(0), points.std(0))
    order = torch.randperm(len(points), generator=chance)
    held_out, fitted = points[order[: len(points) // 10]], points[order[len(points) // 10 :]]
    optimizer = torch.optim.Adam(law.flow.parameters(), _LEARNING_RATE)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _EPOCHS)
    best, kept, since, epoch = _mean_log_prob(law, held_out), deepcopy(law.flow.state_dict()), 0, 0
    while epoch < _EPOCHS and since < _PATIENCE:
        epoch, since = epoch + 1, since + 1
        _one_epoch(law, fitted, optimizer, chance)
        decay.step()
        if (reached := _mean_log_prob(law, held_out)) > best:
            best, kept, since = reached, deepcopy(law.flow.state_dict()), 0
    law.flow.load_state_dict(kept)
    law.flow.requires_grad_(False)
    return law, epoch


def _one_epoch(law: ScaledFlow, points: Tensor, optimizer: torch.optim.Optimizer, chance: torch.Generator) -> None:
    with torch.enable_grad():
        for batch in torch.split(points[torch.randperm(len(points), generator=chance)], _BATCH):
            optimizer.zero_grad()
            (-law.log_prob(batch).mean()).backward()  # type: ignore[no-untyped-call]
            optimizer.step()


@torch.no_grad()
def _mean_log_prob(law: ScaledFlow, points: Tensor) -> float:
    return float(law.log_prob(points).mean())
