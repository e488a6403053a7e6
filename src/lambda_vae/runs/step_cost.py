"""The cost of a training step compared with the plain VAE's.

The clock of a long run counts whatever else the machine did meanwhile. So the settings of a table are timed next to
each other, for a moment, once its runs are done, and the ratios are kept with the table.
"""

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lambda_vae.data import Dataset
from lambda_vae.files import read_json, write_json
from lambda_vae.runs._train import make_trainer
from lambda_vae.runs.config import RunConfig
from lambda_vae.runs.resolve import Run
from lambda_vae.training.interruption import StopRequest

__all__ = ["TimedRun", "kept_costs", "step_cost", "time_steps"]

_ROUNDS = 3
_MOST_STEPS = 30
_TURN = 0.5  # seconds that a turn of the plain VAE may take, as far as whole steps allow

#: How long an encoder leads is known after the run only: its own steps are counted there, and left out here.
_LED = "aggressive_steps"


class TimedRun:
    """A run that trains a few steps at a time to be timed; nothing of it is kept.

    Args:
        config: The run.
        dataset: Its data.
        steps: Of a turn.
    """

    def __init__(self, config: RunConfig, dataset: Dataset, steps: int) -> None:
        train = replace(config.train, epochs=10**6, checkpoint_every=10**6)
        endless = replace(config, train=train, evaluate_every=0, trackers=())
        if endless.method.uses(_LED):
            endless = replace(endless, method=endless.method.with_settings(**{_LED: 0}))
        self.trainer, self._steps = make_trainer(Run.resolve(endless, dataset)), steps

    def turn(self) -> float:
        """Train and return the seconds of a step: the processor's where it does the work, else the clock's."""
        before, left = self._now(), self._steps
        while left:
            there = self.trainer.step
            self.trainer.run_epoch(StopRequest(), left)
            left -= (self.trainer.step or self.trainer.steps) - there  # an epoch's end begins the next at step 0
        seconds: float = (self._now() - before) / self._steps
        return seconds

    def _now(self) -> float:
        if self.trainer.device.type == "cpu":
            return time.process_time()
        torch.accelerator.synchronize()
        return time.perf_counter()


def step_cost(costs: Mapping[str, float], config: RunConfig, record: Mapping[str, Any]) -> float | None:
    """Return the time of a run's step as a multiple of the plain VAE's; None if it is not known.

    Args:
        costs: From `kept_costs`.
        config: The run.
        record: Its metrics.

    Example:
        >>> step_cost({"iaf": 1.5}, RunConfig(method="iaf").with_seed(2), {})
        1.5
        >>> step_cost({"lagging": 1.0}, RunConfig(method="lagging"), {"inner_steps": 0.4})
        1.4
    """
    cost = costs.get(_setting_of(config))
    if cost is None or not config.method.uses(_LED):
        return cost
    return cost * (1.0 + record["inner_steps"]) if "inner_steps" in record else None


def kept_costs(out: Path) -> dict[str, float]:
    """Return the costs that were found so far, by setting.

    Args:
        out: Folder of the comparison.
    """
    path = out / "step_costs.json"
    return dict(read_json(path)) if path.exists() else {}


def time_steps(out: Path, configs: Sequence[RunConfig], dataset: Dataset) -> None:
    """Time a step of every setting that has no cost yet against one of the plain VAE, and keep the ratios.

    Without a plain VAE among the runs there is nothing to compare with, and nothing is done.

    Args:
        out: Folder of the comparison.
        configs: Its finished runs.
        dataset: Their data.
    """
    settings = {_setting_of(config): config for config in configs}
    found = kept_costs(out)
    if "vae" not in settings or settings.keys() <= found.keys():
        return
    with _one_thread():
        one = TimedRun(settings["vae"], dataset, 1)
        one.turn()
        steps = max(1, min(_MOST_STEPS, int(_TURN / one.turn())))
        plain = TimedRun(settings["vae"], dataset, steps)
        new = {name: config for name, config in settings.items() if name not in found | {"vae": 1.0}}
        # One at a time against the plain VAE: memory may not suffice for all models of a table at once.
        ratios = {name: _ratio(TimedRun(config, dataset, steps), plain) for name, config in new.items()}
    write_json(out / "step_costs.json", found | {"vae": 1.0} | ratios)


def _ratio(timed: TimedRun, plain: TimedRun) -> float:
    """The median over rounds; the first warms up."""
    rounds = [timed.turn() / plain.turn() for _ in range(_ROUNDS + 1)]
    return statistics.median(rounds[1:])


def _setting_of(config: RunConfig) -> str:
    """The name under which all runs of a method that differ in nothing but seed and length are timed once."""
    return config.method.stem


@contextmanager
def _one_thread() -> Iterator[None]:
    """Runs have a core each; a second thread would wait for the first and count as work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
