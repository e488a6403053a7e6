"""Tables for the terminal: the methods, the data sets."""

import re
from inspect import cleandoc

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from lambda_vae.checked import plain_number
from lambda_vae.comparisons._tune import Tuned
from lambda_vae.data import describe
from lambda_vae.methods import METHODS, Method, method_named

__all__ = ["data_table", "method_table", "methods_table", "tuned_table"]


def methods_table() -> Table:
    """Return the table of methods: name, title, paper, the parts that are its own, its settings, its cost."""
    caption = 'Names joined by "+" compose, such as lambda-vae+warm-up; settings follow a colon: beta-vae:beta=4.'
    table = Table(title="Methods", caption=caption, box=SIMPLE_HEAD, leading=1)
    table.add_column("name", no_wrap=True)
    table.add_column("method, paper, settings", ratio=2)
    table.add_column("own parts")
    table.add_column("a step costs", ratio=1)
    for method in METHODS.values():
        what = "\n".join(filter(None, (method.title, method.paper, ", ".join(method.settings))))
        cells = (method.name, what, "\n".join(method.own_parts()), method.cost)
        table.add_row(*map(escape, cells))
    return table


def method_table(text: str) -> Table:
    """Return what one method is, and each of its settings with its value and its meaning.

    Args:
        text: As for `method_named`.

    Raises:
        InputError: As `method_named`.
    """
    method = method_named(text)
    parts = ", ".join(method.own_parts()) or "none"
    caption = f"{method.paper}\nown parts: {parts}; a step costs {method.cost}"
    table = Table(title=f"{method.name}: {method.title}", caption=caption, box=SIMPLE_HEAD)
    for heading in ("setting", "value", "meaning"):
        table.add_column(heading)
    for part in method.parts:
        meanings = _meanings(part)
        for one in part.each_setting():
            name = one.name if one.name == one.record else f"{one.name} (--{one.record})"
            table.add_row(*map(escape, (name, str(one.value), meanings.get(one.name, ""))))
    return table


def _meanings(method: Method) -> dict[str, str]:
    """What each setting means, from the docstrings of the method's class and of those that it builds on."""
    docs = [cleandoc(one.__doc__ or "") for one in type(method).__mro__]
    pairs = [
        pair for doc in docs for pair in re.findall(r"^    (\w+): ((?:.+\n?)(?:        .+\n?)*)", doc, re.MULTILINE)
    ]
    return {name: " ".join(meaning.split()) for name, meaning in reversed(pairs)}


def tuned_table(found: Tuned) -> Table:
    """Return what a search tried, by delta, the winner marked; if these runs do not tell one delta from another, that.

    Args:
        found: What it found.
    """
    caption = None if found.tells_delta else "These runs do not tell one δ from another; train for more epochs."
    table = Table(title="Tried, measured on the validation split", caption=caption)
    for heading in ("", "δ", "released", "NLL bound", "AU", "SNR capacity"):
        table.add_column(heading, justify="right")
    for point, outcome in sorted(found.outcomes.items(), key=lambda pair: (pair[0].release_epochs, pair[0].delta)):
        mark = "→" if point == found.point else ""
        numbers = (f"{outcome.nll_bound:.2f}", f"{outcome.active_units:.1f}", f"{outcome.snr_capacity:.1f}")
        table.add_row(mark, plain_number(point.delta), str(point.release_epochs or ""), *numbers)
    return table


def data_table() -> Table:
    """Return the table of named data sets."""
    table = Table(title="Data sets")
    for heading in ("name", "what", "shape", "train", "test", "here", "where", "licence"):
        table.add_column(heading)
    for row in describe():
        shape = "x".join(map(str, row.shape))
        here = "prepared" if row.prepared else ""
        cells = (row.name, row.title, shape, f"{row.train}", f"{row.test}", here, row.where, row.licence)
        table.add_row(*(escape(cell) for cell in cells))
    return table
