"""How often the verdict on a dimension is right in models that this project has never seen, all planted.

Scenes of 16 dimensions, through `diagnose(encode, log_likelihood, data)`: every decoder's law, shape of the latents,
number of examples and seed. The cases are those of tests/adapters/planted.py. Writes results/planted.md.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from facts import facts, facts_lines
from lambda_vae.any_vae import diagnose
from lambda_vae.files import write_atomic

# The very cases of the tests, so that table and assertion cannot part.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "adapters"))
from planted import BORDER, CAUSES, LABELS, LAWS, SCENES, SHAPES, planted

__all__ = ["judged", "page"]

#: Kind, examples, law, shape, verdict, cause -> dimensions.
Counts = Counter[tuple[str, int, str, str, str, str]]

_VERDICTS = ("active", "collapsed", "over-sharp", "not measured")
_REASONS = ("no signal", "decoder noise", "gradient imbalance", "information gap", "undetermined", "not collapsed")
_MEANING = {
    "healthy": "the exact posterior",
    "faint": "the exact posterior of a weak factor, S = 0.012",
    "twin": "two dimensions share one factor and one column of the decoder",
    "dead": "the decoder's column is 0, the encoder silent, the data hold nothing for it",
    "trembling": "the same with what an optimiser's jitter leaves, S = 0.002",
    "prior": "the posterior is the prior, though the data hold something and the decoder would listen",
    "sharp": "σ is a tenth of what the bound wants",
    "sharpish": "a half, which costs the bound 0.3 nats",
}


def judged(scenes: Mapping[str, list[str]], examples: Sequence[int], seeds: int) -> Counts:
    """Return how many dimensions of each kind got which verdict and cause.

    Args:
        scenes: Kinds of the dimensions, by name.
        examples: Sizes of the data.
        seeds: Of each case.
    """
    counts: Counts = Counter()
    for law in LAWS:
        for shape in SHAPES:
            for size in examples:
                for seed in range(seeds):
                    for place, kinds in enumerate(scenes.values()):
                        model = planted(law, shape, kinds, size, 100 * seed + place)
                        report = diagnose(model.encode, model.log_likelihood, model.x, iw_samples=1)
                        for kind, verdict, cause in zip(kinds, report.verdicts, report.causes, strict=True):
                            counts[kind, size, law, shape, str(verdict), str(cause or "not collapsed")] += 1
    return counts


def _share(counts: Counts, right: Counts) -> str:
    total = counts.total()
    return f"{right.total()} of {total}, {100 * right.total() / total:.1f}%" if total else "–"


def _where(counts: Counts, **wanted: object) -> Counts:
    """The part of the counts with these values."""
    names = ("kind", "examples", "law", "shape", "verdict", "cause")
    chosen = {names.index(name): value for name, value in wanted.items()}
    return Counter({key: n for key, n in counts.items() if all(key[i] == value for i, value in chosen.items())})


def _right(counts: Counts) -> Counts:
    return Counter({key: n for key, n in counts.items() if LABELS[key[0]] == key[4]})


def _confusion(counts: Counts) -> list[str]:
    lines = [
        "| planted | what it is | should be | " + " | ".join(_VERDICTS) + " |",
        "| --- | --- | --- " + "| ---: " * 4 + "|",
    ]
    for kind, meaning in _MEANING.items():
        if not _where(counts, kind=kind):
            continue
        found = [_where(counts, kind=kind, verdict=verdict).total() for verdict in _VERDICTS]
        lines.append(f"| {kind} | {meaning} | {LABELS[kind]} | " + " | ".join(map(str, found)) + " |")
    return lines


def _conditions(counts: Counts, sizes: Sequence[int]) -> list[str]:
    lines = [
        "| decoder | latents | " + " | ".join(f"{n} examples" for n in sizes) + " |",
        "| --- | --- " + "| ---: " * len(sizes) + "|",
    ]
    for law in LAWS:
        for shape in SHAPES:
            parts = [_where(counts, law=law, shape=shape, examples=n) for n in sizes]
            lines.append(f"| {law} | {shape} | " + " | ".join(_share(part, _right(part)) for part in parts) + " |")
    return lines


def _causes(counts: Counts, sizes: Sequence[int]) -> list[str]:
    lines = [
        "| planted | examples | decoder | should be | " + " | ".join(_REASONS) + " |",
        "| --- | ---: | --- | --- " + "| ---: " * 4 + "|",
    ]
    for kind, cause in CAUSES.items():
        for size in sizes:
            for law in LAWS:
                part = _where(counts, kind=kind, examples=size, law=law)
                if not part:
                    continue
                found = [str(_where(part, cause=reason).total()) for reason in _REASONS]
                lines.append(f"| {kind} | {size} | {law} | {cause} | " + " | ".join(found) + " |")
    return lines


def page(counts: Counts, border: Counts, sizes: Sequence[int], seeds: int) -> str:
    """Return the tables as Markdown.

    Args:
        counts: What `judged` gave.
        border: The same of the close calls.
        sizes: Of the data.
        seeds: Of each case.
    """
    said = (
        f"{len(SCENES)} scenes of 16 dimensions ({', '.join(SCENES)}), {seeds} seeds each. A dimension of [B, C, H, W] "
        "is a channel of 2x2 sites, of [B, T, D] a feature of four steps. The models are linear and at their optimum "
        "but for what is planted, so that the right verdict is known; no history of a training is given."
    )
    return "\n".join([
        "# Planted cases", "", *facts_lines(facts()), "", said, "",
        f"**Verdicts right: {_share(counts, _right(counts))} dimensions.**", "", *_confusion(counts), "",
        "## By decoder, latents and size of the data", "", *_conditions(counts, sizes), "",
        "## Causes of the collapsed", "", *_causes(counts, sizes), "",
        "Where examples are few beside the numbers of one (40 to 640 here), what is left in the data does not stand "
        "out from its noise: \"no signal\" then says that no direction worth more than half a nat would have gone "
        "unseen, and \"undetermined\" that one could.", "",
        "## Close to the border", "",
        "S a fifth above its threshold, and noise that costs 0.32 nats where 0.25 are the limit, 4 of 16 dimensions "
        f"each: {_share(border, _right(border))} right. A dimension that is over-sharp by so little is called active "
        "where data are few, for two standard errors are given in its favour, and under a Bernoulli decoder, for "
        "whose σ(x) the cost is not exact.", "",
        *_confusion(border), "", *_conditions(border, sizes), "",
    ])  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, nargs="+", default=[50, 100, 200, 1000])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("results"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    found, close = (judged(scenes, chosen.examples, chosen.seeds) for scenes in (SCENES, BORDER))
    text = page(found, close, chosen.examples, chosen.seeds)
    write_atomic(chosen.out / "planted.md", text)
    print(text)
