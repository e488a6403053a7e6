"""The cost of one training step: operations and memory, counted on a few examples and extrapolated to the batch."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lambda_vae.data import Sequences
from lambda_vae.estimation.flops import flop_counter
from lambda_vae.runs._train import make_trainer
from lambda_vae.runs.resolve import Run
from lambda_vae.runs.step_cost import TimedRun
from lambda_vae.training.interruption import StopRequest
from lambda_vae.training.lagging import Lagging
from lambda_vae.training.strategies import JointUpdate, Strategy

__all__ = ["CountedStep", "alike", "count_step"]

#: Of an epoch; three are taken.
_STEPS = 4


@dataclass(frozen=True)
class CountedStep:
    """A training step of a run.

    Args:
        weights: Of the model.
        flops: Forward and backward, of everything that is trained; products and convolutions alone.
        flops_of_a_lead: Of one further step of an encoder that leads; 0 where none does.
        lead: How many of those come before a step while it leads, at least and at most.
        memory: Bytes of all tensors that there are at once, at most.
        memory_an_example: How much of it one more example would add.
    """

    weights: int
    flops: float
    flops_of_a_lead: float
    lead: tuple[int, int]
    memory: float
    memory_an_example: float


def alike(run: Run, *, longest: bool = False) -> Run:
    """Return the run on sequences of one length, where a batch of few and one of many cost in proportion.

    Args:
        run: Any; itself where its data are no sequences.
        longest: Of the greatest length instead of about the mean one.
    """
    train = run.dataset.train
    if run.dataset.kind != "sequence":
        return run
    stored, index = train.tensor(), train.index()
    assert isinstance(stored, Sequences)
    lengths = stored.lengths[index].double()
    place = lengths.argmax() if longest else (lengths - lengths.mean()).abs().argmin()
    rows = np.full(len(index), int(index[place]), dtype=np.int64)
    return replace(run, dataset=replace(run.dataset, train=replace(train, rows=rows)))


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows the memory of all tensors that are made: its bytes after every operation."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.after: list[int] = []
        self._sizes: dict[int, int] = {}
        self._live = 0

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: object, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:  # noqa: ANN401 - torch's own protocol
        found = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(found):
            if isinstance(leaf, Tensor):
                self._note(leaf.untyped_storage())
        self.after.append(self._live)
        return found

    def _note(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if size and key not in self._sizes:
            self._sizes[key] = size
            self._live += size
            weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self._live -= self._sizes.pop(key)


class _Count:
    """A step of the run's own trainer on so many examples.

    Args:
        run: It.
        examples: Which pass through the networks together.
    """

    def __init__(self, run: Run, examples: int) -> None:
        train, dataset = run.config.train, run.dataset
        parts = min(train.accumulate, 2)  # the second finds the gradients of the first there already
        # As many steps an epoch whatever the number of examples: the log has a row a step.
        rows = dataset.train.index()[: _STEPS * examples * parts].numpy()
        few = replace(dataset, train=replace(dataset.train, rows=rows))
        with _LiveBytes() as bytes_:
            train = replace(train, batch_size=examples * parts, accumulate=parts)
            timed = TimedRun(replace(run.config, train=train), few, 1)
            self.trainer, self.examples = timed.trainer, examples
            self.trainer.run_epoch(StopRequest(), 1)  # makes the state of the optimiser
            before = len(bytes_.after)
            self.flops = self._flops() * run.config.train.accumulate / parts
            after = len(bytes_.after)
            self.flops_of_a_lead = self._flops_of_a_lead()
        self.bytes = np.array(bytes_.after[before:after], dtype=np.float64)

    def _flops(self) -> float:
        with flop_counter() as counter:
            self.trainer.run_epoch(StopRequest(), 1)
        return float(counter.get_total_flops())

    def _flops_of_a_lead(self) -> float:
        strategy = self.trainer.strategy
        if not isinstance(strategy, Lagging):
            return 0.0
        strategy.most_steps, strategy.aggressive = 1, True
        return self._flops() - self.flops


def count_step(run: Run) -> CountedStep:
    """Return the cost of one step of a run.

    The run's own trainer takes steps of two and three examples, and of four where it looks at a batch as a whole and
    may pair its examples. Operations, and the memory after each of them, are polynomials of the number of examples, and
    are extrapolated to the batch. Of sequences, the operations are those at the mean length, the memory is that of the
    longest.

    Args:
        run: Which.

    Raises:
        InputError: As making the trainer does.
    """
    trainer = make_trainer(run)
    few = [2, 3]
    if type(trainer.strategy) is not JointUpdate or getattr(trainer.stepper.objective, "whole_batch", False):
        few.append(4)
    counts = [_Count(alike(run), examples) for examples in few]
    sequences = run.dataset.kind == "sequence"
    largest = [_Count(alike(run, longest=True), examples) for examples in few] if sequences else counts
    examples = run.config.train.batch_size // run.config.train.accumulate
    peak, peak_of_one_more = (_peak(largest, number) for number in (examples, examples + 1))
    return CountedStep(
        sum(weight.numel() for weight in trainer.vae.parameters()),
        float(_extended([count.flops for count in counts], counts, examples)),
        float(_extended([count.flops_of_a_lead for count in counts], counts, examples)),
        _lead(trainer.strategy),
        peak,
        peak_of_one_more - peak,
    )


def _lead(strategy: Strategy) -> tuple[int, int]:
    """The fewest and the most steps of a leading encoder, which compares two windows before it can stop."""
    if not isinstance(strategy, Lagging):
        return 0, 0
    return min(strategy.most_steps, 2 * strategy.window), strategy.most_steps


def _extended(values: Sequence[Any], counts: Sequence[_Count], examples: int) -> Any:  # noqa: ANN401 - numbers, arrays
    """The polynomial through values at the counted numbers of examples, at another number."""
    total: Any = 0.0
    for value, own in zip(values, counts, strict=True):
        others = [count.examples for count in counts if count is not own]
        total = total + value * prod((examples - other) / (own.examples - other) for other in others)
    return total


def _peak(counts: Sequence[_Count], examples: int) -> float:
    """The largest number of bytes in use in a step of so many examples."""
    alike = len({len(count.bytes) for count in counts}) == 1
    return float(np.max(_extended([count.bytes if alike else count.bytes.max() for count in counts], counts, examples)))
