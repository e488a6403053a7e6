"""The verdict and the table in a terminal; names from outside are text there too, never markup."""

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from lambda_vae.records.read import ComparisonRecord
from lambda_vae.reports.conclusions import advice, verdict_lines
from lambda_vae.reports.tables import comparison_table

__all__ = ["print_comparison"]


def print_comparison(record: ComparisonRecord, console: Console | None = None) -> None:
    """Print table, notes, failures, verdict, and which method to choose.

    Args:
        record: From `load_record`.
        console: Where to; standard output if not given.
    """
    console = console or Console()
    table = comparison_table(record.rows, record.data)
    console.print(table.to_rich(console.width))
    for note in table.notes(table.fitting(console.width)):
        console.print(Padding(escape(note), (0, 0, 0, 2)), style="dim", highlight=False)
    for failure in table.failures:
        console.print(Padding(escape(failure), (0, 0, 0, 2)), style="red", highlight=False)
    console.print()
    for place, sentence in enumerate(verdict_lines(record)):
        console.print(escape(sentence), style="bold" if place == 0 else "", highlight=False)
    if len(record.rows) > 1:
        console.print("\nWhich method to choose", style="bold")
        for sentence in advice(record.rows):
            console.print(Padding(escape(sentence), (0, 0, 0, 2)), highlight=False)
