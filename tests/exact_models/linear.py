"""The linear VAE, which is probabilistic PCA: likelihood, posterior, bound and collapse in closed form."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import LowRankMultivariateNormal, MultivariateNormal

from lambda_vae.distributions import DiagGaussian, GaussianLikelihood, standard_normal
from lambda_vae.errors import InputError
from lambda_vae.model import VAE
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import StandardNormalPrior

__all__ = ["LinearGaussian", "optimal_linear_gaussian", "surviving"]


@dataclass(frozen=True, eq=False)
class LinearGaussian:
    r"""z ~ N(0, I), x = W z + b + noise of variance v.

    Args:
        weight: W, [F, D]; float64 is best, for these numbers are held to be exact.
        bias: b, [F].
        noise_var: v > 0, the same for every feature.

    Raises:
        InputError: v is not greater than 0.

    Source:
        Tipping and Bishop 1999, "Probabilistic principal component analysis"; Lucas et al. 2019, arXiv:1911.02469.

    Example:
        >>> model = LinearGaussian(torch.tensor([[2.0], [0.0]]), torch.zeros(2), 1.0)
        >>> model.posterior(torch.tensor([[5.0, 1.0]])).mean, model.posterior_covariance
        (tensor([[2.]]), tensor([[0.2000]]))
    """

    weight: Float[Tensor, "F D"]
    bias: Float[Tensor, " F"]
    noise_var: float

    def __post_init__(self) -> None:
        if not 0.0 < self.noise_var < math.inf:
            raise InputError(f"noise_var is {self.noise_var}; it must be greater than 0")

    @property
    def law(self) -> LowRankMultivariateNormal:
        """p(x) = N(b, W W^T + v I)."""
        return LowRankMultivariateNormal(self.bias, self.weight, torch.full_like(self.bias, self.noise_var))

    def nll(self, x: Float[Tensor, "B F"]) -> Float[Tensor, " B"]:
        """Return -ln p(x) in nats, exact.

        Args:
            x: The data.
        """
        nll: Tensor = -self.law.log_prob(x)  # type: ignore[no-untyped-call]
        return nll

    @property
    def precision(self) -> Float[Tensor, "D D"]:
        """Of the true posterior, the same for every x: I + W^T W / v."""
        information: Tensor = self.weight.T @ self.weight / self.noise_var
        return torch.eye(len(information)).to(information) + information

    @property
    def posterior_covariance(self) -> Float[Tensor, "D D"]:
        """Of the true posterior."""
        covariance: Tensor = torch.linalg.inv(self.precision)
        return covariance

    @property
    def gain(self) -> Float[Tensor, "D F"]:
        """What takes x - b to the posterior mean: covariance times W^T / v."""
        gain: Tensor = torch.linalg.solve(self.precision, self.weight.T / self.noise_var)
        return gain

    def posterior(self, x: Float[Tensor, "B F"]) -> MultivariateNormal:
        """Return p(z|x).

        Args:
            x: The data.
        """
        return MultivariateNormal((x - self.bias) @ self.gain.T, precision_matrix=self.precision)

    def best_posterior(self, x: Float[Tensor, "B F"]) -> DiagGaussian:
        """Return the diagonal Gaussian q with the least KL(q || p(z|x)): its mean, one over its precision's diagonal.

        Args:
            x: The data.

        Source:
            Lucas et al. 2019, arXiv:1911.02469, section 4.1, for W with orthogonal columns, where it is p(z|x) itself.
        """
        mu = (x - self.bias) @ self.gain.T
        return DiagGaussian(mu, -self.precision.diagonal().log().expand_as(mu))

    @property
    def gap(self) -> float:
        """By how much the best diagonal posterior's bound exceeds -ln p(x), the same for every x, nats."""
        return float(0.5 * (self.precision.diagonal().log().sum() - torch.logdet(self.precision)))

    def nll_bound(self, x: Float[Tensor, "B F"], q: DiagGaussian) -> Float[Tensor, " B"]:
        """Return E_q[-ln p(x|z)] + KL(q || p) in nats, exact: a quadratic under a Gaussian.

        Args:
            x: The data.
            q: Any diagonal Gaussian, parameters of shape [B, D].
        """
        misfit = (x - self.bias - q.mu @ self.weight.T).square().sum(-1)
        spread = (q.var * self.weight.square().sum(0)).sum(-1)
        log_volume = len(self.bias) * math.log(2.0 * math.pi * self.noise_var)
        rate = q.kl(standard_normal(q.mu.shape[-1], q.mu))
        return 0.5 * ((misfit + spread) / self.noise_var + log_volume) + rate

    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n F"]:
        """Return data drawn from p(x).

        Args:
            n: Examples.
            generator: The source of chance.
        """
        features, dim = self.weight.shape
        z = torch.randn(n, dim, generator=generator, dtype=self.weight.dtype)
        noise = torch.randn(n, features, generator=generator, dtype=self.weight.dtype)
        return z @ self.weight.T + self.bias + math.sqrt(self.noise_var) * noise

    def vae(self, std_factor: float = 1.0) -> VAE:
        """Return the VAE of this model, whose encoder gives the best diagonal posterior.

        Args:
            std_factor: What its sigma is multiplied by, for a posterior that is wrong on purpose.

        Raises:
            InputError: The factor is not greater than 0.
        """
        if not std_factor > 0.0:
            raise InputError(f"std_factor is {std_factor}; it must be greater than 0")
        features, dim = self.weight.shape
        vae = VAE(
            nn.Identity(),
            GaussianPosterior(features, dim),
            StandardNormalPrior(dim),
            nn.Linear(dim, features),
            GaussianLikelihood(features),
        ).to(self.weight.dtype)
        logvar = 2.0 * math.log(std_factor) - self.precision.diagonal().log()
        state = {
            "posterior.head.weight": torch.cat((self.gain, torch.zeros_like(self.gain))),
            "posterior.head.bias": torch.cat((-self.gain @ self.bias, logvar)),
            "decoder.weight": self.weight,
            "decoder.bias": self.bias,
            "likelihood.logvar": torch.full_like(self.bias, math.log(self.noise_var)),
        }
        vae.load_state_dict(state)
        return vae.eval()


def surviving(eigenvalues: Float[Tensor, " F"], noise_var: float) -> Bool[Tensor, " F"]:
    """Return which principal directions a linear VAE at its optimum encodes: those with more variance than the noise.

    Every other latent dimension collapses onto the prior, exactly.

    Args:
        eigenvalues: Of the data's covariance.
        noise_var: v of the decoder.

    Source:
        Lucas et al. 2019, arXiv:1911.02469, section 4: the stationary points of the bound are those of pPCA's
        likelihood, and there w_i = 0 where the eigenvalue is at most v.

    Example:
        >>> surviving(torch.tensor([4.0, 1.5, 0.3]), 1.0)
        tensor([ True,  True, False])
    """
    return eigenvalues > noise_var


def optimal_linear_gaussian(x: Float[Tensor, "N F"], latent_dim: int, noise_var: float | None = None) -> LinearGaussian:
    r"""Return the linear VAE with the greatest likelihood of the data, which is also the one with the best bound.

    .. math:: w_i = \sqrt{\max(0, l_i - v)} \, u_i

    with the eigenvalues l and directions u of the data's covariance. The columns are orthogonal, so a diagonal
    posterior is exact and bound and likelihood have the same maximum.

    Args:
        x: The data.
        latent_dim: D, at most F.
        noise_var: v; None for the best one, the mean of the eigenvalues left out.

    Raises:
        InputError: D is not in 1 to F, there are fewer than 2 examples, or v is left to the data and D = F leaves none.

    Source:
        Tipping and Bishop 1999, Eq. 7 and 8; Lucas et al. 2019, arXiv:1911.02469, section 4.2.
    """
    features = x.shape[1]
    if not 1 <= latent_dim <= features or len(x) < 2:
        raise InputError(f"latent_dim is {latent_dim} with {len(x)} examples of {features} features; it must be 1 to F")
    if noise_var is None and latent_dim == features:
        raise InputError(
            f"latent_dim {latent_dim} leaves no eigenvalue for the noise; give noise_var or fewer dimensions"
        )
    values, directions = torch.linalg.eigh(x.T.cov(correction=0))
    values, directions = values.flip(0), directions.flip(1)
    v = float(values[latent_dim:].mean()) if noise_var is None else noise_var
    scale = (values[:latent_dim] - v).clamp(min=0.0).sqrt()
    return LinearGaussian(directions[:, :latent_dim] * scale, x.mean(0), v)
