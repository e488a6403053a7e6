"""What can be chosen from, listed before torch is imported: the methods, the data sets."""

from collections.abc import Iterator

import docstring_parser
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from lambda_vae.methods import METHODS, Method, method_named

__all__ = ["list_data", "list_methods", "method_table", "methods_table"]


def list_methods(name: str | None = None) -> Iterator[Table]:
    """List the methods, or the settings of one."""
    yield methods_table() if name is None else method_table(name)


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
    docs = [docstring_parser.parse(one.__doc__ or "") for one in reversed(type(method).__mro__)]
    return {one.arg_name: " ".join((one.description or "").split()) for doc in docs for one in doc.params}


def list_data() -> Iterator[Table]:
    """List the named data sets and whether they are here."""
    from lambda_vae.data import describe  # numpy, requests and pillow, for which the list of methods need not wait

    table = Table(title="Data sets")
    for heading in ("name", "what", "shape", "train", "test", "here", "where", "licence"):
        table.add_column(heading)
    for row in describe():
        shape = "x".join(map(str, row.shape))
        here = "prepared" if row.prepared else ""
        cells = (row.name, row.title, shape, f"{row.train}", f"{row.test}", here, row.where, row.licence)
        table.add_row(*(escape(cell) for cell in cells))
    yield table
