"""Flow posteriors: a Gaussian pushed through a bijection that depends on x as well."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions import AffineFlow, DiagGaussian, PlanarFlow, TransformedDistribution
from lambda_vae.errors import InputError
from lambda_vae.posteriors.gaussian import GaussianPosterior
from lambda_vae.posteriors.posterior import Posterior

__all__ = ["FlowPosterior"]


class FlowPosterior(Posterior):
    """q(z|x): the diagonal Gaussian of the plain VAE, and behind it a flow conditioned on h, the identity at first.

    Args:
        features: Length of h.
        latent_dim: D.
        kind: "autoregressive" for inverse autoregressive flow, whose density at its own draws costs one pass;
            "coupling"; or "planar".
        layers: Of the flow; 0 is the plain Gaussian posterior.
        hidden: Widths of the network in each layer; a planar layer has none.

    Raises:
        InputError: A number below its least.

    Source:
        Kingma et al. 2016, arXiv:1606.04934, Algorithm 1; Rezende and Mohamed 2015, arXiv:1505.05770, Eq. 10.
        Deviation: the affine step of the former's Eq. 10 instead of its gated form, which has no identity to begin at.
    """

    def __init__(
        self,
        features: int,
        latent_dim: int,
        kind: Literal["autoregressive", "coupling", "planar"] = "autoregressive",
        layers: int = 4,
        hidden: tuple[int, ...] = (128,),
    ) -> None:
        super().__init__(latent_dim)
        if layers < 0:
            raise InputError(f"flow_layers is {layers}; it must be at least 0")
        self.base = GaussianPosterior(features, latent_dim)
        self.flow: AffineFlow | PlanarFlow | None = None
        if layers and kind == "planar":
            self.flow = PlanarFlow(latent_dim, features, layers)
        elif layers:
            passes = 2 if kind == "coupling" else latent_dim
            self.flow = AffineFlow(latent_dim, features, layers, hidden, passes)

    def forward(
        self, h: Float[Tensor, "B H"], xi: Float[Tensor, "B X"] | None = None
    ) -> DiagGaussian | TransformedDistribution:
        """Return q(z|x); it has no use for xi."""
        base = self.base(h)
        return base if self.flow is None else TransformedDistribution(base, self.flow(h))
