"""What every dimension did during an epoch of training, from a few small tensor operations a step."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.diagnostics.activity import ACTIVE_THRESHOLD
from lambda_vae.equalization import Equalized, Sampling
from lambda_vae.errors import InputError

__all__ = ["TrainingMoments", "TrainingReading"]

#: Rows of the state: means of these over the epoch, one a dimension. `shrink` is sigma - 1, small near collapse, so
#: that sums of squares keep their digits exactly where they matter.
_ROWS = ("mu", "shrink", "score", "pull", "mu_sq", "shrink_sq", "score_sq", "pull_sq", "logvar", "inverse_std")


@dataclass(frozen=True, eq=False)
class TrainingReading:
    """One epoch, per dimension, float64, [D].

    Args:
        std_mean: Mean of sigma(x).
        sampling_std: What the sampling step makes of the mean sigma.
        std_spread: Standard deviation of sigma(x) over x.
        signal_power: S = Var_x[mu(x)].
        kl: KL(q_1 || N(0, 1)) in nats per example.
        reconstruction_gradient: E[d log p(x|z)/dz * eps], nats per unit of sigma.
        gradient_ratio: |g| over the KL term's pull, times Eq. 11's amplification under lambda.
        gradient_ratio_stderr: Its standard error, from the scatter of g alone.
        decoder_capacity: RMS of d log p(x|z)/dz, nats per unit of z.
        active_threshold: S above it counts as active.
    """

    std_mean: Float[Tensor, " D"]
    sampling_std: Float[Tensor, " D"]
    std_spread: Float[Tensor, " D"]
    signal_power: Float[Tensor, " D"]
    kl: Float[Tensor, " D"]
    reconstruction_gradient: Float[Tensor, " D"]
    gradient_ratio: Float[Tensor, " D"]
    gradient_ratio_stderr: Float[Tensor, " D"]
    decoder_capacity: Float[Tensor, " D"]
    active_threshold: float = ACTIVE_THRESHOLD

    @property
    def active_units(self) -> float:
        """How many dimensions have S above the threshold; NaN where any S is NaN."""
        if bool(self.signal_power.isnan().any()):
            return float("nan")
        return float((self.signal_power > self.active_threshold).sum())

    @property
    def dimensions(self) -> dict[str, list[float]]:
        """The lists that a history keeps, by name."""
        names = (
            "std_mean", "sampling_std", "std_spread", "signal_power", "kl", "reconstruction_gradient", "gradient_ratio",
            "decoder_capacity",
        )  # fmt: skip
        return {name: getattr(self, name).tolist() for name in names}


class TrainingMoments:
    """Sums over an epoch of what `TrainingReading` needs; the class only adds, `compute` does the arithmetic.

    The state is one float64 tensor and a count, so it goes into a checkpoint, and adding the states of several
    processes gives the state of all. No host synchronisation. Batches of equal examples weigh equally, whatever their
    size.

    Args:
        latent_dim: D.
        device: Where the batches are.

    Source:
        The paper, Eq. 3, 7, 11, 18 and 19. Deviation: the KL term's pull is |E_x[1/sigma(x) - sigma(x)]|, not taken
        at the mean sigma: that is what Eq. 3 says of an encoder whose sigma varies with x, and it makes rho = 1 at
        every equilibrium.

    Example:
        >>> moments = TrainingMoments(2)
        >>> mu = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> moments.update(torch.zeros(2, 2), torch.ones(2, 2), mu, torch.zeros(2, 2))
        >>> moments.compute().dimensions["signal_power"]
        [1.0, 0.0]
    """

    def __init__(self, latent_dim: int, device: torch.device | str = "cpu") -> None:
        self.latent_dim = latent_dim
        self.sums = torch.zeros(len(_ROWS) * latent_dim, dtype=torch.float64, device=device)
        self.count = 0

    def update(
        self,
        dlogp_dz: Float[Tensor, "B D"],
        eps: Float[Tensor, "B D"],
        mu: Float[Tensor, "B D"],
        logvar: Float[Tensor, "B D"],
    ) -> None:
        """Add one batch.

        Args:
            dlogp_dz: Gradient of each example's own log p(x|z) with respect to its z.
            eps: The noise that made z.
            mu: Of q_1.
            logvar: Of q_1, ln sigma^2.
        """
        with torch.no_grad():
            shrink = torch.expm1(0.5 * logvar)
            paired = torch.cat((mu, shrink, dlogp_dz, dlogp_dz * eps), 1)
            rows = torch.cat((paired, paired * paired, logvar, (shrink + 1.0).reciprocal_()), 1)
            self.sums.add_(rows.sum(0, dtype=torch.float64))
        self.count += len(mu)

    def compute(
        self,
        exponent: Float[Tensor, " D"] | None = None,
        active_threshold: float = ACTIVE_THRESHOLD,
        sampling: Sampling | None = None,
    ) -> TrainingReading:
        """Return the reading of everything added since the last reset; NaN before the first batch.

        Args:
            exponent: lambda during the epoch; None for the plain VAE.
            active_threshold: S above it counts as active.
            sampling: The sampling step; sigma^lambda if left out.
        """
        rule = sampling or Equalized()
        lambda_ = None if exponent is None else exponent.cpu().double()
        means = self.sums.cpu() / (self.count or float("nan"))
        m = dict(zip(_ROWS, means.view(len(_ROWS), self.latent_dim), strict=True))
        std = 1.0 + m["shrink"]
        force = (m["inverse_std"] - std).abs()
        amplification = rule.amplification(std, lambda_)
        stderr = ((m["pull_sq"] - m["pull"].square()).clamp(min=0.0) / (self.count or float("nan"))).sqrt()
        return TrainingReading(
            std_mean=std,
            sampling_std=torch.exp(0.5 * rule.logvar(2.0 * torch.log1p(m["shrink"]), lambda_)),
            std_spread=(m["shrink_sq"] - m["shrink"].square()).clamp(min=0.0).sqrt(),
            signal_power=(m["mu_sq"] - m["mu"].square()).clamp(min=0.0),
            kl=0.5 * (m["mu_sq"] + m["shrink_sq"] + 2.0 * m["shrink"] - m["logvar"]),
            reconstruction_gradient=m["pull"],
            gradient_ratio=amplification * m["pull"].abs() / force,
            gradient_ratio_stderr=amplification * stderr / force,
            decoder_capacity=m["score_sq"].sqrt(),
            active_threshold=active_threshold,
        )

    def reset(self) -> None:
        """Start a new epoch."""
        self.sums.zero_()
        self.count = 0

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state as tensors; sums over processes are states too."""
        return {"sums": self.sums.clone(), "count": torch.tensor(self.count, device=self.sums.device)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take up a state.

        Args:
            state: From `state_dict`.

        Raises:
            InputError: It belongs to another number of dimensions.
        """
        if state["sums"].shape != self.sums.shape:
            raise InputError(
                f"the state holds {state['sums'].numel() // len(_ROWS)} dimensions, the model {self.latent_dim}; "
                "use the checkpoint of this model"
            )
        self.sums.copy_(state["sums"])
        self.count = int(state["count"])
