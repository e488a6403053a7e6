"""A small VAE, its data and its trainer: what the training tests share."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lambda_vae.distributions import BernoulliLikelihood
from lambda_vae.equalization import VarianceEqualizer
from lambda_vae.model import VAE
from lambda_vae.networks import mlp
from lambda_vae.objectives import ELBO, Objective
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import StandardNormalPrior
from lambda_vae.training import Step, Trainer, TrainOptions

EXAMPLES, FEATURES, LATENT, BATCH, EPOCHS = 50, 12, 3, 8, 6
STEPS = EXAMPLES // BATCH

Tensors = dict[str, Tensor]


def probabilities(examples: int = EXAMPLES) -> Tensor:
    """Pixels that three binary codes switch between 0.1 and 0.9, so that there is something to learn."""
    generator = torch.Generator().manual_seed(5)
    codes = torch.randint(0, 2, (examples, 3), generator=generator).float()
    return 0.1 + 0.8 * codes.repeat_interleave(FEATURES // 3, dim=1)


def binarised(x: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
    return torch.bernoulli(x, generator=generator)


def vae(latent: int = LATENT, hidden: int = 8) -> VAE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return VAE(
            mlp(FEATURES, (hidden,)),
            GaussianPosterior(hidden, latent),
            StandardNormalPrior(latent),
            mlp(latent, (hidden,), FEATURES),
            BernoulliLikelihood(FEATURES),
        )


def equalizer(release: int = 2, delta: float = 1.05, latent: int = LATENT, epochs: int = EPOCHS) -> VarianceEqualizer:
    return VarianceEqualizer(latent, delta, refresh_every=2, ramp_epochs=3, release_epochs=release, total_epochs=epochs)


def trainer(
    folder: Path | None = None,
    *,
    model: VAE | None = None,
    exponents: VarianceEqualizer | None = None,
    objective: Objective | None = None,
    view: Callable[[Tensor, Tensor, torch.Generator], Tensor] = binarised,
    x: Tensor | None = None,
    schedule: Any = None,
    strategy: Any = None,
    listeners: Any = (),
    **options: Any,
) -> Trainer:
    settings = {"epochs": EPOCHS, "batch_size": BATCH, "learning_rate": 1e-2, "checkpoint_every": 1, **options}
    return Trainer(
        model or vae(),
        objective or ELBO(),
        probabilities() if x is None else x,
        view,
        TrainOptions(**settings),
        schedule=schedule,
        equalizer=exponents,
        strategy=strategy,
        folder=folder,
        listeners=listeners,
    )


def everything(trained: Trainer) -> Tensors:
    """All that a run consists of, but for its seconds: weights, optimiser, lambda, sigma, generator, history."""
    tensors = {name: value.clone() for name, value in trained._checkpoint().tensors.items()}
    tensors.pop("history.seconds", None)
    return tensors


def differing(first: Tensors, second: Tensors) -> list[str]:
    """The names under which two runs are not bit for bit the same."""
    names = first.keys() ^ second.keys()
    return sorted(names | {name for name in first.keys() & second.keys() if not torch.equal(first[name], second[name])})


def data_and_noise(trained: Trainer) -> list[Tensor]:
    """Train to the end and return the data and the noise of every step that moved the decoder."""
    seen: list[Tensor] = []
    watch(trained, lambda step: seen.extend((step.trace.x, step.trace.eps)))
    trained.fit()
    return seen


def watch(trained: Trainer, see: Callable[[Step], object]) -> None:
    """Show each step that is recorded to somebody else first."""
    observe = trained.recorder.observe
    trained.recorder.observe = lambda step: (see(step), observe(step))  # type: ignore[method-assign]


def at_step(step: int, act: Callable[[], object]) -> Callable[[Tensor, Tensor, torch.Generator], Tensor]:
    """A view that does something when it is asked for the batch of one step, counted from 0 over all epochs."""
    seen = iter(range(10**9))

    def view(x: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
        if next(seen) == step:
            act()
        return binarised(x, rows, generator)

    return view


def raising(number: signal.Signals) -> Callable[[], None]:
    """Something that sends a real signal to this very process."""
    return lambda: signal.raise_signal(number)
