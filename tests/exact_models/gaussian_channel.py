"""The Gaussian channel, Z = mu(X) + noise with Gaussian mu(X): every information measure in closed form."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.errors import InputError

__all__ = ["GaussianChannel"]

_LOG_2PI = math.log(2.0 * math.pi)


@dataclass(frozen=True, eq=False)
class GaussianChannel:
    r"""z = mu + std * eps with mu ~ N(0, signal): q(z) = N(0, signal + diag(std^2)).

    All numbers are in nats, for the law of mu itself, not for a finite set drawn from it; the prior is N(0, I).

    Args:
        signal: Covariance of mu, [D, D]; its diagonal is the signal power S.
        std: Noise, the same for every x, [D], > 0.

    Raises:
        InputError: Noise that is not greater than 0.

    Source:
        Cover and Thomas, *Elements of Information Theory*, chapter 9; the paper, Eq. 7.

    Example:
        >>> channel = GaussianChannel(torch.tensor([[3.0]]), torch.ones(1))
        >>> round(channel.information, 4), round(0.5 * math.log(1 + 3 / 1), 4)
        (0.6931, 0.6931)
    """

    signal: Float[Tensor, "D D"]
    std: Float[Tensor, " D"]

    def __post_init__(self) -> None:
        if not bool((self.std > 0).all()):
            raise InputError(f"the smallest noise is {float(self.std.min())}; all must be greater than 0")
        object.__setattr__(self, "signal", self.signal.double())
        object.__setattr__(self, "std", self.std.double())

    def codes(self, count: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Return mu and logvar of a data set drawn from the channel, each [N, D], float64.

        Args:
            count: N.
            generator: The source of chance.
        """
        values, vectors = torch.linalg.eigh(self.signal)
        root = vectors * values.clamp(min=0.0).sqrt()
        noise = torch.randn(count, len(self.std), dtype=torch.float64, generator=generator)
        return noise @ root.T, (2.0 * self.std.log()).expand(count, -1)

    @property
    def covariance(self) -> Float[Tensor, "D D"]:
        """Of z, signal + diag(std^2)."""
        return self.signal + torch.diag(self.std.square())

    @property
    def entropy(self) -> float:
        """H[Z], differential."""
        return float(0.5 * (torch.logdet(self.covariance) + len(self.std) * (1.0 + _LOG_2PI)))

    @property
    def information(self) -> float:
        """I(X;Z) = 1/2 ln det(I + signal/std^2)."""
        return float(0.5 * torch.logdet(self.covariance) - self.std.log().sum())

    @property
    def marginal_information(self) -> Float[Tensor, " D"]:
        """I(X;Z_i) = 1/2 ln(1 + S_i/std_i^2), [D]."""
        return 0.5 * torch.log1p(self.signal.diagonal() / self.std.square())

    @property
    def total_correlation(self) -> float:
        """KL(q(z) || prod_i q(z_i)): what the dimensions say twice."""
        return float(0.5 * (self.covariance.diagonal().log().sum() - torch.logdet(self.covariance)))

    @property
    def dimension_wise_kl(self) -> Float[Tensor, " D"]:
        """KL(q(z_i) || N(0, 1)), [D]."""
        var = self.covariance.diagonal()
        return 0.5 * (var - 1.0 - var.log())

    @property
    def mismatch(self) -> float:
        """KL(q(z) || N(0, I))."""
        return self.total_correlation + float(self.dimension_wise_kl.sum())

    @property
    def rate(self) -> float:
        """E_x KL(q(z|x) || N(0, I))."""
        var = self.std.square()
        return float(0.5 * (self.signal.diagonal() + var - 1.0 - var.log()).sum())
