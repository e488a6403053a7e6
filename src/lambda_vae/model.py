"""The corridor: x -> encoder -> posterior -> z -> decoder -> likelihood, and the trace of what went by."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from lambda_vae.distributions import DiagGaussian, Likelihood
from lambda_vae.distributions.likelihood import Observation
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import StandardNormalPrior

__all__ = ["VAE", "Trace"]


@dataclass(frozen=True, eq=False)
class Trace:
    """Everything that went by in one pass; objectives and diagnostics read it.

    Args:
        x: The data, [B, F].
        eps: The noise, [K, B, D].
        q: q_1(z|x), the law whose KL the paper's loss penalises.
        q_sampled: q_lambda(z|x), the law z was drawn from; q itself for every method without lambda.
        p_z: The prior.
        z: The sample, [K, B, D].
        p_x: p(x|z), batch shape [K, B].
    """

    x: Float[Tensor, "B F"]
    eps: Float[Tensor, "K B D"]
    q: DiagGaussian
    q_sampled: DiagGaussian
    p_z: DiagGaussian
    z: Float[Tensor, "K B D"]
    p_x: Observation


class VAE(nn.Module):
    """Five rooms on one corridor. No loss inside, no step counter, no logging.

    Args:
        encoder: [B, F] -> h [B, H].
        posterior: h -> q(z|x).
        prior: () -> p(z).
        decoder: [N, D] -> theta [N, F].
        likelihood: theta -> p(x|z).

    Source:
        Kingma and Welling 2014, arXiv:1312.6114; the paper, Eq. 9, for what an exponent does to the sampling step.

    Example:
        >>> import torch
        >>> from lambda_vae.distributions import BernoulliLikelihood
        >>> from lambda_vae.networks import mlp
        >>> posterior, prior = GaussianPosterior(4, 2), StandardNormalPrior(2)
        >>> vae = VAE(mlp(6, (4,)), posterior, prior, mlp(2, (4,), 6), BernoulliLikelihood(6))
        >>> vae(torch.zeros(3, 6), torch.zeros(1, 3, 2)).z.shape
        torch.Size([1, 3, 2])
    """

    def __init__(
        self,
        encoder: nn.Module,
        posterior: GaussianPosterior,
        prior: StandardNormalPrior,
        decoder: nn.Module,
        likelihood: Likelihood,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.posterior = posterior
        self.prior = prior
        self.decoder = decoder
        self.likelihood = likelihood

    @property
    def latent_dim(self) -> int:
        """D, the number of latent dimensions."""
        return self.posterior.latent_dim

    def encode(self, x: Float[Tensor, "B F"]) -> DiagGaussian:
        """Return q_1(z|x), parameters of shape [B, D].

        Args:
            x: The data.
        """
        q: DiagGaussian = self.posterior(self.encoder(x))
        return q

    def decode(self, z: Float[Tensor, "*batch D"]) -> Observation:
        """Return p(x|z), its batch shape that of z.

        Args:
            z: Latent points.
        """
        theta = self.decoder(z.reshape(-1, z.shape[-1]))
        p_x: Observation = self.likelihood(theta.view(*z.shape[:-1], -1))
        return p_x

    def forward(
        self, x: Float[Tensor, "B F"], eps: Float[Tensor, "K B D"], exponent: Float[Tensor, " D"] | None = None
    ) -> Trace:
        """Return the trace of one pass; the same `eps` gives the same trace.

        Args:
            x: The data.
            eps: Standard normal noise: the only door for chance.
            exponent: lambda of the equalizer, one for each dimension; None is the plain VAE.
        """
        q = self.encode(x)
        q_sampled = q.equalized(exponent)
        z = q_sampled.rsample(eps)
        return Trace(x=x, eps=eps, q=q, q_sampled=q_sampled, p_z=self.prior(), z=z, p_x=self.decode(z))
