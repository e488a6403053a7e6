"""The semi-implicit posterior: a Gaussian whose mean and std depend on noise of their own."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from lambda_vae.distributions import DiagGaussian, GaussianMixture
from lambda_vae.distributions.base import at_least_float32
from lambda_vae.errors import InputError
from lambda_vae.posteriors.posterior import Posterior

__all__ = ["ImplicitPosterior"]

#: ln sigma^2 never falls below: sigma > 0.01. Components without width would have no density.
_LOGVAR_FLOOR = 2.0 * math.log(0.01)


class ImplicitPosterior(Posterior):
    r"""z = mu(h, xi) + sigma(h, xi) * eps with xi ~ N(0, I): a distribution of any shape that can be drawn from.

    Given xi it is a Gaussian; with xi integrated out it has no density in closed form, and training needs an adversary
    for its rate. When it is measured (no xi given), another distribution takes its place, whose density is exact: the
    mixture

    .. math:: q_J(z|x) = \frac1J \sum_j N(z;\, \mu(h, \xi_j), \sigma(h, \xi_j)^2)

    over J fixed draws of xi, saved with the weights. Bounds from it are valid whatever these xi are: -ELBO bounds
    -log p(x) for any distribution of z given x, and q_J is one, drawn from exactly and with its own density in the
    rate. That it is not quite the distribution that was trained can loosen the bound, never break it.

    Args:
        features: Length of h.
        latent_dim: D.
        mixing_dim: X, the length of xi; with a posterior that ignores it, the diagonal Gaussian remains. J points fill
            a plane but no space of many dimensions: with a long xi the single Gaussians become narrow and far apart,
            and the bound loose.
        width: Units of the small network that h and xi enter.
        components: J.

    Raises:
        InputError: A size below 1.

    Source:
        Mescheder et al. 2017, arXiv:1701.04722, for the implicit posterior of AVB; Yin and Zhou 2018, arXiv:1805.11183,
        Eq. 1, for this form and its finite mixture. Deviation: xi enters behind the encoder, which is the same for all
        methods, not at its input.
    """

    xi: Tensor

    def __init__(
        self, features: int, latent_dim: int, mixing_dim: int = 2, width: int = 64, components: int = 64
    ) -> None:
        for name, size in (("mixing_dim", mixing_dim), ("width", width), ("components", components)):
            if size < 1:
                raise InputError(f"{name} is {size}; it must be at least 1")
        super().__init__(latent_dim, mixing_dim)
        self.from_h = nn.Linear(features, width)
        self.from_xi = nn.Linear(mixing_dim, width, bias=False)
        self.head = nn.Linear(width, 2 * latent_dim)
        self.register_buffer("xi", _even_normal(components, mixing_dim))

    def forward(
        self, h: Float[Tensor, "B H"], xi: Float[Tensor, "B X"] | None = None
    ) -> DiagGaussian | GaussianMixture:
        """Return the Gaussian that xi picks, parameters of shape [B, D]; without xi the mixture, [B, J, D].

        Args:
            h: The encoder's output.
            xi: Standard normal noise.
        """
        if xi is not None:
            return DiagGaussian(*self._mean_and_logvar(self.from_h(h) + self.from_xi(xi)))
        return GaussianMixture(*self._mean_and_logvar(self.from_h(h)[:, None] + self.from_xi(self.xi)))

    def _mean_and_logvar(self, mixed: Float[Tensor, "*batch W"]) -> tuple[Tensor, Tensor]:
        mu, raw = at_least_float32(self.head(torch.relu(mixed))).chunk(2, dim=-1)
        return mu, _LOGVAR_FLOOR + softplus(raw - _LOGVAR_FLOOR)


def _even_normal(points: int, dim: int) -> Float[Tensor, "J X"]:
    """The same points every time, spread as N(0, I) but more evenly than draws from it."""
    engine = torch.quasirandom.SobolEngine(dim, scramble=True, seed=0)  # type: ignore[no-untyped-call]
    uniform: Tensor = engine.draw(points)
    normal: Tensor = torch.special.ndtri(uniform.clamp(1e-6, 1.0 - 1e-6))
    return normal
