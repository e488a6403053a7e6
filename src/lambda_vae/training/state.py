"""Where a run stands: its parts into a checkpoint, and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from accelerate import Accelerator
from torch import Tensor

from lambda_vae.equalization import VarianceEqualizer
from lambda_vae.errors import InputError
from lambda_vae.training.checkpoints import Checkpoint, flatten
from lambda_vae.training.joint import shares

__all__ = ["EqualizerState", "OptimizerState", "Part", "RunState"]


@runtime_checkable
class Part(Protocol):
    """What has a state to save; that of the joint batch, whatever the number of processes."""

    def state_dict(self) -> Mapping[str, Any]:
        """Return nested tensors; every process must call this."""

    def load_state_dict(self, state: dict[str, Tensor]) -> object:
        """Take up a state, its names flattened with dots."""


@dataclass(frozen=True, eq=False)
class RunState:
    """The parts of a run under the names that they have in its checkpoints.

    Args:
        parts: By name; under the empty name, those whose tensors have none in front.
        run: What a run must share with a checkpoint to go on from it: the same model is not enough.
    """

    parts: Mapping[str, tuple[Part, ...]]
    run: Mapping[str, Any]

    def tensors(self) -> dict[str, Tensor]:
        """Return all states; every process must call this."""
        tensors: dict[str, Tensor] = {}
        for name, parts in self.parts.items():
            for part in parts:
                tensors |= flatten(name, part.state_dict())
        return tensors

    def load(self, checkpoint: Checkpoint) -> None:
        """Give each part its state back.

        Args:
            checkpoint: Of the same run, on any number of processes with the same joint batch.

        Raises:
            InputError: The checkpoint belongs to another model or another run.
        """
        there = checkpoint.state.get("run", {})
        for name, value in self.run.items():
            # Checkpoints of earlier releases name less of their run, and keep no average.
            if there.get(name, value if name != "average_decay" else None) != value:
                raise InputError(
                    f"the checkpoint belongs to another run: {name} is {there.get(name)} there and {value} here; "
                    "use the folder's own config.yaml"
                )
        try:
            for name, parts in self.parts.items():
                for part in parts:
                    part.load_state_dict(checkpoint.part(f"{name}." if name else ""))
        except (RuntimeError, KeyError) as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise InputError(
                f"the checkpoint belongs to another model: {reason}; use the folder's own config.yaml"
            ) from None


@dataclass(frozen=True, eq=False)
class OptimizerState:
    """What an optimiser keeps of each weight; its settings are the run's.

    Args:
        optimizer: Whose state it is.
    """

    optimizer: torch.optim.Optimizer

    def state_dict(self) -> Mapping[str, Any]:
        """Return the state of each weight by its number."""
        return {str(number): state for number, state in self.optimizer.state_dict()["state"].items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take up a state.

        Args:
            state: Flattened with dots: "0.exp_avg" and so on.
        """
        by_weight: dict[int, dict[str, Tensor]] = {}
        for name, tensor in state.items():
            index, key = name.split(".")
            by_weight.setdefault(int(index), {})[key] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": by_weight})


@dataclass(frozen=True, eq=False)
class EqualizerState:
    """lambda and the sums from which it is computed, over the data of all processes.

    Args:
        equalizer: Whose state it is.
        accelerator: The processes.
    """

    equalizer: VarianceEqualizer
    accelerator: Accelerator

    def state_dict(self) -> Mapping[str, Any]:
        """Return the state of all processes."""
        self.equalizer.gather()
        return self.equalizer.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up a state.

        Args:
            state: Of this release or an earlier one.
        """
        if "settings" not in state:  # of an earlier release: the sums are those of all processes together
            sums = {name: state[name] for name in ("_extra_state",) if name in state}
            state = state | shares(sums, self.accelerator)
        self.equalizer.load_state_dict(state)
