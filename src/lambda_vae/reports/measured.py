"""Which examples the numbers of a record were measured on, in words."""

from collections.abc import Iterable

from lambda_vae.records.run_row import RunRow

__all__ = ["examples_word", "measured_note", "measured_on"]


def measured_on(rows: Iterable[RunRow]) -> str:
    """Return "test", "validation", or "mixed" where runs of both kinds stand together.

    Args:
        rows: One a run; records older than validation splits were measured on the test set.

    Example:
        >>> row = RunRow(run="a", label="VAE", method="vae", status="done")
        >>> measured_on([row, row.updated(measured_on="test")])
        'test'
        >>> measured_on([row, row.updated(measured_on="validation")])
        'mixed'
    """
    kinds = {row.measured_on or "test" for row in rows}
    return kinds.pop() if len(kinds) == 1 else "mixed" if kinds else "test"


def examples_word(rows: Iterable[RunRow]) -> str:
    """Return how a sentence speaks of the examples: "test", "validation", "test or validation"."""
    kind = measured_on(rows)
    return "test or validation" if kind == "mixed" else kind


def measured_note(rows: Iterable[RunRow]) -> str:
    """Return the sentence that must stand with numbers of a validation split; empty for those of the test set."""
    return {
        "validation": "Measured on a validation split of the training data, not on the test set: figures to choose "
        "by, not to publish.",
        "mixed": "Some runs were measured on a validation split and others on the test set; their figures must not be "
        "compared.",
    }.get(measured_on(rows), "")
