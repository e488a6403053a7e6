"""SIGINT and SIGTERM as a request that the loop answers between two steps."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["StopRequest", "stop_requests"]


class StopRequest:
    """Whether a signal has asked the loop to stop."""

    def __init__(self) -> None:
        self.signal_name: str | None = None

    def _note(self, number: int, _frame: FrameType | None) -> None:
        # A second signal means that somebody is in a hurry: let it through at once.
        signal.signal(number, signal.SIG_DFL)
        self.signal_name = signal.Signals(number).name


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Yield a `StopRequest` that SIGINT and SIGTERM fill in; the handlers before are put back at the end.

    Outside the main thread Python allows no handlers, and the request stays empty.

    Yields:
        The request.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, request._note) for number in numbers}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
