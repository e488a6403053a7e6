"""Inverse autoregressive flow: a posterior of masked networks on a Gaussian."""

from dataclasses import dataclass

from lambda_vae import posteriors
from lambda_vae.methods.base import Context, Method, setting

__all__ = ["IAF"]


@dataclass(frozen=True)
class IAF(Method):
    """The posterior is an inverse autoregressive flow of a Gaussian.

    Args:
        flow_layers: How many; 0 is the plain VAE.
        flow_hidden: Widths of the network in each layer.
    """

    name, title, short = "iaf", "VAE + IAF", "IAF"
    paper = "Kingma et al. 2016, arXiv:1606.04934"
    cost = "a masked network a layer, on every draw"
    neutral = {"flow_layers": 0}
    flow_layers: int = setting(4)
    flow_hidden: tuple[int, ...] = setting((128,))

    def posterior(self, context: Context) -> "posteriors.Posterior":
        return posteriors.FlowPosterior(
            context.encoded, context.latent_dim, "autoregressive", self.flow_layers, self.flow_hidden
        )
