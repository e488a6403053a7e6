"""Where a training step of ours spends its time, by operation: MNIST's MLP, batch 100, one core.

What the operations take under a profiler is held against a step without one; what is left is Python and autograd.
Writes results/step-profile.md.
"""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from contenders import HIDDEN, LATENT_DIM
from facts import facts, facts_lines
from images import training_images
from lambda_vae.data import view_train
from lambda_vae.distributions import BernoulliLikelihood
from lambda_vae.files import write_atomic
from lambda_vae.model import VAE
from lambda_vae.networks import mlp
from lambda_vae.objectives import ELBO
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import StandardNormalPrior
from lambda_vae.training import Trainer, TrainOptions
from lambda_vae.training.interruption import StopRequest
from single_core import on_one_core

__all__ = ["page"]

SETTINGS: dict[str, dict[str, Any]] = {
    'float32, "highest"': {"matmul": "highest"},
    "float32, auto": {},
    "bfloat16": {"precision": "bfloat16"},
}

PARTS: dict[str, tuple[str, ...]] = {
    "matrix products": ("aten::mm", "aten::addmm"),
    "Adam": ("aten::_fused_adam_", "aten::_foreach_add_"),
    "the Bernoulli and its gradient": (
        "aten::log_sigmoid_forward",
        "aten::binary_cross_entropy_with_logits",
        "aten::sigmoid",
    ),
    "random numbers": ("aten::random_", "aten::normal_"),
    "copies and casts": ("aten::copy_", "aten::_foreach_copy_", "aten::index_select"),
}


def _trainer(options: Mapping[str, Any], images: torch.Tensor) -> Trainer:
    torch.manual_seed(0)
    vae = VAE(
        mlp(784, HIDDEN),
        GaussianPosterior(HIDDEN[-1], LATENT_DIM),
        StandardNormalPrior(LATENT_DIM),
        mlp(LATENT_DIM, HIDDEN, 784),
        BernoulliLikelihood(784),
    )
    return Trainer(
        vae,
        ELBO(),
        images,
        lambda x, index, generator: view_train(x, index, "stochastic", generator),
        TrainOptions(epochs=10**6, batch_size=100, measure=False, **options),
    )


def _low(times: list[float]) -> float:
    """The lowest tenth ends here: above it lies what else the machine does, and the memory that the profiler takes."""
    return sorted(times)[len(times) // 10]


def _parts(trainer: Trainer, steps: int, rounds: int) -> dict[str, float]:
    """Milliseconds of a step by part."""
    trainer.run_epoch(StopRequest(), steps)
    times = []
    for _ in range(rounds):
        before = time.process_time()
        trainer.run_epoch(StopRequest(), steps)
        times.append(1e3 * (time.process_time() - before) / steps)
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiled:
        trainer.run_epoch(StopRequest(), steps)
    taken: dict[tuple[str, str], list[float]] = {}
    for event in profiled.events():
        taken.setdefault((event.name, str(event.input_shapes)), []).append(event.self_cpu_time_total / 1e3)
    spent: dict[str, float] = {}
    for (name, _), each in taken.items():
        spent[name] = spent.get(name, 0.0) + _low(each) * len(each) / steps
    found = {part: sum(spent.get(name, 0.0) for name in names) for part, names in PARTS.items()}
    named = {name for names in PARTS.values() for name in names}
    found["other operations"] = sum(
        value for name, value in spent.items() if name.startswith("aten::") and name not in named
    )
    whole = _low(times)
    return {**found, "Python and autograd, less what the profiler adds": whole - sum(found.values()), "a step": whole}


def page(steps: int, rounds: int) -> str:
    """Return the page, Markdown.

    Args:
        steps: Of a round.
        rounds: Of which the median is taken.
    """
    images, described = training_images(steps * 100)
    found = {
        name: _parts(_trainer(options, torch.from_numpy(images)), steps, rounds) for name, options in SETTINGS.items()
    }
    head = ["# Where a training step spends its time", "", *facts_lines(facts()), ""]
    head += [
        f"784-300-300-300-30 and back, batch 100, {described}. CPU milliseconds a step: the lowest tenth of {rounds} "
        f"rounds of {steps} steps without a profiler, and that of each operation under torch's, by its shape.",
        "",
    ]
    rows = [f"| part | {' | '.join(found)} |", f"| --- |{' ---: |' * len(found)}"]
    rows += [
        f"| {part} | {' | '.join(f'{one[part]:.2f}' for one in found.values())} |"
        for part in next(iter(found.values()))
    ]
    return "\n".join([*head, *rows]) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path("results"))
    chosen = parser.parse_args()
    on_one_core()
    text = page(chosen.steps, chosen.rounds)
    write_atomic(chosen.out / "step-profile.md", text)
    print(text)
