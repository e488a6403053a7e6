"""How often the cause of a collapse is right where theory knows it: linear data under a Gaussian likelihood.

The cases are those of tests/diagnostics/planted_causes.py. Writes results/causes.md.
"""

import argparse
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from facts import facts, facts_lines
from lambda_vae.any_vae import diagnose
from lambda_vae.files import write_atomic
from lambda_vae.likelihoods import gaussian

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "diagnostics"))
from planted_causes import EIGENVALUES, LATENTS, NOISE_VAR, SETTINGS, LinearData, apart, counted, fitted, theory

__all__ = ["Tally", "page"]

_STRONG = (25.0, 16.0, 9.0)
_CAUSES = ("lives", "no signal", "decoder noise", "gradient imbalance", "information gap", "undetermined")


@dataclass
class Tally:
    """Counts of one setting over the seeds.

    Args:
        name: Of the setting.
        expected: What theory says of one model.
    """

    name: str
    expected: Counter[str]
    found: Counter[str] = field(default_factory=Counter)
    models: int = 0
    right: int = 0
    worst: int = 0

    def add(self, found: Counter[str]) -> None:
        """Take in a model.

        Args:
            found: Its dimensions by cause.
        """
        self.found += found
        self.models += 1
        self.right += sum((found & self.expected).values())
        self.worst = max(self.worst, apart(found, self.expected))

    def row(self) -> str:
        """Return it as a line of a Markdown table."""
        cells = [
            f"{self.expected[cause]} / {self.found[cause] / self.models:.2f}"
            if self.expected[cause] or self.found[cause]
            else ""
            for cause in _CAUSES
        ]
        share = self.right / (self.models * sum(self.expected.values()))
        return f"| {self.name} | {' | '.join(cells)} | {self.worst} | {share:.1%} |"


def _named(kl_weight: float, std: float) -> str:
    return f"β = {kl_weight:g}, s = {std:g}"


def _linear(seeds: int) -> Iterable[Tally]:
    for kl_weight, std in SETTINGS:
        tally = Tally(_named(kl_weight, std), theory(kl_weight, std))
        for seed in range(seeds):
            data = LinearData(seed=seed)
            encode, decode = data.optimum(kl_weight, std)
            tally.add(counted(diagnose(encode, gaussian(decode, std=std), data.draw(5000), iw_samples=1)))
        yield tally


def _trained(seeds: int) -> Iterable[Tally]:
    for kl_weight, std in SETTINGS:
        tally = Tally(_named(kl_weight, std), theory(kl_weight, std))
        for seed in range(seeds):
            data = LinearData(seed=seed)
            torch.manual_seed(seed)
            (net,) = fitted(data.draw(20_000), [(kl_weight, std)], steps=4000, seed=seed)
            tally.add(counted(diagnose(net.encode, gaussian(net.decoder, std=std), data.draw(5000, 1), iw_samples=1)))
        yield tally


def _wide(seeds: int) -> Iterable[Tally]:
    for std in (0.5, 1.2, 4.5):
        tally = Tally(_named(1.0, std), theory(1.0, std, _STRONG, 5))
        for seed in range(seeds):
            data = LinearData(4000, seed, _STRONG)
            encode, decode = data.optimum(1.0, std, latents=5)
            tally.add(counted(diagnose(encode, gaussian(decode, std=std), data.draw(2500), iw_samples=1)))
        yield tally


def page(parts: dict[str, list[Tally]], seeds: int, hours: float) -> str:
    """Return the page.

    Args:
        parts: Settings by the title of their table.
        seeds: Of each setting.
        hours: Of one core.
    """
    every = [tally for tallies in parts.values() for tally in tallies]
    right = sum(tally.right for tally in every)
    spectrum = ", ".join(f"{e:g}" for e in EIGENVALUES)
    total = sum(tally.models * sum(tally.expected.values()) for tally in every)
    lines = [
        "# Causes where theory knows them",
        "",
        *facts_lines(facts()),
        "",
        f"x = U z + noise of variance {NOISE_VAR:g}; covariance eigenvalues {spectrum} and {NOISE_VAR:g}; {LATENTS} "
        f"latent dimensions, 40 features, 5,000 examples, {seeds} seeds, {hours:.2f} hours of one core. A direction of "
        "eigenvalue e lives iff e > β s² (Lucas et al. 2019); at most the data's noise it is no signal, up to s² "
        "decoder noise, up to β s² the KL weight, a gradient imbalance. Neither β nor the data's noise is told. Each "
        "cell: by theory / found, dimensions a model; *off* is the worst count of any model.",
        "",
        f"**Dimensions judged as theory has it: {right} of {total}, {right / total:.1%}.**",
        "",
    ]
    for title, tallies in parts.items():
        lines += [f"## {title}", "", f"| setting | {' | '.join(_CAUSES)} | off | right |"]
        lines += [f"| --- |{' --- |' * len(_CAUSES)} ---: | ---: |", *(tally.row() for tally in tallies), ""]
    return "\n".join(lines)


def main() -> None:
    """Measure every setting and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path("results/causes.md"))
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    started = time.process_time()
    parts = {
        "The best linear VAE": list(_linear(asked.seeds)),
        "A two-layer network, trained by Adam": list(_trained(asked.seeds)),
        "4,000 features, 2,500 examples, three directions of 25, 16 and 9, five latent dimensions": list(
            _wide(asked.seeds)
        ),
    }
    write_atomic(asked.out, page(parts, asked.seeds, (time.process_time() - started) / 3600))


if __name__ == "__main__":
    main()
