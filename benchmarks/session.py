"""One contender in a process of its own: trains an epoch each time a line arrives, and answers with what it took.

Not called by hand; `training.py` starts one for each contender and gives them their turns.
"""

import json
import os
import sys
import time
from typing import Any, NoReturn

from contenders import CONTENDERS
from images import training_images


def answer(**values: Any) -> None:
    """Write one line for the driver.

    Args:
        values: Numbers and words.
    """
    # What a contender prints goes to stderr (see main), so the driver reads nothing but answers.
    os.write(ANSWERS, (json.dumps(values) + "\n").encode())


class Stopwatch:
    """The `pause` that contenders call between epochs: reports the epoch just ended and waits for the next turn."""

    def __init__(self) -> None:
        self.started: tuple[float, float] | None = None

    def __call__(self) -> None:
        """End an epoch, if one has begun, and wait."""
        cpu, wall = time.process_time(), time.perf_counter()
        if self.started is None:
            answer(ready=True)
        else:
            answer(cpu=cpu - self.started[0], wall=wall - self.started[1])
        if not sys.stdin.readline():
            raise SystemExit
        self.started = time.process_time(), time.perf_counter()


def main() -> NoReturn:
    """Run the contender named on the command line until stdin ends."""
    name, examples, batch_size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    images, _ = training_images(examples)
    try:
        CONTENDERS[name].run(images, batch_size, Stopwatch())
    except ImportError as error:
        answer(missing=str(error))
    raise SystemExit


if __name__ == "__main__":
    ANSWERS = os.dup(1)
    os.dup2(2, 1)
    main()
