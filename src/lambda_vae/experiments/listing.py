"""Tables for the terminal: the methods, the data sets."""

from rich.markup import escape
from rich.table import Table

from lambda_vae.data import describe
from lambda_vae.experiments.methods import METHODS

__all__ = ["data_table", "methods_table"]


def methods_table() -> Table:
    """Return the table of methods: name, title, paper, parts."""
    table = Table(title="Methods")
    for heading in ("name", "in tables", "paper", "parts"):
        table.add_column(heading)
    for method in METHODS.values():
        parts = (method.objective, method.schedule, method.equalizer)
        names = [
            part.__name__.strip("_").replace("_", " ")
            for part in parts
            if part.__name__ not in ("_constant", "_no_equalizer")
        ]
        table.add_row(method.name, method.title, method.paper, ", ".join(names))
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
