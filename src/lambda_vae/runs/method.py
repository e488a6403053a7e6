"""What a method is: a name, a paper, and the parts in which it differs from the plain VAE."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lambda_vae.checked import plain_number
from lambda_vae.equalization import (
    Sampling,
    VarianceEqualizer,
)
from lambda_vae.objectives import (
    Objective,
)
from lambda_vae.posteriors import Posterior
from lambda_vae.priors import Prior
from lambda_vae.runs.config import RunConfig
from lambda_vae.training import (
    Schedule,
    Strategy,
)

__all__ = ["PARTS", "Method"]

#: The parts in which methods may differ from the plain VAE; a field of `Method` each.
PARTS = ("objective", "schedule", "equalizer", "sampling", "posterior", "prior", "strategy")

#: How a setting is written in tables; all others by their name.
_WORDS = {
    "delta": "δ={}",
    "beta": "β={}",
    "release_epochs": "released {}",
    "settle_epochs": "settled {}",
    "release_path": "by {}",
    "release_capacity": "held below {}",
    "warm_up_epochs": "over {} epochs",
    "cycles": "{} cycles",
    "free_bits": "of {} nats",
    "free_bits_group": "for each {} dimensions",
    "target_rate": "{} nats",
    "target_gamma": "γ={}",
    "committed_rate": "{} nats",
    "committed_form": "{}",
    "flow_kind": "{}",
    "pseudo_inputs": "{} pseudo-inputs",
    "kernel": "{}",
    "info_alpha": "α={}",
    "info_lambda": "weight {}",
    "wae_weight": "weight {}",
    "adversary_weight": "weight {}",
    "samples": "K={}",
    "refine_steps": "steps {}",
    "refine_rate": "rate {}",
}
#: And in the names of folders.
_STEMS = {"release_epochs": "release", "settle_epochs": "settle", "release_path": "by"}


@dataclass(frozen=True)
class Method:
    """One row of the table; a part that is None is the plain VAE's.

    Args:
        name: On the command line.
        title: In tables and figures.
        paper: Where it comes from.
        short: What it adds to another method's title.
        settings: Fields of `RunConfig` that shape it.
        cost: What a training step costs beside the plain VAE's, in words.
        samples: Draws of z for each example in training.
        objective: What is minimised; the ELBO.
        schedule: The KL weight over training; 1.
        equalizer: lambda; none.
        sampling: The sampling step; sigma^lambda.
        posterior: (config, length of h) -> q(z|x); a diagonal Gaussian.
        prior: (config, length of x) -> p(z); N(0, I).
        strategy: How a batch becomes a step; one gradient step of everything.
    """

    name: str
    title: str
    paper: str
    short: str = ""
    settings: tuple[str, ...] = ()
    cost: str = "the same"
    samples: int = 1
    objective: Callable[[RunConfig], Objective] | None = None
    schedule: Callable[[RunConfig], Schedule] | None = None
    equalizer: Callable[[RunConfig], VarianceEqualizer] | None = None
    sampling: Callable[[RunConfig], Sampling] | None = None
    posterior: Callable[[RunConfig, int], Posterior] | None = None
    prior: Callable[[RunConfig, int], Prior] | None = None
    strategy: Callable[[RunConfig], Strategy] | None = None

    def own_parts(self) -> tuple[str, ...]:
        """Return the names of the parts that are not the plain VAE's."""
        return tuple(part for part in PARTS if getattr(self, part) is not None)

    def uses(self, setting: str) -> bool:
        """Return whether a setting shapes the method.

        Args:
            setting: A field of `RunConfig`.
        """
        return setting in self.settings

    def shown(self, config: RunConfig) -> dict[str, Any]:
        """Return the settings that tell a run of this method from another: delta, and what is not the default.

        Args:
            config: The run.
        """
        fields = RunConfig.__dataclass_fields__
        values = {name: getattr(config, name) for name in self.settings}
        return {name: value for name, value in values.items() if name == "delta" or value != fields[name].default}

    def label(self, config: RunConfig) -> str:
        """Return the method's name in tables, with the settings that tell its runs apart.

        Args:
            config: The run.
        """
        shown = self.shown(config)
        words = {name: _WORDS.get(name, f"{name.replace('_', ' ')}={{}}") for name in shown}
        parts = [words[name].format(_text(value)) for name, value in shown.items()]
        return " ".join([self.title, *parts])

    def stem(self, config: RunConfig) -> str:
        """Return what names a run's files begin with: everything but the seed.

        Args:
            config: The run.
        """
        shown = self.shown(config)
        parts = [_STEMS.get(name, name.replace("_", "")) + _text(value) for name, value in shown.items()]
        return "-".join([self.name, *parts])


def _text(value: Any) -> str:  # noqa: ANN401 - any field's value
    if isinstance(value, tuple):
        return "x".join(map(_text, value))
    return plain_number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
