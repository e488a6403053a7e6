"""The maximum mean discrepancy between the draws of z and draws from the prior."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.model import Trace

__all__ = ["IMQ", "KERNELS", "RBF", "Kernel", "mmd_from_prior", "squared_mmd"]


@runtime_checkable
class Kernel(Protocol):
    """A similarity of two points by their distance, larger for near ones.

    A distance comes in as r = |x - y|^2 / (2 D), whose mean is 1 between two draws from N(0, I): so scales mean the
    same for every D.
    """

    def __call__(self, r: Float[Tensor, "*pairs"]) -> Float[Tensor, "*pairs"]:
        """Return the similarity at r."""


def _require_scale(scale: float) -> None:
    if not 0 < scale < float("inf"):
        raise InputError(f"kernel_scale is {scale}; it must be a finite number greater than 0")


@dataclass(frozen=True)
class RBF:
    """exp(-r / scale).

    Args:
        scale: The squared length of the kernel over 2 D, > 0.

    Raises:
        InputError: The scale is out of range.

    Source:
        Gretton et al. 2012, A Kernel Two-Sample Test.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        _require_scale(self.scale)

    def __call__(self, r: Float[Tensor, "*pairs"]) -> Float[Tensor, "*pairs"]:
        """Return the similarity at r."""
        return torch.exp(-r / self.scale)


@dataclass(frozen=True)
class IMQ:
    """The inverse multiquadric, scale / (scale + r), summed over scales; its tails do not vanish for far points.

    Args:
        scales: Squared lengths of the kernels over 2 D, > 0.

    Raises:
        InputError: A scale is out of range.

    Source:
        Tolstikhin et al. 2018, arXiv:1711.01558, section 4: C / (C + |x - y|^2) with C = 2 D for N(0, I).
    """

    scales: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        for scale in self.scales:
            _require_scale(scale)

    def __call__(self, r: Float[Tensor, "*pairs"]) -> Float[Tensor, "*pairs"]:
        """Return the similarity at r."""
        return torch.stack([scale / (scale + r) for scale in self.scales]).sum(0)


#: Every kernel by its name on the command line: scale -> kernel.
KERNELS: dict[str, Callable[[float], Kernel]] = {"rbf": RBF, "imq": lambda scale: IMQ((scale,))}


def squared_mmd(x: Float[Tensor, "*K N D"], y: Float[Tensor, "M D"], kernel: Kernel) -> Float[Tensor, "*K"]:
    """Return the unbiased estimate of the squared MMD of the distributions that x and y were drawn from; no unit.

    Its mean is 0 where the distributions are the same, so it is negative about as often as positive there.

    Args:
        x: At least two independent draws along N; each K is a set of its own.
        y: At least two independent draws.
        kernel: The similarity.

    Raises:
        InputError: There are fewer than two of either.

    Source:
        Gretton et al. 2012, A Kernel Two-Sample Test, Lemma 6, Eq. 3: a U-statistic.
    """
    if min(x.shape[-2], len(y)) < 2:
        raise InputError(f"a batch of {x.shape[-2]} has no pairs for the MMD; use `batch_size=2` or more")
    across = kernel(_distance(x, y)).mean((-2, -1))
    return _mean_of_pairs(kernel(_distance(x, x))) + _mean_of_pairs(kernel(_distance(y, y))) - 2.0 * across


def _distance(x: Tensor, y: Tensor) -> Tensor:
    # Not by way of a matrix product, which subtracts nearly equal numbers and may be computed in bfloat16.
    distance: Tensor = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    return distance.square() / (2.0 * x.shape[-1])


def _mean_of_pairs(similarity: Tensor) -> Tensor:
    n = similarity.shape[-1]
    itself = similarity.diagonal(dim1=-2, dim2=-1).sum(-1)
    return (similarity.sum((-2, -1)) - itself) / (n * (n - 1))


def mmd_from_prior(trace: Trace, kernel: Kernel) -> Float[Tensor, "K 1"]:
    """Return the squared MMD of the aggregate of q_lambda(z|x) over the data from the prior, one for each sample.

    The samples of one example are no independent draws from the aggregate, so each k is compared alone.

    Args:
        trace: One pass of a VAE, with noise for the prior.
        kernel: The similarity.

    Raises:
        InputError: The trace brings no noise for the prior, or one example only.
    """
    if trace.prior_eps is None:
        raise InputError("the trace brings no prior_eps to draw from the prior with; give some to the model's forward")
    # drawn.z, not the same numbers in z: the gradient that arrives at z is to be the reconstruction's alone.
    return squared_mmd(trace.drawn.z, trace.p_z.rsample(trace.prior_eps), kernel)[:, None]
