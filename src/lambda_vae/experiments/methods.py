"""The table of methods: name, paper, parts. All methods share every part that is not under test."""

from collections.abc import Callable
from dataclasses import dataclass

from lambda_vae.equalization import VarianceEqualizer
from lambda_vae.errors import InputError
from lambda_vae.experiments.config import RunConfig
from lambda_vae.experiments.values import nearest, plain_number
from lambda_vae.objectives import ELBO, BetaELBO, Objective
from lambda_vae.training import Constant, Cyclical, LinearWarmUp, Schedule

__all__ = ["METHODS", "Method", "method_named"]


def _elbo(_config: RunConfig) -> Objective:
    return ELBO()


def _beta_elbo(config: RunConfig) -> Objective:
    return BetaELBO(config.beta)


def _constant(_config: RunConfig) -> Schedule:
    return Constant()


def _warm_up(config: RunConfig) -> Schedule:
    return LinearWarmUp(config.warm_up_epochs if config.warm_up_epochs is not None else config.epochs / 2)


def _cyclical(config: RunConfig) -> Schedule:
    return Cyclical(config.epochs, config.cycles)


def _equalizer(config: RunConfig) -> VarianceEqualizer:
    return VarianceEqualizer(
        config.latent_dim,
        config.delta,
        refresh_every=config.refresh_every,
        decay=config.decay,
        ramp_epochs=config.ramp_epochs,
        max_exponent=config.max_exponent,
        release_epochs=config.release_epochs,
        total_epochs=config.epochs,
    )


def _no_equalizer(_config: RunConfig) -> None:
    return None


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Args:
        name: On the command line.
        title: In tables and figures.
        paper: Where it comes from.
        objective: What is minimised.
        schedule: The KL weight over training.
        equalizer: lambda, or None.
    """

    name: str
    title: str
    paper: str
    objective: Callable[[RunConfig], Objective] = _elbo
    schedule: Callable[[RunConfig], Schedule] = _constant
    equalizer: Callable[[RunConfig], VarianceEqualizer | None] = _no_equalizer

    def uses_delta(self) -> bool:
        """Whether the method has lambda, and with it a delta."""
        return self.equalizer is not _no_equalizer

    def uses_beta(self) -> bool:
        """Whether the method weights the KL by beta."""
        return self.objective is _beta_elbo

    def label(self, config: RunConfig) -> str:
        """Return the method's name in tables, with the settings that tell its runs apart.

        Args:
            config: The run.
        """
        parts = [self.title]
        if self.uses_delta():
            parts.append(f"δ={plain_number(config.delta)}")
        if self.uses_beta() and config.beta != 1.0:
            parts.append(f"β={plain_number(config.beta)}")
        if self.uses_delta() and config.release_epochs:
            parts.append(f"released {config.release_epochs}")
        return " ".join(parts)


_ROWS = (
    Method("vae", "VAE", "Kingma and Welling 2014, arXiv:1312.6114"),
    Method("beta-vae", "β-VAE", "Higgins et al. 2017", objective=_beta_elbo),
    Method("warm-up", "VAE + warm-up", "Bowman et al. 2016, arXiv:1511.06349", schedule=_warm_up),
    Method("cyclical", "VAE + cyclical", "Fu et al. 2019, arXiv:1903.10145", schedule=_cyclical),
    Method("lambda-vae", "λ-VAE", "the λ-VAE paper, Eq. 9-17", objective=_beta_elbo, equalizer=_equalizer),
    Method(
        "lambda-warm-up",
        "λ-VAE + warm-up",
        "the λ-VAE paper, section 5: λ composes with KL schedules",
        objective=_beta_elbo,
        schedule=_warm_up,
        equalizer=_equalizer,
    ),
    Method(
        "lambda-cyclical",
        "λ-VAE + cyclical",
        "the λ-VAE paper, section 5: λ composes with KL schedules",
        objective=_beta_elbo,
        schedule=_cyclical,
        equalizer=_equalizer,
    ),
)

#: Every method by its name on the command line.
METHODS: dict[str, Method] = {row.name: row for row in _ROWS}


def method_named(name: str) -> Method:
    """Return the method of that name.

    Args:
        name: A key of `METHODS`.

    Raises:
        InputError: Unknown; the message gives the nearest name.
    """
    if name in METHODS:
        return METHODS[name]
    raise InputError(f"unknown method {name!r}{nearest(name, METHODS)}; the methods are {', '.join(METHODS)}")
