"""Annealed importance sampling: -ln p(x) by a path of tempered posteriors, from the prior up and from a sample down."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from lambda_vae.distributions import Tokens, sample_x
from lambda_vae.errors import InputError
from lambda_vae.estimation.batching import noise_dtype
from lambda_vae.estimation.hamiltonian import ChainState, Tempered, transition
from lambda_vae.estimation.log_weights import LogWeights
from lambda_vae.model import VAE
from lambda_vae.rng import normal

__all__ = ["Annealed", "Annealing", "anneal_down", "anneal_up", "simulate"]

#: How far a step may shrink or grow.
_LEAST_STEP, _MOST_STEP = 1e-4, 0.5

#: Change of ln step for each unit by which the acceptance misses its target.
_ADAPTATION = 0.1

#: How much longer than the data's longest a drawn sequence may be: to cut it would be to draw from another law.
_LONGER = 8


@dataclass(frozen=True)
class Annealing:
    """How to anneal.

    Args:
        temperatures: T, steps of the path from prior to posterior.
        chains: C, an example.
        leapfrog: Steps of a Hamiltonian move.
        acceptance: What the step sizes aim at.
        first_step: Size of a leapfrog step to begin with.

    Raises:
        InputError: A number out of its range.

    Source:
        Wu et al. 2017, arXiv:1611.04273, section 3 and their code: sigmoidal schedule, 10 leapfrog steps, acceptance
        0.65.
    """

    temperatures: int = 1000
    chains: int = 10
    leapfrog: int = 10
    acceptance: float = 0.65
    first_step: float = 0.1

    def __post_init__(self) -> None:
        for name, least in (("temperatures", 1), ("chains", 1), ("leapfrog", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        if not 0 < self.acceptance < 1:
            raise InputError(f"acceptance is {self.acceptance}; it must lie between 0 and 1")
        if not _LEAST_STEP <= self.first_step <= _MOST_STEP:
            raise InputError(f"first_step is {self.first_step}; it must be {_LEAST_STEP} to {_MOST_STEP}")

    def schedule(self) -> list[float]:
        r"""Return the inverse temperatures, T + 1 numbers from 0 to 1.

        .. math:: t_k = \frac{s(4 (2 k / T - 1)) - s(-4)}{s(4) - s(-4)}, \quad s(u) = 1 / (1 + e^{-u})

        Example:
            >>> [round(t, 3) for t in Annealing(temperatures=4).schedule()]
            [0.0, 0.105, 0.5, 0.895, 1.0]
        """
        rise = [_sigmoid(4.0 * (2.0 * k / self.temperatures - 1.0)) for k in range(self.temperatures + 1)]
        return [(s - rise[0]) / (rise[-1] - rise[0]) for s in rise]


@dataclass(frozen=True, eq=False)
class Annealed:
    """What the chains of some examples brought back.

    Args:
        log_weights: Of every chain, nats, float64, [C, B]; ln p(x) is near the logarithm of their mean.
        acceptance: Mean probability of acceptance over moves and chains, [B]; NaN where there were no moves.
        step: Last size of a leapfrog step, [C, B].
    """

    log_weights: Float[Tensor, "C B"]
    acceptance: Float[Tensor, " B"]
    step: Float[Tensor, "C B"]

    @property
    def weights(self) -> LogWeights:
        """The weights' sums."""
        return LogWeights.empty(self.log_weights.shape[1], self.log_weights.device).fold(self.log_weights)

    @property
    def spread(self) -> Float[Tensor, " B"]:
        """Variance of ln w over the chains, nats^2, [B]; NaN for a single chain.

        To second order half of it is what a single chain is off by.
        """
        if len(self.log_weights) < 2:
            return torch.full_like(self.log_weights[0], torch.nan)
        return self.log_weights.var(0)


def anneal_up(
    vae: VAE,
    x: Shaped[Tensor, "B F"],
    settings: Annealing,
    generator: torch.Generator,
    tick: Callable[[], None] | None = None,
) -> Annealed:
    r"""Return chains that begin at draws from the prior and end at the posterior of each example.

    .. math:: \ln w = \sum_{k=1}^{T} (t_k - t_{k-1}) \ln p(x|z_{k-1}),
        \quad z_{k-1} \to z_k \text{ leaves } p(z) p(x|z)^{t_k} \text{ as it is}

    -ln of the mean weight is in expectation an upper bound on -ln p(x). No encoder has a part in it.

    Args:
        vae: The model, in eval mode; its prior may be any density that is differentiable and can be drawn from.
        x: The examples.
        settings: How to anneal.
        generator: The source of chance.
        tick: Called after every temperature.

    Raises:
        InputError: The decoder has no gradient in z.

    Source:
        Neal 2001, "Annealed importance sampling"; Wu et al. 2017, arXiv:1611.04273. Deviation: the step size of a
        chain follows the probability of its last proposal to be accepted (Robbins and Monro) instead of the mean of
        all decisions so far, which lags behind a posterior that narrows. As in the papers, a step that depends on the
        chain's past makes the weights unbiased only nearly.
    """
    target = Tempered(vae, x)
    with torch.no_grad():
        eps = normal((settings.chains, len(x), target.p_z.noise_dim), generator, x.device)
        z = target.p_z.rsample(eps.to(noise_dtype(x)))
    step = torch.full(z.shape[:2], settings.first_step, dtype=z.dtype, device=z.device)
    return _follow(target, target.start(z), settings.schedule(), step, settings, generator, tick)


def anneal_down(
    vae: VAE,
    x: Shaped[Tensor, "B F"],
    z: Float[Tensor, "B D"],
    settings: Annealing,
    step: Float[Tensor, "C B"],
    generator: torch.Generator,
    tick: Callable[[], None] | None = None,
) -> Annealed:
    """Return chains that begin at an exact sample of each posterior and end at the prior: the reverse of `anneal_up`.

    Its weights estimate 1 / p(x): ln of their mean is in expectation a lower bound on -ln p(x).

    Args:
        vae: The model.
        x: Data simulated from it.
        z: The codes that the data came from: exact samples of p(z|x). All chains of an example begin there.
        settings: How to anneal.
        step: Sizes of the steps at the posterior, as `anneal_up` left them.
        generator: The source of chance.
        tick: Called after every temperature.

    Source:
        Grosse et al. 2015, arXiv:1511.02543, section 3.
    """
    target = Tempered(vae, x)
    start = target.start(z.expand(settings.chains, *z.shape).contiguous())
    return _follow(target, start, settings.schedule()[::-1], step, settings, generator, tick)


@torch.no_grad()
def simulate(vae: VAE, examples: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return data drawn from the model, [B, F], and the codes behind it, [B, D]: exact samples of each p(z|x).

    Raises:
        InputError: The likelihood cannot be drawn from.
    """
    parameter, p_z = next(vae.parameters()), vae.p_z()
    z = p_z.rsample(normal((examples, p_z.noise_dim), generator, parameter.device).to(parameter.dtype))
    p_x = vae.decode(z)
    if isinstance(p_x, Tokens):
        return p_x.sample(generator, longest=_LONGER * vae.likelihood.features), z
    x = sample_x(p_x, generator)
    if x is None:
        raise InputError(
            f"data cannot be drawn from {type(p_x).__name__}, so the reverse chains have nowhere to begin; leave "
            "them out (simulated 0)"
        )
    return x, z


def _follow(
    target: Tempered,
    point: ChainState,
    path: Sequence[float],
    step: Float[Tensor, "C B"],
    settings: Annealing,
    generator: torch.Generator,
    tick: Callable[[], None] | None,
) -> Annealed:
    """Go along a path of temperatures; up or down differs in nothing but where it begins."""
    log_weights = torch.zeros(step.shape, dtype=torch.float64, device=step.device)
    accepted = torch.zeros_like(log_weights)
    for k, (before, after) in enumerate(pairwise(path), start=1):
        log_weights += (after - before) * point.log_px_z
        if k < len(path) - 1:  # nothing would look at where a last move leads
            momentum = normal(point.z.shape, generator, step.device).to(step.dtype)
            uniform = normal(step.shape, generator, step.device, uniform=True)
            point, probability = transition(target, point, after, step, settings.leapfrog, momentum, uniform)
            accepted += probability
            step = step * torch.exp(_ADAPTATION * (probability - settings.acceptance))
            step = step.clamp(_LEAST_STEP, _MOST_STEP)
        if tick is not None:
            tick()
    moves = len(path) - 2
    return Annealed(log_weights, (accepted / moves if moves else accepted * torch.nan).mean(0), step)


def _sigmoid(u: float) -> float:
    return 1.0 / (1.0 + math.exp(-u))
