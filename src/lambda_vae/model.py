"""The model: x -> encoder -> posterior -> z -> decoder -> likelihood, and the trace of a forward pass."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any

from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from lambda_vae.deprecated import old_lambda, old_name
from lambda_vae.distributions import Density, Likelihood, PosteriorDistribution, Sample, Tokens
from lambda_vae.distributions.base import LikelihoodDistribution
from lambda_vae.equalization import Equalization, Equalized, Sampling
from lambda_vae.posteriors import Posterior
from lambda_vae.priors import Prior

__all__ = ["VAE", "Trace"]


@dataclass(frozen=True, eq=False)
class Trace:
    """All tensors and distributions of one forward pass, which objectives and diagnostics read.

    Args:
        x: The data, [B, F]; of sequences their tokens, padded to the longest of the batch.
        eps: The noise, [K, B, D].
        q: q_1(z|x), the distribution whose KL the paper's loss penalises.
        q_sampled: q_lambda(z|x), the distribution z was drawn from; q itself for every method without lambda.
        p_z: The prior.
        drawn: The draws from `q_sampled` with their density, for the rate.
        z: The same draws as the decoder got them, [K, B, D]; the gradient that arrives here is the reconstruction's
            alone.
        p_x: p(x|z), batch shape [K, B].
        prior_eps: Noise for draws from the prior, [B, P]; None for an objective that needs none.
    """

    x: Shaped[Tensor, "B F"]
    eps: Float[Tensor, "K B D"]
    q: PosteriorDistribution
    q_sampled: PosteriorDistribution
    p_z: Density
    drawn: Sample
    z: Float[Tensor, "K B D"]
    p_x: LikelihoodDistribution
    prior_eps: Float[Tensor, "B P"] | None = None


class VAE(nn.Module):
    """Encoder, posterior, prior, decoder and likelihood, called in turn. No loss inside, no step counter, no logging.

    `equalization` holds lambda: a model that was trained with it, or read from a file, samples and measures with it. It
    is no part of the state dict, and follows the model to any device.

    Args:
        encoder: [B, F] -> h [B, H].
        posterior: h -> q(z|x).
        prior: () -> p(z).
        decoder: [N, D] -> theta, what the likelihood takes of each point: [N, F], or maps [N, P, h, w].
        likelihood: theta -> p(x|z).
        sampling: sigma -> the std that z is sampled with; sigma^lambda if left out.

    Source:
        Kingma and Welling 2014, arXiv:1312.6114; the paper, Eq. 9, for what an exponent does to the sampling step.

    Example:
        >>> import torch
        >>> from lambda_vae.distributions import BernoulliLikelihood
        >>> from lambda_vae.networks import mlp
        >>> from lambda_vae.posteriors import GaussianPosterior
        >>> from lambda_vae.priors import StandardNormalPrior
        >>> posterior, prior = GaussianPosterior(4, 2), StandardNormalPrior(2)
        >>> vae = VAE(mlp(6, (4,)), posterior, prior, mlp(2, (4,), 6), BernoulliLikelihood(6))
        >>> vae(torch.zeros(3, 6), torch.zeros(1, 3, 2)).z.shape
        torch.Size([1, 3, 2])
    """

    def __init__(
        self,
        encoder: nn.Module,
        posterior: Posterior,
        prior: Prior,
        decoder: nn.Module,
        likelihood: Likelihood,
        sampling: Sampling | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.posterior = posterior
        self.prior = prior
        self.decoder = decoder
        self.likelihood = likelihood
        self.equalization = Equalization(sampling=sampling or Equalized())

    @property
    def latent_dim(self) -> int:
        """D, the number of latent dimensions."""
        return self.posterior.latent_dim

    @property
    def sampling(self) -> Sampling:
        """The sampling step."""
        return self.equalization.sampling

    def with_equalization(self, equalization: Equalization) -> "VAE":
        """Return the same model, weights shared, that samples in another way: with another lambda, or without.

        Args:
            equalization: `Equalization()` is the plain VAE's.
        """
        other = copy(self)
        other.equalization = equalization
        return other

    def encode(self, x: Shaped[Tensor, "B F"], xi: Float[Tensor, "B X"] | None = None) -> PosteriorDistribution:
        """Return q_1(z|x), parameters of shape [B, D].

        Args:
            x: The data.
            xi: Noise of an implicit posterior; without it, a q with a density takes its place.
        """
        h = self.encoder(x)
        q: PosteriorDistribution = self.posterior(h) if xi is None else self.posterior(h, xi)
        return q

    @old_lambda(position=2)
    def sampled(self, q: PosteriorDistribution) -> PosteriorDistribution:
        """Return q_lambda(z|x), the distribution z is drawn from; q itself where the sampling step changes nothing.

        Args:
            q: q_1(z|x).
        """
        return self.equalization.sampled(q)

    def p_z(self) -> Density:
        """Return the prior."""
        p: Density = self.prior(self.encode)
        return p

    def decode(self, z: Float[Tensor, "*batch D"]) -> LikelihoodDistribution:
        """Return p(x|z), its batch shape that of z.

        Args:
            z: Latent points.
        """
        theta = self.decoder(z.reshape(-1, z.shape[-1]))
        p_x: LikelihoodDistribution = self.likelihood(theta.view(*z.shape[:-1], *theta.shape[1:]))
        return p_x

    @old_lambda(position=3, improve="refine")
    def forward(
        self,
        x: Shaped[Tensor, "B F"],
        eps: Float[Tensor, "K B D"],
        *,
        xi: Float[Tensor, "B X"] | None = None,
        prior_eps: Float[Tensor, "B P"] | None = None,
        dropped: Bool[Tensor, "B F"] | None = None,
        refine: Callable[[PosteriorDistribution], PosteriorDistribution] | None = None,
    ) -> Trace:
        """Return the trace of one pass; the same noise gives the same trace.

        Args:
            x: The data.
            eps: Standard normal noise: nothing else in a pass is random.
            xi: The same for an implicit posterior, which needs more.
            prior_eps: The same for an objective that needs draws from the prior.
            dropped: Which tokens of x a decoder of sequences does not see: the noise of word dropout.
            refine: What becomes of the encoder's q before z is drawn; nothing if left out.
        """
        q = self.encode(x, xi)
        return self.from_posterior(q if refine is None else refine(q), x, eps, prior_eps, dropped)

    def from_posterior(
        self,
        q: PosteriorDistribution,
        x: Shaped[Tensor, "B F"],
        eps: Float[Tensor, "K B D"],
        prior_eps: Float[Tensor, "B P"] | None = None,
        dropped: Bool[Tensor, "B F"] | None = None,
    ) -> Trace:
        """Return the trace of a pass that begins at q_1(z|x), whether the encoder gave it or not.

        Args:
            q: Parameters of shape [B, D].
            x: The data.
            eps: As for `forward`.
            prior_eps: As for `forward`.
            dropped: As for `forward`.
        """
        q_sampled = self.sampled(q)
        drawn = q_sampled.rsample_and_log_prob(eps)
        z = drawn.z.view_as(drawn.z)
        p_x = self.decode(z)
        if dropped is not None and isinstance(p_x, Tokens):
            p_x = p_x.without(dropped)
        return Trace(
            x=x,
            eps=eps,
            q=q,
            q_sampled=q_sampled,
            p_z=self.p_z(),
            drawn=drawn,
            z=z,
            p_x=p_x,
            prior_eps=prior_eps,
        )

    def onward(self, *given: Any, **named: Any) -> Trace:  # noqa: ANN401 - those of `from_posterior`
        """Return `from_posterior`: its name in the last release."""
        old_name("VAE.onward", "VAE.from_posterior")
        return self.from_posterior(*given, **named)
