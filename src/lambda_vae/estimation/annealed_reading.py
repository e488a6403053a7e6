"""What annealing says of a test set, and whether it may be believed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from lambda_vae.estimation.annealed import Annealed, Annealing
from lambda_vae.estimation.moments import Reading, reading_of

__all__ = ["AnnealedReading", "Gap", "annealed_columns", "read_annealed", "read_gap"]

#: Below this mean acceptance the chains hardly move.
_LEAST_ACCEPTANCE = 0.4

#: Nats^2 of ln w over an example's chains, from which too few chains carry the mean.
_MOST_SPREAD = 1.0

#: Nats between the two sides.
_MOST_GAP = 1.0

_NATS = "nats per example"


@dataclass(frozen=True, eq=False)
class AnnealedReading:
    """`nll_ais` of a test set.

    Args:
        settings: How it was annealed.
        nll: Nats per example; in expectation an upper bound on -ln p(x).
        acceptance: Mean probability of acceptance.
        ess: Effective number of chains.
        spread: Variance of ln w over the chains of an example, nats^2.
        reasons: Why the estimate is not to be taken for -ln p(x); empty where it is.
    """

    settings: Annealing
    nll: Reading
    acceptance: Reading
    ess: Reading
    spread: Reading
    reasons: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Gap:
    """The check from two sides, on data simulated from the model, whose posteriors can be sampled exactly.

    Args:
        nll_up: From the prior, `nll_ais`: at least -ln p(x) in expectation; nats per example.
        nll_down: From an exact sample, `nll_ais_reverse`: at most that.
        gap: nll_up - nll_down, each simulated example with itself; at least what both err by together.
        acceptance: Of the chains on their way down.
        reasons: Why annealing with these settings is not to be believed; empty where it is.
    """

    nll_up: Reading
    nll_down: Reading
    gap: Reading
    acceptance: Reading
    reasons: tuple[str, ...]


def annealed_columns(annealed: Annealed, *, down: bool = False) -> dict[str, Float[Tensor, " B"]]:
    """Return the numbers of every example by name: nll, acceptance, ess, spread.

    Args:
        annealed: The chains.
        down: They came from exact samples, so that their weights estimate 1 / p(x).
    """
    weights = annealed.weights
    nll = -weights.nll if down else weights.nll
    return {
        "nll": nll,
        "acceptance": annealed.acceptance,
        "ess": weights.effective_samples,
        "spread": annealed.spread,
    }


def read_annealed(settings: Annealing, columns: Mapping[str, Float[Tensor, " N"]]) -> AnnealedReading:
    """Return the reading of a whole test set."""
    acceptance, spread = reading_of(columns["acceptance"], "probability"), reading_of(columns["spread"], "nats^2")
    return AnnealedReading(
        settings,
        reading_of(columns["nll"], _NATS),
        acceptance,
        reading_of(columns["ess"], f"of {settings.chains} chains"),
        spread,
        tuple(_reasons(settings, float(acceptance.value), float(spread.value))),
    )


def read_gap(
    settings: Annealing, up: Mapping[str, Float[Tensor, " N"]], down: Mapping[str, Float[Tensor, " N"]]
) -> Gap:
    """Return the two sides and their gap."""
    gap, acceptance = reading_of(up["nll"] - down["nll"], _NATS), reading_of(down["acceptance"], "probability")
    reasons = list(_reasons(settings, float(acceptance.value), 0.0))
    if not float(gap.value) < _MOST_GAP:
        reasons.append(f"the two sides are {float(gap.value):.2f} nats apart; take more temperatures")
    return Gap(reading_of(up["nll"], _NATS), reading_of(down["nll"], _NATS), gap, acceptance, tuple(reasons))


def _reasons(settings: Annealing, acceptance: float, spread: float) -> Iterator[str]:
    if settings.temperatures < 2:
        yield "1 temperature is plain importance sampling from the prior; take more"
    elif not acceptance >= _LEAST_ACCEPTANCE:
        yield f"only {acceptance:.0%} of the moves are accepted; take a smaller first step or more temperatures"
    if settings.chains < 2:
        yield "a single chain does not show how far chains differ; take 2 or more"
    elif not spread <= _MOST_SPREAD:
        yield f"ln w varies by {spread:.1f} nats^2 from chain to chain; take more temperatures"
