"""Processes that train an epoch when told to: together on joint batches, or each by itself.

`distributed.py` and `scaling.py` start them; the processes themselves run this file.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

__all__ = ["Group", "run_of"]

HERE = Path(__file__).parent


class Group:
    """So many processes of one thread each.

    Args:
        world: How many.
        together: Whether they train one run on joint batches.
    """

    def __init__(self, world: int, *, together: bool = False) -> None:
        self.log = tempfile.NamedTemporaryFile("w+", prefix="lambda-vae-")
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": str(world)}
        self.processes = []
        for rank in range(world):
            ranks = {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} if together else {}
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, str(HERE / "process_group.py")],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self.log,
                    text=True,
                    env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **ranks},
                )
            )

    def __enter__(self) -> "Group":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:  # input ends, and they leave
            if process.stdin:
                process.stdin.close()
        for process in self.processes:
            process.wait()

    def epoch(self, task: dict[str, Any]) -> list[dict[str, float]]:
        """Let all of them train an epoch; seconds a step of each, by its `cpu` and by the `wall` clock.

        Args:
            task: What `run_of` takes.
        """
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
        return [self._answer(process) for process in self.processes]

    def _answer(self, process: "subprocess.Popen[str]") -> dict[str, float]:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise RuntimeError(f"a process broke off: {Path(self.log.name).read_text(errors='replace')[-2000:]}")
        answer: dict[str, float] = json.loads(line)
        return answer


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def run_of(task: dict[str, Any], world: int = 1) -> Any:
    """Return the run of a task; the images are noise, which takes as long as any.

    Args:
        task: `settings` of the run, `shape` of an image, `steps` in an epoch.
        world: Processes that share a batch.
    """
    import numpy as np

    from lambda_vae.data import Dataset, Split
    from lambda_vae.runs import Run
    from lambda_vae.runs.flat import from_flat

    settings = {"epochs": 10**6, "checkpoint_every": 10**6, "evaluate_every": 0, "trackers": (), **task["settings"]}
    config = from_flat(settings)
    shape = tuple(task["shape"])
    examples = config.train.batch_size * task["steps"] * world
    x = np.random.default_rng(0).integers(0, 256, (examples, int(np.prod(shape))), dtype=np.uint8)
    part = Split(x, None)
    return Run.resolve(config, Dataset("noise", "image", shape, part, part, "0", "noise", None))


def main() -> None:
    """Train an epoch of the task on each line that arrives; the trainer of a task is kept for its next turn."""
    import torch

    from lambda_vae.runs._train import make_trainer
    from lambda_vae.training.interruption import StopRequest

    answers = os.dup(1)
    os.dup2(2, 1)  # the driver reads nothing but answers
    torch.set_num_threads(1)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    trainers: dict[str, Any] = {}
    for line in sys.stdin:
        task = json.loads(line)
        if line not in trainers:
            trainers[line] = make_trainer(run_of(task, world))
        cpu, wall = time.process_time(), time.perf_counter()
        trainers[line].run_epoch(StopRequest())
        taken = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
        os.write(answers, (json.dumps({name: value / task["steps"] for name, value in taken.items()}) + "\n").encode())
    if world > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
