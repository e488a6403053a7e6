"""A comparison as a table: one line a method, mean and spread over seeds; terminal, Markdown, CSV, LaTeX."""

import csv
import io
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.markup import escape as escape_markup
from rich.table import Table as RichTable

from lambda_vae.records.columns import COLUMNS, Column
from lambda_vae.records.read import Row
from lambda_vae.reports.markdown import escape_markdown
from lambda_vae.reports.measured import examples_word, measured_note
from lambda_vae.reports.published import published_figures, published_source

__all__ = ["WAITING", "Cell", "Line", "Table", "comparison_table"]

_WIDEST_LABEL = 26

#: Status of a run of an unfinished comparison that has left nothing yet.
WAITING = "waiting"
_SURROGATE_NOTE = (
    'The surrogate is the paper\'s "NLL". It is not a bound on -log p(x): the excess KL is missing from it. '
    "Where z is drawn from q itself (no λ, no clamped or fixed noise) it equals the NLL bound."
)


@dataclass(frozen=True)
class Cell:
    """Mean and spread of one quantity over the seeds of one method.

    Args:
        mean: Mean, or None where no run has the value.
        spread: Sample standard deviation; None below two runs.
        note: Stands behind the number, such as the proposal of an importance-weighted estimate.
    """

    mean: float | None = None
    spread: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Line:
    """One method of a comparison.

    Args:
        label: The method's name.
        row: The first run's scalars, for method, delta, beta.
        runs: How many runs gave a result.
        cells: One for each column.
        failures: One sentence for each run that failed.
        waiting: How many runs are still to come.
    """

    label: str
    row: Row
    runs: int
    cells: tuple[Cell, ...]
    failures: tuple[str, ...] = ()
    waiting: int = 0

    def cell(self, key: str) -> Cell:
        """Return the cell of one column.

        Args:
            key: The column's key; every column of `COLUMNS` is there.
        """
        return self.cells[[column.key for column in COLUMNS].index(key)]


@dataclass(frozen=True)
class Table:
    """Lines under `COLUMNS`.

    Args:
        lines: One a method, in the order of the records.
    """

    lines: tuple[Line, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that hold at least one number, or one for every line with runs where they must."""
        lines, held = [line for line in self.lines if line.runs], []
        for i, column in enumerate(COLUMNS):
            among, enough = (lines, all) if column.everywhere else (self.lines, any)
            if among and enough(line.cells[i].mean is not None for line in among):
                held.append(column)
        return tuple(held)

    def text(self, line: Line, column: Column) -> str:
        """Return one cell as people read it, such as "123.78 ± 0.21".

        Args:
            line: The method.
            column: The quantity.
        """
        cell = line.cell(column.key)
        if cell.mean is None:
            return "–"
        whole = column.key in ("active_units", "active_directions", "near_prior") and line.runs == 1
        value = f"{cell.mean:.0f}" if whole else column.write(cell.mean)
        spread = "" if cell.spread is None else f" ± {column.write(cell.spread)}"
        return f"{value}{spread}{f' ({cell.note})' if cell.note else ''}"

    def to_rich(self, width: int = 100) -> RichTable:
        """Return a table for a terminal: the main columns, as many as `width` holds.

        Args:
            width: Columns of the terminal.
        """
        table = RichTable(box=box.SIMPLE_HEAD, header_style="bold")
        table.add_column("method", overflow="fold", vertical="bottom", max_width=_WIDEST_LABEL)
        table.add_column("runs", justify="right", no_wrap=True)
        shown = self.fitting(width)
        for column in shown:
            table.add_column(escape_markup(_terminal_heading(column)), justify="right", no_wrap=True)
        for line in self.lines:
            cells = [escape_markup(self.text(line, column)) for column in shown]
            table.add_row(escape_markup(line.label), str(line.runs), *cells)
        return table

    def fitting(self, width: int) -> tuple[Column, ...]:
        """Return the main columns, as many as a terminal `width` columns wide holds, in the table's order.

        Args:
            width: Columns of the terminal.
        """
        between = 3
        label = max([len("method"), *(len(line.label) for line in self.lines)])
        left = width - 1 - min(label, _WIDEST_LABEL) - between - len("runs") - between
        shown = []
        for column in sorted(self.columns, key=lambda column: column.priority):
            texts = [*_terminal_heading(column).split("\n"), *(self.text(line, column) for line in self.lines)]
            left -= max(map(len, texts)) + between
            if left < 0:
                break
            shown.append(column)
        return tuple(column for column in COLUMNS if column in shown)

    def to_markdown(self) -> str:
        """Return the whole table in Markdown, notes and failures below."""
        head = ["method", "runs", *(f"{c.heading} {c.arrow}".strip() for c in self.columns)]
        body = [[line.label, str(line.runs), *(self.text(line, c) for c in self.columns)] for line in self.lines]
        rule = ["---", *["---:"] * (len(head) - 1)]
        rows = [head, rule, *([escape_markdown(text) for text in row] for row in body)]
        table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
        notes = [*self.notes(), *self.failures]
        return (
            "\n\n".join([table, *([] if not notes else ["\n".join(f"- {escape_markdown(note)}" for note in notes)])])
            + "\n"
        )

    def to_csv(self) -> str:
        """Return the whole table as CSV: plain numbers, mean and spread in columns of their own."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        names = [(c.key.replace(":", "_"), c) for c in COLUMNS]
        pairs = [part for name, _ in names for part in (f"{name}_mean", f"{name}_spread")]
        writer.writerow(["label", "method", "delta", "beta", "release_epochs", "runs", "nll_iw_proposal", *pairs])
        for line in self.lines:
            given = [line.row.get(key) for key in ("method", "delta", "beta", "release_epochs")]
            values = [part for _, c in names for part in (line.cell(c.key).mean, line.cell(c.key).spread)]
            writer.writerow([line.label, *given, line.runs, line.cell("nll_iw").note, *values])
        return out.getvalue()

    def to_latex(self) -> str:
        """Return the whole table as a booktabs tabular, notes as comments above it."""
        head = ["method", "runs", *(f"{c.heading} {c.arrow}".strip() for c in self.columns)]
        body = [[line.label, str(line.runs), *(self.text(line, c) for c in self.columns)] for line in self.lines]
        comments = [f"% {' '.join(note.split())}" for note in (*self.notes(), *self.failures)]
        rows = [" & ".join(map(_latex, row)) + r" \\" for row in body]
        begin = rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}"
        top = [begin, r"\toprule", " & ".join(map(_latex, head)) + r" \\", r"\midrule"]
        return "\n".join([*comments, *top, *rows, r"\bottomrule", r"\end{tabular}"]) + "\n"

    def notes(self, columns: Sequence[Column] | None = None) -> tuple[str, ...]:
        """Return the sentences that must stand under the table, so that nobody misreads it.

        Args:
            columns: Those that are shown; all of them if not given.
        """
        keys = {column.key for column in (self.columns if columns is None else columns)}
        waiting = sum(line.waiting for line in self.lines)
        notes = [f"{waiting} of {waiting + self.ended} runs are still to come."] if waiting else []
        rows = [line.row for line in self.lines]
        notes += [measured_note(rows)] if measured_note(rows) else []
        word = examples_word(rows)
        notes += [f"Likelihoods are in nats per {word} example; ± is the sample standard deviation over seeds."]
        samples = sorted({int(line.row["nll_iw_samples"]) for line in self.lines if line.row.get("nll_iw_samples")})
        if samples and "nll_iw" in keys:
            named = " or ".join(map(str, samples))
            notes.append(f"Importance-weighted: {named} samples a point; the proposal stands in brackets.")
        if "surrogate_nll" in keys:
            notes.append(_SURROGATE_NOTE)
        if "step_cost" in keys:
            notes.append(
                "Step's cost: time per training step, of the plain VAE's, both timed side by side when the runs were "
                "done; the seconds of a run count whatever else the machine did."
            )
        if any(key.startswith("paper:") for key in keys):
            notes.append(f"Paper's figures: {published_source()}.")
        return tuple(notes)

    @property
    def ended(self) -> int:
        """How many runs came to an end, good or bad."""
        return sum(line.runs + len(line.failures) for line in self.lines)

    @property
    def failures(self) -> tuple[str, ...]:
        """One sentence for each run that failed."""
        return tuple(failure for line in self.lines for failure in line.failures)


def comparison_table(rows: Iterable[Row], data: str = "") -> Table:
    """Return the runs gathered by method label: mean and sample standard deviation over seeds.

    Args:
        rows: One a run, as in table.json; failed runs are counted and explained, not averaged.
        data: Name of the data set; the paper's figures stand beside ours where it has any.

    Returns:
        The table, with the notes that say what its numbers are.

    Example:
        >>> row = {"label": "VAE", "method": "vae", "run": "a", "status": "done", "active_units": 7}
        >>> table = comparison_table([row, row | {"active_units": 8}])
        >>> table.text(table.lines[0], table.columns[0])
        '7.5 ± 0.7'
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(str(row["label"]), []).append(row)
    lines = tuple(_line(label, group, data) for label, group in groups.items())
    return Table(lines)


def _line(label: str, group: Sequence[Row], data: str) -> Line:
    done = [row for row in group if row["status"] == "done"]
    published = published_figures(group[0], data)
    cells = []
    for column in COLUMNS:
        if column.key.startswith("paper:"):
            cells.append(Cell(published.get(column.key.removeprefix("paper:"))))
        else:
            cells.append(_cell(done, column))
    failures = tuple(
        f"{row['run']} failed: {row.get('failure') or 'no reason was recorded'}"
        for row in group
        if row["status"] not in ("done", WAITING)
    )
    waiting = sum(row["status"] == WAITING for row in group)
    return Line(label, group[0], len(done), tuple(cells), failures, waiting)


def _cell(done: Sequence[Row], column: Column) -> Cell:
    key = column.key
    values = [float(row[key]) for row in done if row.get(key) is not None and math.isfinite(row[key])]
    if not values or (column.everywhere and len(values) < len(done)):
        return Cell()
    note = ""
    if key == "nll_iw":
        note = ", ".join(sorted({_proposal(row) for row in done if row.get("nll_iw_proposal")}))
    # A step is timed once for all seeds: a spread of nought would look like a measurement.
    spread = len(values) > 1 and key != "step_cost"
    return Cell(statistics.fmean(values), statistics.stdev(values) if spread else None, note)


def _proposal(row: Row) -> str:
    if row.get("mean_exponent") == 1 and len(row.get("nll_iw_by_proposal") or ()) < 2:
        return "q"
    return {"q": "q₁", "q_sampled": "q_λ"}.get(str(row["nll_iw_proposal"]), str(row["nll_iw_proposal"]))


def _terminal_heading(column: Column) -> str:
    return f"{column.narrow or column.heading} {column.arrow}".rstrip()


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "±": r"$\pm$", "λ": r"$\lambda$", "δ": r"$\delta$", "σ": r"$\sigma$", "β": r"$\beta$", "μ": r"$\mu$",
    "↓": r"$\downarrow$", "↑": r"$\uparrow$", "–": "--", "₁": r"$_1$", "∞": r"$\infty$",
    "α": r"$\alpha$", "γ": r"$\gamma$", "ε": r"$\varepsilon$", "‖": r"$\Vert$", "×": r"$\times$", "≤": r"$\leq$",
    "≥": r"$\geq$", "−": r"$-$",
}  # fmt: skip


def _latex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in " ".join(text.split()))
