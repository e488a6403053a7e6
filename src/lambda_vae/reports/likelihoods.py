"""What `likelihood` found of several runs, as a results page: every estimate, and what follows from them."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lambda_vae.reports.markdown import markdown_table
from lambda_vae.reports.side_by_side import how_made, with_error

__all__ = ["likelihoods_page"]

Record = Mapping[str, Any]

_WHAT = {
    "surrogate_nll": 'the paper\'s "NLL": sampled from q_λ, with the KL of q₁. Not a bound.',
    "nll_bound": "the negative ELBO of the distribution that z is sampled from; an upper bound on −ln p(x).",
    "nll_iw": "importance-weighted, the lowest of the proposals; an upper bound in expectation.",
    "nll_ais": "annealed from the prior, without the encoder; an upper bound in expectation, nearest to the truth.",
    "gap": "between annealing from both sides, on data simulated from the model: how far nll_ais can be off there.",
}


def likelihoods_page(records: Sequence[Record]) -> str:
    """Return the page as Markdown.

    Args:
        records: Of `likelihood`, one a run, all measured with the same settings but for the model's own.
    """
    settings = records[0]["settings"]
    what = (
        f"The first {settings['examples']} test examples of {settings['data']}, nats per example, ± one standard error "
        f"over them. {settings['iw_samples']:,} importance samples an example and proposal; annealing with "
        f"{settings['temperatures']:,} temperatures, {settings['chains']} chains and {settings['leapfrog']} leapfrog "
        f"steps; {settings['simulated']} simulated examples for the check from both sides. Seed {settings['seed']}, "
        f"float32 products by the route {settings['matmul']!r}."
    )
    meanings = "\n".join(f"- `{name}`: {text}" for name, text in _WHAT.items())
    parts = ["# −ln p(x) by every estimator", what, meanings, _estimates(records), _weights(records)]
    notes = [f"- {record['run']}: {note}" for record in records for note in _remarks(record)]
    parts += ["## What to make of it", "\n".join(notes)]
    return "\n\n".join([*parts, how_made(records)]) + "\n"


def _estimates(records: Sequence[Record]) -> str:
    head = ("surrogate_nll", "nll_bound", "nll_iw", "nll_ais", "nll_iw` − `nll_ais")
    rows = []
    for record in records:
        readings, best = record["readings"], _best(record)
        annealed, simulated = "nll_ais" in readings, "simulated" in readings
        rows.append([
            record["run"],
            *(with_error(readings[name], 2) for name in ("surrogate_nll", "nll_bound")),
            f"{with_error(readings['nll_iw'][best], 2)} ({best})",
            with_error(readings["nll_ais"], 2) if annealed else "–",
            "{:+.2f} ± {:.2f}".format(*_apart(record)) if annealed else "–",
            with_error(readings["simulated"]["gap"], 2) if simulated else "–",
        ])  # fmt: skip
    return markdown_table(["run", *(f"`{name}`" for name in head), "gap"], rows, numbers=True)


def _weights(records: Sequence[Record]) -> str:
    rows = []
    for record in records:
        for name, found in record["readings"]["nll_iw"].items():
            tail = ["–", "–"] if found["khat"] is None else [f"{found['khat']:.2f}", f"{found['heavy']:.0%}"]
            rows.append([record["run"], name, with_error(found, 2), f"{found['ess']:.1f}", *tail])
    head = ["run", "proposal", "`nll_iw`", "effective samples", "median k̂", "examples with a heavy tail"]
    return markdown_table(head, rows, numbers=True)


def _remarks(record: Record) -> Iterator[str]:
    readings = record["readings"]
    best, bound = readings["nll_iw"][_best(record)], readings["nll_bound"]
    if readings["surrogate_nll"]["value"] < min(best["value"], readings.get("nll_ais", best)["value"]):
        yield "the surrogate lies below every valid estimate: as a likelihood it would be too good by that much."
    if "nll_ais" in readings:
        apart, stderr = _apart(record)
        between = apart >= -2.0 * stderr and best["value"] <= bound["value"]
        yield (
            f"importance weighting {'lies' if between else 'does NOT lie'} between annealing and the bound, "
            f"{apart:.2f} ± {stderr:.2f} nats above annealing, example by example."
        )
    for name in ("nll_ais", "simulated"):
        found = readings.get(name, {})
        for reason in (*found.get("reasons", ()), *found.get("gap", {}).get("reasons", ())):
            yield f"annealing is not settled: {reason}."
    if best.get("reasons"):
        yield f"importance weighting is not settled: {'; '.join(best['reasons'])}."


def _apart(record: Record) -> tuple[float, float]:
    """Mean and standard error of nll_iw - nll_ais, each example with itself."""
    columns = record["columns"]["test"]
    pairs = zip(columns[f"nll_iw.{_best(record)}"], columns["up.nll"], strict=True)
    apart = [one - other for one, other in pairs if one is not None and other is not None]
    spread = statistics.stdev(apart) if len(apart) > 1 else math.nan
    return statistics.fmean(apart), spread / len(apart) ** 0.5


def _best(record: Record) -> str:
    found = record["readings"]["nll_iw"]
    return str(min(found, key=lambda name: found[name]["value"]))
