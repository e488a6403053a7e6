"""Text from outside, made harmless before it stands in a Markdown page."""

from collections.abc import Sequence

__all__ = ["code_block", "escape_markdown", "markdown_table"]


def escape_markdown(text: str) -> str:
    r"""Return text on one line, without a sign that Markdown or HTML would act on.

    Example:
        >>> escape_markdown("<b>|a|</b>")
        '&lt;b&gt;\\|a\\|&lt;/b&gt;'
    """
    for sign in "\\`*_|[]<>#":
        text = text.replace(sign, f"\\{sign}" if sign not in "<>" else {"<": "&lt;", ">": "&gt;"}[sign])
    return " ".join(text.split())


def code_block(text: str, language: str = "") -> str:
    """Return text as it stands in a fence that no row of backticks in it can close."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = False) -> str:
    """Return a table, the cells of its rows escaped.

    Args:
        head: One a column; empty ones for a table without headings.
        rows: As many cells each.
        numbers: Whether all columns but the first are numbers, which stand at the right.
    """
    rule = ["---", *["---:" if numbers else "---"] * (len(head) - 1)]
    lines = [head, rule, *([escape_markdown(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
