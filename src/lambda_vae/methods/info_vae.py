"""InfoVAE: part of the KL taken back, and a distance of the aggregate posterior from the prior."""

from dataclasses import dataclass
from typing import Literal

from lambda_vae import objectives
from lambda_vae.methods.base import Context, Method, require_pairs, setting

__all__ = ["InfoVAE"]


@dataclass(frozen=True)
class InfoVAE(Method):
    """The KL is partly taken back, and the aggregate posterior's distance from the prior is charged as an MMD.

    Args:
        alpha: How far the KL is taken back; 1 leaves the MMD alone.
        weight: Of the aggregate's distance from the prior; 1 with alpha 0 is the plain VAE.
        kernel: Of the MMD, "rbf" or "imq".
        kernel_scale: Squared length of the kernel, in mean squared distances of two draws from N(0, I).
    """

    name, title, short = "info-vae", "InfoVAE", "MMD"
    paper = "Zhao et al. 2019, arXiv:1706.02262"
    cost = "the same and B² kernels"
    neutral = {"alpha": 0.0, "weight": 1.0}
    alpha: float = setting(0.0, "α={}", record="info_alpha")
    weight: float = setting(1000.0, "weight {}", record="info_lambda")
    kernel: Literal["rbf", "imq"] = setting("rbf", "{}")
    kernel_scale: float = setting(1.0)

    def objective(self, context: Context) -> "objectives.Objective":
        require_pairs(self, context)
        return objectives.InfoVAE(self.alpha, self.weight, objectives.KERNELS[self.kernel](self.kernel_scale))
