"""Tables for the terminal: the methods, the data sets."""

from rich.markup import escape
from rich.table import Table

from lambda_vae.data import describe
from lambda_vae.experiments.methods import METHODS

__all__ = ["data_table", "methods_table"]


def methods_table() -> Table:
    """Return the table of methods: name, title, paper, the parts that are its own, its settings, its cost."""
    table = Table(title="Methods", caption='Names joined by "+" compose, such as lambda-vae+warm-up.')
    for heading in ("name", "in tables", "paper", "own parts", "settings", "a step costs"):
        table.add_column(heading)
    for method in METHODS.values():
        lists = (", ".join(method.own_parts()), ", ".join(method.settings))
        table.add_row(*(escape(cell) for cell in (method.name, method.title, method.paper, *lists, method.cost)))
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
