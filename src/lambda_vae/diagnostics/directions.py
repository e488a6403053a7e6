r"""How many directions of the code carry something: collapse that a rotation hides from its axes.

A dimension is active if its own mean moves. Where the encoder has not lined its signals up with the axes, every axis
holds a little of every signal: all dimensions are active, and the code still moves in a few directions only. With N the
noise that the decoder gets, averaged over x, the spectrum

.. math:: e_1 \ge \dots \ge e_D \quad \text{of} \quad N^{-1/2}\, \mathrm{Cov}_x[\mu]\, N^{-1/2}

is the signal-to-noise ratio of the code's own directions. For means that do not vary together, it is that of the axes.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.diagnostics.activity import ACTIVE_THRESHOLD
from lambda_vae.diagnostics.covariance import StreamedCovariance

__all__ = ["MOST_DIMENSIONS", "CodeDirections", "code_directions"]

#: Wider codes are not searched for directions: a spectrum takes time with the cube of the width.
MOST_DIMENSIONS = 2048


@dataclass(frozen=True, eq=False)
class CodeDirections:
    """The signal-to-noise ratios of a code's directions.

    Args:
        ratio: e, from the largest to the smallest, float64, [D].
        threshold: Above it a direction is active. A dimension of noise 1 would then be an active unit.
    """

    ratio: Float[Tensor, " D"]
    threshold: float = ACTIVE_THRESHOLD

    @property
    def active(self) -> int | float:
        """Directions whose ratio is above the threshold; NaN where the code is not finite."""
        return float("nan") if bool(self.ratio.isnan().any()) else int((self.ratio > self.threshold).sum())

    @property
    def capacity(self) -> float:
        r"""What all dimensions together can carry, :math:`\tfrac12 \sum_j \ln(1 + e_j)`; nats.

        At most the sum of the single capacities, for what two dimensions both say is counted once. That of n examples
        is too small by up to D^2/(4n) nats.
        """
        return float(0.5 * torch.log1p(self.ratio.clamp(min=0.0)).sum())


def code_directions(
    covariance: StreamedCovariance, sampling_var: Float[Tensor, " D"], threshold: float = ACTIVE_THRESHOLD
) -> CodeDirections:
    """Return the directions of a code.

    Args:
        covariance: Of the posterior means mu, [B, D] each batch.
        sampling_var: E_x[sigma_eff^2], the noise that the decoder gets, z squared.
        threshold: Of an active direction.

    Source:
        Ours, from the paper's Eq. 7: the capacity of a Gaussian channel whose inputs vary together (Cover and Thomas,
        *Elements of Information Theory*, Section 9.5). That sums over axes count what is shared twice: Hadamard's
        inequality. That nothing but the form of the noise ties the code to its axes: Rolinek et al. 2019,
        arXiv:1812.06775.
    """
    precision = sampling_var.double().rsqrt()
    whitened = precision[:, None] * covariance.unbiased * precision
    if not bool(torch.isfinite(whitened).all()):
        return CodeDirections(torch.full_like(precision, torch.nan), threshold)
    return CodeDirections(torch.linalg.eigvalsh(whitened).flip(0), threshold)
