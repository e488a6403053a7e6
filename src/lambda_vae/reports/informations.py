"""What `information` found of several runs, as a results page: the parts of each KL, and what follows from them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lambda_vae.reports.markdown import escape_markdown, markdown_table
from lambda_vae.reports.side_by_side import how_made, with_error

__all__ = ["informations_page"]

Record = Mapping[str, Any]

#: Standard errors beyond which two sides of an identity are called different: one case in 370, by chance.
_LIMIT = 3.0

_WHAT = (
    "The distribution is the one that z is sampled from. KL = I(X;Z) + TC + the dimensions' own KLs holds exactly for "
    "the values as they stand, which share their draws. I(X;Z) cannot exceed ln N (`cap`); where it is near, what it "
    "lacks stands in the other parts, and the column next to it bounds it from above for the distribution behind the "
    "data."
)


def informations_page(records: Sequence[Record]) -> str:
    """Return the page as Markdown.

    Args:
        records: Of `information`, one a run, all measured with the same settings.
    """
    settings = records[0]["settings"]
    drawn = f"{settings['draws']} draw{'s' if settings['draws'] > 1 else ''}"
    how = (
        f"{drawn} of each of the first {settings['examples']:,} test examples of {escape_markdown(settings['data'])}, "
        f"nats, ± one standard error over the examples; seed {settings['seed']}."
    )
    remarks = [f"- {escape_markdown(record['run'])}: {note}" for record in records for note in _remarks(record)]
    parts = ["# What the KL is made of, and what z tells about x", f"{how} {_WHAT}", _parts(records)]
    if any(record["gain"] for record in records):
        parts += ["What λ adds, and what Eq. 12 says it adds by taking H[Z_λ] for H[Z]:", _gains(records)]
    return "\n\n".join([*parts, "## What to make of it", "\n".join(remarks), how_made(records)]) + "\n"


def _parts(records: Sequence[Record]) -> str:
    names = ("information_at_most", "total_correlation", "dimension_wise_kl", "mismatch")
    rows = []
    for record in records:
        split, identity = record["split"], record["identity"]
        parts = [split["rate"], split["information"]["lower"], *(split[name] for name in names)]
        eq8 = with_error(identity["difference"], 3) if identity else "–"
        rows.append([record["run"], *(with_error(part, 3) for part in parts), eq8])
    kls = ("TC", "Σ KL(q(z_i)‖p)", "KL(q(z)‖p)", "Eq. 8, left less right")
    return markdown_table(["run", "KL(q(z\\|x)‖p)", "I(X;Z)", "I(X;Z) at most", *kls], rows)


def _gains(records: Sequence[Record]) -> str:
    head = ["run", "Eq. 12", "measured", "H[Z_λ] − H[Z]", "H[Z_λ] − H[Z] at most"]
    names = ("predicted", "gain", "entropy_change", "entropy_change_at_most")
    found = [(record["run"], record["gain"]) for record in records if record["gain"]]
    return markdown_table(head, [[run, *(with_error(gain[name], 3) for name in names)] for run, gain in found])


def _remarks(record: Record) -> Iterator[str]:
    information, identity, gain = record["split"]["information"]["lower"], record["identity"], record["gain"]
    if not _known(information):
        yield f"nothing is known: {escape_markdown(information['reason'])}."
        return
    if information["saturated"]:
        yield f"I(X;Z) is saturated at its cap, ln N = {information['cap']:.2f}: it tells N, not the model."
    if identity and _known(identity["difference"]):
        apart, stderr = identity["difference"]["value"], identity["difference"]["stderr"]
        holds = "holds" if abs(apart) <= _LIMIT * stderr else "does NOT hold"
        yield f"Eq. 8 {holds}: its sides are {apart:+.3f} ± {stderr:.3f} nats apart."
    if gain and _known(gain["entropy_change_at_most"]):
        most = gain["entropy_change_at_most"]["value"]
        if most < 0:
            yield f"Eq. 12 promises at least {-most:.2f} nats too much, also for the distribution behind the data."
        else:
            yield (
                "whether Eq. 12 promises too much for the distribution behind the data is open: H[Z] may rise by "
                f"{most:.2f}."
            )


def _known(reading: Mapping[str, Any]) -> bool:
    return reading["value"] is not None and reading["value"] == reading["value"]
