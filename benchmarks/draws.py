"""What `equalize` makes of every way to draw z: parametrisation of sigma x form of drawing x what is returned.

The hosts are those of tests/adapters/drawing_hosts.py, what is asked of each is in drawing_contract.py: at delta = inf
the plain host to the last bit, above it Eq. 9 and 11 with the host's own KL; or one sentence. Writes results/draws.md.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from facts import facts, facts_lines
from lambda_vae.files import write_atomic

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "adapters"))
from drawing_contract import outcome
from drawing_forms import FORMS, NAMES, is_possible
from drawing_hosts import DTYPES, RETURNS, SHAPES, WIDTHS, Cell
from drawing_widths import NOISES, UNUSUAL, USUAL, WRONG

__all__ = ["cells", "page"]

_SIGNS = {"narrowed": "λ", "refused": "–", "wrong": "**wrong**", "traceback": "**error**"}


def cells() -> Iterator[Cell]:
    """Yield the whole product of width, form and return, then that of form, noise, names, shape and dtype."""
    for width, form, returned in product(WIDTHS, FORMS, RETURNS):
        yield Cell(width, form, returned)
    for form, noise, names, shape, dtype in product(FORMS, NOISES, NAMES, SHAPES, DTYPES):
        yield Cell(form=form, noise=noise, names=names, shape=shape, dtype=dtype)


def page(found: dict[Cell, tuple[str, str]], hours: float) -> str:
    """Return the page.

    Args:
        found: Of each cell the verdict and what was said.
        hours: Of one core.
    """
    broken = [cell for cell, (verdict, _) in found.items() if not fits(cell, verdict)]
    missed = sum(cell.expected == "narrowed" and found[cell][0] == "refused" for cell in found)
    verdicts = Counter(verdict for verdict, _ in found.values())
    lines = [
        "# Every way to draw",
        "",
        *facts_lines(facts()),
        "",
        f"{len(found)} small VAEs, {hours:.2f} hours of one core. λ: narrowed as Eq. 9 and 11 say, with the host's own "
        "KL to the last bit, and at δ = inf the plain host to the last bit; –: refused in one sentence; both, where a "
        "cell has several hosts. What is not to be narrowed (no normal noise, no sigma, z used already) must be –.",
        "",
        f"{verdicts['narrowed']} narrowed, {verdicts['refused']} refused. **Silently wrong or an error: "
        f"{len(broken) - missed}. Refused, though it is plain what they do: {missed}.**",
        "",
        *_table(found, "sigma", "form", WIDTHS, FORMS),
        *_table(found, "form", "returned", FORMS, RETURNS),
        *_table(found, "form", "noise", FORMS, NOISES),
        *_table(found, "form", "shape", FORMS, SHAPES),
        "## What is said",
        "",
        *_sentences(found),
        "",
    ]
    return "\n".join(lines)


def fits(cell: Cell, verdict: str) -> bool:
    """Say whether a verdict is one that the cell may have.

    Args:
        cell: The host.
        verdict: On it.
    """
    return verdict in ({"narrowed", "refused"} if cell.expected == "either" else {cell.expected})


def _table(
    found: dict[Cell, tuple[str, str]], down: str, across: str, rows: dict[str, object], columns: dict[str, object]
) -> list[str]:
    """One table of two axes; a cell gathers all hosts that share the two values."""
    seen: dict[tuple[str, str], set[str]] = {}
    for cell, (verdict, _) in found.items():
        if across != "form" and cell.width in WRONG:
            continue
        key = getattr(cell, {"sigma": "width"}.get(down, down)), getattr(cell, across)
        seen.setdefault(key, set()).add(_SIGNS[verdict])
    lines = [f"## {down} x {across}", "", f"| {down} | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
    for row in rows:
        marks = [" ".join(sorted(seen.get((row, column), ()))) for column in columns]
        lines.append(f"| {row.replace('|', chr(92) + '|')} | {' | '.join(marks)} |")
    return [*lines, ""]


def _sentences(found: dict[Cell, tuple[str, str]]) -> Iterator[str]:
    """Of each wrong draw, and of each that may be refused, the sentence of its first form."""
    for width in (*WRONG, *UNUSUAL, *USUAL):
        said = next(
            (text for cell, (verdict, text) in found.items() if cell.width == width and verdict == "refused"), ""
        )
        if said:
            yield f"- {width}: {said}"


def main() -> None:
    """Try every host and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/draws.md"))
    parser.add_argument("--every", type=int, default=1, help="of so many hosts one")
    asked = parser.parse_args()
    found: dict[Cell, tuple[str, str]] = {}
    started = time.process_time()
    for cell in list(dict.fromkeys(cell for cell in cells() if is_possible(cell)))[:: asked.every]:
        seen = outcome(cell)
        found[cell] = seen.verdict, seen.said
        if not fits(cell, seen.verdict):
            print(f"{cell}: {seen.verdict}: {seen.said}", flush=True)
    write_atomic(asked.out, page(found, (time.process_time() - started) / 3600))


if __name__ == "__main__":
    main()
