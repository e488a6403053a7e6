"""VampPrior: the prior is a mixture of the posteriors of learned inputs."""

from dataclasses import dataclass

from lambda_vae import priors
from lambda_vae.methods.base import Context, Method, setting

__all__ = ["VampPrior"]


@dataclass(frozen=True)
class VampPrior(Method):
    """The prior is a mixture of the posteriors of learned inputs.

    Args:
        pseudo_inputs: How many.
    """

    name, title, short = "vamp-prior", "VampPrior", "VampPrior"
    paper = "Tomczak and Welling 2018, arXiv:1705.07120"
    cost = "the encoder on pseudo_inputs more examples"
    neutral = "a mixture of posteriors is N(0, I) for one encoder only; tests/priors tries that one"
    incompatible = (
        (
            ("iaf", "flow"),
            "the prior would be a mixture of flows, each to be inverted at every point; use flow-prior with them",
        ),
    )
    pseudo_inputs: int = setting(500, "{} pseudo-inputs")

    def prior(self, context: Context) -> "priors.Prior":
        return priors.VampPrior(context.features, self.pseudo_inputs)
