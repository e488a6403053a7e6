"""A learned prior: a flow of N(0, I)."""

from dataclasses import dataclass

from lambda_vae import priors
from lambda_vae.methods.base import Context, Method, setting

__all__ = ["FlowPrior"]


@dataclass(frozen=True)
class FlowPrior(Method):
    """The prior is an autoregressive flow of N(0, I).

    Args:
        flow_layers: How many; 0 is the plain VAE.
        flow_hidden: Widths of the network in each layer.
    """

    name, title, short = "flow-prior", "VAE + flow prior", "flow prior"
    paper = "Chen et al. 2017, arXiv:1611.02731"
    cost = "a masked network a layer, on every draw"
    neutral = {"flow_layers": 0}
    flow_layers: int = setting(4)
    flow_hidden: tuple[int, ...] = setting((128,))

    def prior(self, context: Context) -> "priors.Prior":
        return priors.FlowPrior(context.latent_dim, self.flow_layers, self.flow_hidden)
