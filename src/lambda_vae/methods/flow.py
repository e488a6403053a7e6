"""Normalising flows: a posterior of coupling or planar layers on a Gaussian."""

from dataclasses import dataclass
from typing import Literal

from lambda_vae import posteriors
from lambda_vae.methods.base import Context, Method, setting

__all__ = ["Flow"]


@dataclass(frozen=True)
class Flow(Method):
    """The posterior is a normalising flow of a Gaussian.

    Args:
        flow_kind: Of its layers, "coupling" or "planar".
        flow_layers: How many; 0 is the plain VAE.
        flow_hidden: Widths of the network in each layer.
    """

    name, title, short = "flow", "VAE + flow", "flow"
    paper = "Rezende and Mohamed 2015, arXiv:1505.05770; Dinh et al. 2017, arXiv:1605.08803"
    cost = "a masked network, or a plane, a layer, on every draw"
    neutral = {"flow_layers": 0}
    flow_kind: Literal["coupling", "planar"] = setting("coupling", "{}")
    flow_layers: int = setting(4)
    flow_hidden: tuple[int, ...] = setting((128,))

    def posterior(self, context: Context) -> "posteriors.Posterior":
        return posteriors.FlowPosterior(
            context.encoded, context.latent_dim, self.flow_kind, self.flow_layers, self.flow_hidden
        )
