"""How many of thousands of small VAEs, right or wrong in one way, get a plausible wrong number: none may.

The hosts are those of tests/adapters/generated_hosts.py: seven likelihoods, trained, on maps, series and vectors; every
change of what the two callables answer, one at a time. Writes results/wrong-hosts.md.
"""

import argparse
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

from facts import facts, facts_lines
from lambda_vae.files import write_atomic

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "adapters"))
from generated_hosts import KINDS, LATENTS, RIGHT, WRONG, cases, made, outcome

__all__ = ["page"]

_VERDICTS = ("right", "refused", "noted", "silent", "traceback")


def page(counts: Counter[tuple[str, str]], seeds: int, hours: float) -> str:
    """Return the page.

    Args:
        counts: Hosts by change and verdict.
        seeds: Networks of each kind.
        hours: Of one core.
    """
    total, wrong = sum(counts.values()), sum(n for (_, verdict), n in counts.items() if verdict in _VERDICTS[3:])
    refused = sum(n for (name, verdict), n in counts.items() if name in RIGHT and verdict != "right")
    lines = [
        "# Hosts that are wrong in one way",
        "",
        *facts_lines(facts()),
        "",
        f"{total} hosts: {len(KINDS)} kinds ({', '.join(KINDS)}), {seeds} trained networks of {LATENTS} latent "
        f"dimensions each, 300 unseen examples, {hours:.2f} hours of one core. A host is *right* if KL and valid bound "
        "are those of a plain Monte Carlo estimate within its error; *refused* with one sentence; *noted* if a wrong "
        "number comes with a sentence on why; *silent* if it comes without.",
        "",
        f"**Silent errors and tracebacks: {wrong}. Right hosts that were not measured right: {refused}.**",
        "",
    ]
    for title, table in (("What is right in other words", RIGHT), ("One thing wrong", WRONG)):
        lines += [f"## {title}", "", f"| change | {' | '.join(_VERDICTS)} |", f"| --- |{' ---: |' * len(_VERDICTS)}"]
        lines += [f"| {name} | {' | '.join(str(counts[name, verdict]) for verdict in _VERDICTS)} |" for name in table]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Make every host and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=17)
    parser.add_argument("--out", type=Path, default=Path("results/wrong-hosts.md"))
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    counts: Counter[tuple[str, str]] = Counter()
    started = time.process_time()
    for seed in range(asked.seeds):
        for kind, name, _ in cases():
            found = outcome(*made(kind, name, seed))
            counts[name, found.verdict] += 1
            if found.verdict in _VERDICTS[3:] or (name in RIGHT and found.verdict != "right"):
                print(f"{kind}, seed {seed}: {name}: {found.verdict}: {found.said}", flush=True)
    write_atomic(asked.out, page(counts, asked.seeds, (time.process_time() - started) / 3600))


if __name__ == "__main__":
    main()
