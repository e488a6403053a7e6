"""Free bits: a KL below a floor costs nothing."""

from dataclasses import dataclass

from lambda_vae import objectives
from lambda_vae.methods.base import Context, Method, setting

__all__ = ["FreeBits"]


@dataclass(frozen=True)
class FreeBits(Method):
    """Each group of dimensions may hold some nats without cost.

    Args:
        nats: What each group holds without cost.
        group: Dimensions in a group.
    """

    name, title, short = "free-bits", "VAE + free bits", "free bits"
    paper = "Kingma et al. 2016, arXiv:1606.04934"
    neutral = {"nats": 0.0}
    incompatible = ((("posterior", "prior"), "free bits need a closed KL of every dimension; use target-rate"),)
    nats: float = setting(0.25, "of {} nats", record="free_bits")
    group: int = setting(1, "for each {} dimensions", record="free_bits_group")

    def objective(self, context: Context) -> "objectives.Objective":
        return objectives.FreeBits(context.latent_dim, self.nats, self.group)
