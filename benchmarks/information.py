"""What I(X;Z) over a whole data set costs, its error against plain float64, and its memory.

Codes like those of a trained VAE: 12 of 30 dimensions in use. Writes results/information.md.
"""

import argparse
import math
import resource
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor

from facts import facts, facts_lines
from lambda_vae.distributions import GaussianMixture
from lambda_vae.estimation._mutual_information import marginal_information, mutual_information
from lambda_vae.estimation.aggregate import log_mixture
from lambda_vae.files import write_atomic
from single_core import on_one_core

__all__ = ["page"]

_DIM, _USED = 30, 12
_GOAL = 0.6


def _codes(examples: int, least_std: float) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    std = torch.ones(examples, _DIM)
    std[:, :_USED] = least_std + 0.25 * torch.rand(examples, _USED, generator=generator)
    mu = torch.randn(examples, _DIM, generator=generator) * (1.0 - std.square()).clamp(min=0.0).sqrt()
    return mu, 2.0 * std.log(), mu + std * torch.randn(examples, _DIM, generator=generator)


def _plain(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """Ln q(z) by differences, nothing multiplied out, float64, a row at a time."""
    mu, logvar = mu.double(), logvar.double()
    std, constant = torch.exp(0.5 * logvar), -0.5 * (logvar + math.log(2.0 * math.pi)).sum(-1)
    rows = [constant - 0.5 * ((point - mu) / std).square().sum(-1) for point in z.double()]
    return torch.stack([row.logsumexp(-1) for row in rows]) - math.log(len(mu))


def _seconds(rounds: int, *calls: object) -> list[list[float]]:
    """CPU seconds of each call, taking turns; one round more to warm up."""
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(rounds + 1):
        for taken, call in zip(times, calls, strict=True):
            before = time.process_time()
            call()  # type: ignore[operator]
            if turn:
                taken.append(time.process_time() - before)
    return times


def page(examples: int, large: int, rounds: int) -> str:
    """Return a Markdown page.

    Args:
        examples: N of the timings.
        large: N of the one run whose memory is looked at.
        rounds: Of each timing.
    """
    mu, logvar, z = _codes(examples, 0.05)
    generator, law = torch.Generator().manual_seed(1), GaussianMixture(mu, logvar)
    names = ("I(X;Z)", "the mixture law of the house, `log_prob`", "all marginals I(X;Z_i)")
    times = _seconds(
        rounds,
        lambda: mutual_information(mu, logvar, generator),
        lambda: law.log_prob(z),
        lambda: marginal_information(mu, logvar, generator),
    )
    rows = [
        f"| {name} | {statistics.median(taken):.2f} | {min(taken):.2f}–{max(taken):.2f} |"
        for name, taken in zip(names, times, strict=True)
    ]
    met = "met" if statistics.median(times[0]) <= _GOAL else "not met"
    errors = []
    for least in (0.05, 0.01):
        codes = _codes(examples, least)
        part = codes[2][:200].double()
        error = (log_mixture(part, *codes[:2]) - _plain(part, *codes[:2])).abs()
        errors.append(
            f"- Error of ln q(z) against plain float64, noise from {least} on: at most {error.max():.0e} nats."
        )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mu, logvar, _ = _codes(large, 0.05)
    started = time.process_time()
    found = mutual_information(mu, logvar, generator)
    taken = time.process_time() - started
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    said = [
        f"N = {examples:,}, {_DIM} dimensions, {rounds} rounds; CPU seconds on one core, medians.",
        "",
        "| | s | least to most |",
        "| --- | ---: | ---: |",
        *rows,
        "",
        f"- I(X;Z) in at most {_GOAL} s: **{met}**, without a compiler.",
        *errors,
        f"- N = {large:,}: {taken:.1f} s, and the process grew by {grown:.0f} MiB. It reads {found.value:.3f} nats "
        f"of at most ln N = {found.cap:.3f}.",
    ]
    return "\n".join(["# What the information measures cost", "", *facts_lines(facts()), "", *said]) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("results"))
    chosen = parser.parse_args()
    on_one_core()
    text = page(chosen.examples, chosen.large, chosen.rounds)
    write_atomic(chosen.out / "information.md", text)
    print(text)
