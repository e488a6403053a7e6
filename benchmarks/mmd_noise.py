"""What the InfoVAE's bound and rate are lost to: its MMD, or the noise of an MMD seen through one batch.

Trains the plain VAE, the InfoVAE, and a VAE whose loss has the MMD's sampling noise and no MMD: the kernel to one half
of the draws from the prior less the kernel to the other, whose mean is 0 at every z. Measured on a validation split.
Writes results/mmd-noise.md.
"""

import argparse
import statistics
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, cdist

from facts import facts, facts_lines
from lambda_vae import RunConfig, Trace, TrainOptions, train
from lambda_vae.files import write_atomic
from lambda_vae.methods import Context, InfoVAE, Method, PlainVAE, setting
from lambda_vae.objectives import RBF, Objective, Terms
from lambda_vae.objectives.bounds import rate_q

READINGS = {"active_units": 1, "nll_bound": 2, "nll_iw": 2, "rate": 2, "reconstruction": 2}


@dataclass(frozen=True)
class NoiseOfMMD:
    """The ELBO, and at each z what differs between the kernel's means over two halves of a sample of the prior.

    The squared MMD holds -2 E k(z, z') over draws z' of the prior. With B draws its error has the variance 4 v / B; so
    has the difference of the means over B / 2 draws each.

    Args:
        weight: Of it, as info_lambda less 1 - info_alpha.
    """

    weight: float

    draws_prior = whole_batch = True

    def __call__(self, trace: Trace, kl_weight: float | Tensor = 1.0) -> Terms:
        """Return the terms in nats.

        Args:
            trace: One pass of a VAE, with noise for the prior.
            kl_weight: The schedule's factor.
        """
        reconstruction, kl = -trace.p_x.log_prob(trace.x), rate_q(trace)
        z, prior = trace.drawn.z, trace.p_z.rsample(trace.prior_eps)
        similarity = RBF()(cdist(z, prior).square() / (2.0 * z.shape[-1]))
        first, second = similarity.chunk(2, dim=-1)
        noise = (first.mean(-1) - second.mean(-1)).mean(-1, keepdim=True)
        return Terms(reconstruction + kl_weight * (kl + self.weight * noise), reconstruction, kl)


@dataclass(frozen=True)
class MMDNoise(Method):
    """The plain VAE with the noise of an MMD alone.

    Args:
        weight: Of the noise.
    """

    name, title, paper = "mmd-noise", "noise alone", "made up"
    weight: float = setting(999.0)

    def objective(self, context: Context) -> Objective:
        """Return the ELBO with the noise."""
        return NoiseOfMMD(self.weight)


def page(base: RunConfig, weight: float, seeds: int) -> str:
    """Return a Markdown page: one line a method, mean and spread over the seeds.

    Args:
        base: What the runs share.
        weight: Of the MMD, info_lambda - 1, and of the noise.
        seeds: How many.
    """
    lines = []
    for method, title in (
        (PlainVAE(), "VAE"),
        (InfoVAE(weight=weight + 1), f"InfoVAE, {weight:g} MMD²"),
        (MMDNoise(weight), f"VAE, {weight:g} times the noise of an MMD²"),
    ):
        found: dict[str, list[Any]] = {}
        for seed in range(seeds):
            config = replace(base.with_seed(seed), method=method)
            with tempfile.TemporaryDirectory() as folder:
                metrics = train(config, Path(folder) / "run")
            for name in READINGS:
                found.setdefault(name, []).append(float(metrics[name]))
        cells = [
            f"{statistics.fmean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"
            for values, digits in zip(found.values(), READINGS.values(), strict=True)
        ]
        lines.append(f"| {title} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    head = f"| method | {' | '.join(f'`{name}`' for name in READINGS)} |\n| --- |{' ---: |' * len(READINGS)}"
    said = (
        f"{base.data}, a validation split of {base.validation:,}, {base.epochs} epochs, batches of "
        f"{base.train.batch_size}, {seeds} seeds; nats an example. Mean ± standard deviation over the seeds."
    )
    title = "# What the MMD costs, and what its noise"
    return "\n".join([title, "", *facts_lines(facts()), "", said, "", head, *lines]) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--validation", type=int, default=10000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--weight", type=float, default=999.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("results"))
    chosen = parser.parse_args()
    numbers = TrainOptions(epochs=chosen.epochs, precision="bfloat16")
    shared = RunConfig(data=chosen.data, validation=chosen.validation, train=numbers, evaluate_every=0, trackers=())
    text = page(shared, chosen.weight, chosen.seeds)
    write_atomic(chosen.out / "mmd-noise.md", text)
    print(text)
