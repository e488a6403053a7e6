"""A comparison as a table: one line a method, mean and spread over seeds; terminal, Markdown, CSV, LaTeX."""

import csv
import io
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.markup import escape as escape_markup
from rich.table import Table as RichTable

from lambda_vae.records.columns import COLUMNS, Column
from lambda_vae.records.run_row import RunRow
from lambda_vae.reports.markdown import escape_markdown, markdown_table
from lambda_vae.reports.measured import examples_word, measured_note
from lambda_vae.reports.published import published_figures, published_source

__all__ = ["Cell", "Line", "Table", "comparison_table"]

_WIDEST_LABEL = 26
_SURROGATE_NOTE = (
    'The surrogate is the paper\'s "NLL". It is not a bound on -log p(x): the excess KL is missing from it. '
    "Where z is sampled from q itself (no λ, no clamped or fixed noise) it equals the NLL bound."
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

    @property
    def value(self) -> float:
        """The mean; NaN where there is none."""
        return math.nan if self.mean is None else self.mean

    @property
    def known(self) -> bool:
        """Whether the mean is a finite number."""
        return math.isfinite(self.value)


class _Mean:
    """The cell of the column of the same name."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, line: "Line", owner: type | None = None) -> Cell:
        return line.cell(self.name)


@dataclass(frozen=True)
class Line:
    """One method of a comparison.

    Args:
        label: The method's name.
        row: Its first run, for method, delta, beta.
        done: The runs that gave a result.
        cells: One for each column, by its key.
        failures: One sentence for each run that failed.
        waiting: How many runs are still to come.
    """

    label: str
    row: RunRow
    done: tuple[RunRow, ...]
    cells: Mapping[str, Cell]
    failures: tuple[str, ...] = ()
    waiting: int = 0

    active_units = _Mean()
    active_directions = _Mean()
    nll_bound = _Mean()
    nll_iw = _Mean()
    surrogate_nll = _Mean()
    excess_kl = _Mean()
    snr_capacity = _Mean()
    linear_probe_accuracy = _Mean()
    step_cost = _Mean()

    @property
    def runs(self) -> int:
        """How many runs gave a result."""
        return len(self.done)

    @property
    def name(self) -> str:
        """How a sentence speaks of the method: "the plain VAE", or its label."""
        return "the plain VAE" if self.row.method == "vae" else self.label

    @property
    def dimensions_used(self) -> Cell:
        """How many dimensions the code really has: active units, or directions where there are fewer."""
        fewer = self.active_directions.value < self.active_units.value
        return self.active_directions if fewer else self.active_units

    def cell(self, key: str) -> Cell:
        """Return the cell of one column."""
        return self.cells[key]

    def published(self, key: str) -> float | None:
        """Return the paper's figure for a quantity, where it has one."""
        return self.cells[f"paper:{key}"].mean


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
        return tuple(column for column in COLUMNS if self._holds(column))

    def _holds(self, column: Column) -> bool:
        there = [line.cell(column.key).mean is not None for line in self.lines if line.runs or not column.everywhere]
        return bool(there) and (all(there) if column.everywhere else any(there))

    def text(self, line: Line, column: Column) -> str:
        """Return one cell as people read it, such as "123.78 ± 0.21"."""
        cell = line.cell(column.key)
        if cell.mean is None:
            return "–"
        whole = column.key in ("active_units", "active_directions", "near_prior") and line.runs == 1
        value = f"{cell.mean:.0f}" if whole else column.write(cell.mean)
        spread = "" if cell.spread is None else f" ± {column.write(cell.spread)}"
        return f"{value}{spread}{f' ({cell.note})' if cell.note else ''}"

    def to_rich(self, width: int = 100) -> RichTable:
        """Return a table for a terminal: the main columns, as many as `width` holds."""
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
        """Return the main columns, as many as a terminal `width` columns wide holds, in the table's order."""
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

    @property
    def _texts(self) -> list[list[str]]:
        """Every cell as text, the headings first."""
        head = ["method", "runs", *(f"{c.heading} {c.arrow}".strip() for c in self.columns)]
        return [head] + [
            [line.label, str(line.runs), *(self.text(line, c) for c in self.columns)] for line in self.lines
        ]

    def to_markdown(self) -> str:
        """Return the whole table in Markdown, notes and failures below."""
        head, *body = self._texts
        notes = "\n".join(f"- {escape_markdown(note)}" for note in (*self.notes(), *self.failures))
        return "\n\n".join(filter(None, [markdown_table(head, body, numbers=True), notes])) + "\n"

    def to_csv(self) -> str:
        """Return the whole table as CSV: plain numbers, mean and spread in columns of their own."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        pairs = [f"{column.key.replace(':', '_')}_{part}" for column in COLUMNS for part in ("mean", "spread")]
        writer.writerow(["label", "method", "delta", "beta", "release_epochs", "runs", "nll_iw_proposal", *pairs])
        for line in self.lines:
            row, cells = line.row, [line.cell(column.key) for column in COLUMNS]
            given = [line.label, row.method, row.delta, row.beta, row.release_epochs, line.runs, line.nll_iw.note]
            writer.writerow([*given, *(part for cell in cells for part in (cell.mean, cell.spread))])
        return out.getvalue()

    def to_latex(self) -> str:
        """Return the whole table as a booktabs tabular, notes as comments above it."""
        comments = [f"% {' '.join(note.split())}" for note in (*self.notes(), *self.failures)]
        head, *rows = [" & ".join(map(_latex, row)) + r" \\" for row in self._texts]
        begin = rf"\begin{{tabular}}{{l{'r' * (len(self.columns) + 1)}}}"
        lines = [*comments, begin, r"\toprule", head, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}"]
        return "\n".join(lines) + "\n"

    def notes(self, columns: Sequence[Column] | None = None) -> tuple[str, ...]:
        """Return the sentences that must stand under the table, so that nobody misreads it.

        Args:
            columns: Those that are shown; all of them if not given.
        """
        keys = {column.key for column in (self.columns if columns is None else columns)}
        waiting = sum(line.waiting for line in self.lines)
        notes = [f"{waiting} of {waiting + self.ended} runs are still to come."] if waiting else []
        rows = [line.row for line in self.lines]
        notes += filter(None, [measured_note(rows)])
        several = any(line.runs > 1 for line in self.lines)
        spread = "; ± is the sample standard deviation over seeds" if several else ""
        # Whose model was not trained here may have been measured on any data.
        anybodys = all(row.epochs is None and row.examples is not None for row in rows)
        notes.append(f"Likelihoods are in nats per {'' if anybodys else f'{examples_word(rows)} '}example{spread}.")
        samples = sorted({row.nll_iw_samples for row in rows if row.nll_iw_samples})
        if samples and "nll_iw" in keys:
            named = " or ".join(map(str, samples))
            notes.append(f"Importance-weighted NLL: {named} samples per example, from the proposal in brackets.")
        if "surrogate_nll" in keys:
            notes.append(_SURROGATE_NOTE)
        if "step_cost" in keys:
            notes.append(
                "Step's cost: time of a training step relative to the plain VAE's, both timed in turn after the runs; "
                "the seconds of a run depend on what else the machine did."
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


def comparison_table(rows: Iterable[RunRow], data: str = "") -> Table:
    """Return the runs gathered by method label: mean and sample standard deviation over seeds.

    Args:
        rows: One a run; failed runs are counted and explained, not averaged.
        data: Name of the data set; the paper's figures stand next to ours where it has any.

    Returns:
        The table, with the notes that say what its numbers are.

    Example:
        >>> rows = [RunRow(run="a", label="VAE", method="vae", status="done", active_units=n) for n in (7, 8)]
        >>> table = comparison_table(rows)
        >>> table.text(table.lines[0], table.columns[0])
        '7.5 ± 0.7'
    """
    groups: dict[str, list[RunRow]] = {}
    for row in rows:
        groups.setdefault(row.label, []).append(row)
    return Table(tuple(_line(label, group, data) for label, group in groups.items()))


def _line(label: str, group: Sequence[RunRow], data: str) -> Line:
    done = tuple(row for row in group if row.done)
    cells = {column.key: _cell(done, column) for column in COLUMNS if not column.key.startswith("paper:")}
    published = published_figures(group[0], data)
    paper = {c.key: Cell(published.get(c.key.removeprefix("paper:"))) for c in COLUMNS if c.key not in cells}
    failures = tuple(f"{row.run} failed: {row.failure or 'no reason was recorded'}" for row in group if row.failed)
    return Line(label, group[0], done, cells | paper, failures, sum(row.waiting for row in group))


def _cell(done: Sequence[RunRow], column: Column) -> Cell:
    key = column.key
    given = [value for row in done if (value := getattr(row, key)) is not None and math.isfinite(value)]
    if not given or (column.everywhere and len(given) < len(done)):
        return Cell()
    values = [float(value) for value in given]
    proposals = {_proposal(row) for row in done if row.nll_iw_proposal} if key == "nll_iw" else ()
    # A step is timed once for all seeds: a spread of nought would look like a measurement.
    spread = statistics.stdev(values) if len(values) > 1 and key != "step_cost" else None
    return Cell(statistics.fmean(values), spread, ", ".join(sorted(proposals)))


def _proposal(row: RunRow) -> str:
    if row.mean_exponent == 1 and len(row.nll_iw_by_proposal or ()) < 2:
        return "q"
    return {"q": "q₁", "q_sampled": "q_λ"}.get(str(row.nll_iw_proposal), str(row.nll_iw_proposal))


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
