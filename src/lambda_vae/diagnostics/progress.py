"""A bar while a diagnosis is under way."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor

__all__ = ["shown"]


@contextmanager
def shown(wanted: bool, data: object) -> Iterator[Callable[[int], None] | None]:
    """Show how many examples were measured, where there is a terminal, and yield what is to be told of them.

    Args:
        wanted: Whether to show anything.
        data: Whose length is known if it is one tensor.
    """
    if not wanted:
        yield None
        return
    from rich.progress import Progress

    with Progress(transient=True) as bar:
        bar.disable = not bar.console.is_terminal
        task = bar.add_task("diagnosing", total=len(data) if isinstance(data, Tensor) else None)
        yield lambda examples: bar.advance(task, examples)
