"""Hamiltonian moves on p(z) p(x|z)^t, for all chains of all examples at once."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.model import VAE

__all__ = ["ChainState", "Tempered", "transition"]

_NO_GRADIENT = (
    "annealed importance sampling follows d log p(x|z)/dz, and this decoder gives none ({why}); use a decoder that is "
    "differentiable in z and does not run under torch.no_grad, or importance weights alone"
)


@dataclass(frozen=True, eq=False)
class ChainState:
    """Where the chains stand, with all that a move asks of the model there; good at every temperature.

    Args:
        z: [C, B, D].
        log_px_z: ln p(x|z) in nats, [C, B].
        log_pz: ln p(z) in nats, [C, B].
        slope_px_z: d ln p(x|z)/dz, [C, B, D].
        slope_pz: d ln p(z)/dz, [C, B, D].
    """

    z: Float[Tensor, "C B D"]
    log_px_z: Float[Tensor, "C B"]
    log_pz: Float[Tensor, "C B"]
    slope_px_z: Float[Tensor, "C B D"]
    slope_pz: Float[Tensor, "C B D"]

    def log_prob(self, t: float) -> Float[Tensor, "C B"]:
        """Return ln p(z) + t ln p(x|z) in nats, float64."""
        return self.log_pz.double() + t * self.log_px_z.double()

    def slope(self, t: float) -> Float[Tensor, "C B D"]:
        """Return the derivative of `log_prob` in z."""
        return torch.add(self.slope_pz, self.slope_px_z, alpha=t)

    def where(self, chosen: Bool[Tensor, "C B"], other: "ChainState") -> "ChainState":
        """Return this point for the chosen chains and the other one for all else."""
        wide = chosen[..., None]
        return ChainState(
            torch.where(wide, self.z, other.z),
            torch.where(chosen, self.log_px_z, other.log_px_z),
            torch.where(chosen, self.log_pz, other.log_pz),
            torch.where(wide, self.slope_px_z, other.slope_px_z),
            torch.where(wide, self.slope_pz, other.slope_pz),
        )


class Tempered:
    """p(z) and p(x|z) of some examples with their slopes in z; no parameter gets a gradient.

    Args:
        vae: Only its prior, decoder and likelihood are used.
        x: The examples.
    """

    def __init__(self, vae: VAE, x: Shaped[Tensor, "B F"]) -> None:
        self.vae, self.x = vae, x
        with torch.no_grad():
            self.p_z = vae.p_z()

    def at(self, z: Float[Tensor, "C B D"]) -> ChainState:
        """Return the point z: one pass through the decoder and one back.

        Raises:
            InputError: The decoder has no gradient in z.
        """
        with torch.enable_grad():
            leaf = z.detach().requires_grad_()
            log_px_z = self.vae.decode(leaf).log_prob(self.x)
            log_pz = self.p_z.log_prob(leaf)
            slopes = _slope(log_px_z, leaf, "its output does not depend on z"), _slope(log_pz, leaf, "nor does p(z)")
        return ChainState(z, log_px_z.detach(), log_pz.detach(), *slopes)

    def start(self, z: Float[Tensor, "C B D"]) -> ChainState:
        """Return `at(z)` after a look at whether the slopes there can be slopes at all.

        Raises:
            InputError: As `at`; or every slope is exactly 0 though ln p(x|z) differs from chain to chain.
        """
        point = self.at(z)
        varies = bool((point.log_px_z != point.log_px_z[:1]).any())
        if varies and not bool(point.slope_px_z.any()):
            raise InputError(_NO_GRADIENT.format(why="log p(x|z) changes with z, its gradient is 0 everywhere"))
        return point


def _slope(value: Tensor, z: Tensor, why: str) -> Tensor:
    if value.requires_grad:
        (slope,) = torch.autograd.grad(value.sum(), z, allow_unused=True)
        if slope is not None:
            return slope
    raise InputError(_NO_GRADIENT.format(why=why))


def transition(
    target: Tempered,
    point: ChainState,
    t: float,
    step: Float[Tensor, "C B"],
    leapfrog: int,
    momentum: Float[Tensor, "C B D"],
    uniform: Float[Tensor, "C B"],
) -> tuple[ChainState, Float[Tensor, "C B"]]:
    """Return where one Hamiltonian move leads, and the probability that each proposal had to be accepted.

    The move leaves p(z) p(x|z)^t as it is. It costs as many passes as it has leapfrog steps: what the last step finds
    serves the acceptance and the beginning of the next move, at whatever temperature.

    Args:
        target: The model.
        point: Where the chains stand.
        t: Inverse temperature.
        step: Size of a leapfrog step, one a chain.
        leapfrog: Steps, >= 1.
        momentum: Standard normal noise.
        uniform: Noise on [0, 1).

    Source:
        Neal 2011, "MCMC using Hamiltonian dynamics", section 3; unit mass.
    """
    size = step[..., None]
    before = point.log_prob(t) - 0.5 * momentum.square().sum(-1)
    momentum = momentum + 0.5 * size * point.slope(t)
    there = point
    for k in range(leapfrog):
        there = target.at(there.z + size * momentum)
        momentum = momentum + (size if k < leapfrog - 1 else 0.5 * size) * there.slope(t)
    after = there.log_prob(t) - 0.5 * momentum.square().sum(-1)
    # A trajectory that ran off to infinity or NaN is rejected.
    probability = (after - before).clamp(max=0.0).exp().nan_to_num(nan=0.0)
    return there.where(uniform < probability, point), probability.to(step.dtype)
