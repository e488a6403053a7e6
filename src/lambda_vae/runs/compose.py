"""Methods by name, alone or joined by "+", and which do not fit together."""

from collections.abc import Sequence

from lambda_vae.checked import check_known
from lambda_vae.errors import InputError
from lambda_vae.runs.method import Method
from lambda_vae.runs.methods import METHODS

__all__ = ["method_named"]

#: Rows that do not fit together though no part of theirs is the same, and what to use instead.
_MISFITS: tuple[tuple[frozenset[str], frozenset[str], str], ...] = (
    (
        frozenset({"avb"}),
        frozenset({"lambda-vae", "lambda-rising", "noise-clamp", "fixed-noise", "lambda-detached", "lambda-elbo"}),
        "an implicit posterior has no sigma of its own for lambda to act on; use lambda-vae+iaf",
    ),
    (
        frozenset({"aae"}),
        frozenset({"vamp-prior", "flow-prior"}),
        "a discriminator is shown draws of the prior and teaches it nothing; use that prior without aae",
    ),
    (
        frozenset({"avb"}),
        frozenset({"vamp-prior"}),
        "the prior would be a mixture of laws without a density; use avb+flow-prior, or vamp-prior without avb",
    ),
    (
        frozenset({"vamp-prior"}),
        frozenset({"iaf", "flow"}),
        "the prior would be a mixture of flows, each to be inverted at every point; use flow-prior with them",
    ),
    (
        frozenset({"free-bits"}),
        frozenset({"delta-vae", "iaf", "flow", "vamp-prior", "flow-prior", "avb"}),
        "free bits need a closed KL of every dimension; use target-rate",
    ),
    (
        frozenset({"iwae"}),
        frozenset({"lambda-vae", "lambda-rising", "lambda-detached", "lambda-elbo", "noise-clamp", "fixed-noise"}),
        "importance weights need the density of the law really sampled, not the KL of another; leave out iwae and "
        "draw more with `samples`",
    ),
    (
        frozenset({"iwae"}),
        frozenset({"iaf", "flow", "avb"}),
        "its gradient holds the parameters of a Gaussian posterior fixed; leave out iwae and compare by nll_iw",
    ),
    (
        frozenset({"semi-amortized"}),
        frozenset({"delta-vae", "iaf", "flow"}),
        "its steps move mu and sigma of a Gaussian freely; use lagging, which trains the encoder's own weights",
    ),
    (
        frozenset({"semi-amortized"}),
        frozenset({"iwae"}),
        "the gradient of iwae goes by way of the encoder's own mu and sigma; use iwae alone, whose weights mend q too",
    ),
)


def method_named(name: str) -> Method:
    """Return the method of that name.

    Args:
        name: A key of `METHODS`, or several joined by "+", such as "lambda-vae+warm-up".

    Raises:
        InputError: Unknown, with the nearest name in the message; or methods that do not fit together.

    Example:
        >>> method_named("warm-up+lambda-vae").title
        'λ-VAE + warm-up'
    """
    names = list(dict.fromkeys(name.split("+")))
    for each in names:
        check_known("method", each, METHODS, "the methods are")
    return _composed([METHODS[each] for each in names])


def _composed(rows: Sequence[Method]) -> Method:
    # lambda first, then by the table, so that one composition has one name.
    order = list(METHODS)
    rows = sorted(rows, key=lambda row: (row.equalizer is None, order.index(row.name)))
    if len(rows) == 1:
        return rows[0]
    _require_fit(rows)
    parts = {part: getattr(row, part) for row in rows for part in row.own_parts()}
    return Method(
        "+".join(row.name for row in rows),
        " + ".join([rows[0].title, *(row.short or row.title for row in rows[1:])]),
        "; ".join(row.paper for row in rows),
        settings=tuple(dict.fromkeys(setting for row in rows for setting in row.settings)),
        cost="; ".join(dict.fromkeys(row.cost for row in rows)),
        samples=max(row.samples for row in rows),
        **parts,
    )


def _require_fit(rows: Sequence[Method]) -> None:
    names = {row.name for row in rows}
    for first, second, reason in _MISFITS:
        if names & first and names & second:
            pair = f"{next(iter(names & first))} and {next(iter(names & second))}"
            raise InputError(f"{pair} do not fit together: {reason}")
    owners: dict[str, Method] = {}
    for row in rows:
        for part in row.own_parts():
            if part in owners:
                raise InputError(
                    f"{owners[part].name} and {row.name} do not fit together: both set the {part}; use one of them"
                )
            owners[part] = row
