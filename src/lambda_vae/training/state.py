"""The state of a run: its parts into a checkpoint, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from accelerate import Accelerator
from torch import Tensor

from lambda_vae.equalization import VarianceEqualizer
from lambda_vae.errors import InputError
from lambda_vae.training.checkpoints import Checkpoint, flatten

__all__ = ["EqualizerState", "OptimizerState", "Part", "RunState", "joint_sums", "shares"]


@runtime_checkable
class Part(Protocol):
    """A part of a run with a state to save: that of the joint batch, for any number of processes."""

    def state_dict(self) -> Mapping[str, Any]:
        """Return nested tensors; every process must call this."""

    def load_state_dict(self, state: dict[str, Tensor]) -> object:
        """Load a state, its names flattened with dots."""


@dataclass(frozen=True, eq=False)
class RunState:
    """The parts of a run under the names that they have in its checkpoints.

    Args:
        parts: Each with its name, which stands before those of its tensors; may be empty.
        run: What a run must share with a checkpoint to go on from it: the same model is not enough.
    """

    parts: Sequence[tuple[str, Part]]
    run: Mapping[str, Any]

    def tensors(self) -> dict[str, Tensor]:
        """Return all states; every process must call this."""
        tensors: dict[str, Tensor] = {}
        for name, part in self.parts:
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
            for name, part in self.parts:
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
        """Load a state whose names are flattened with dots: "0.exp_avg" and so on."""
        by_weight: dict[int, dict[str, Tensor]] = {}
        for name, tensor in state.items():
            index, key = name.split(".")
            by_weight.setdefault(int(index), {})[key] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": by_weight})


def joint_sums(sums: Mapping[str, Tensor], accelerator: Accelerator) -> dict[str, Tensor]:
    """Return the sums over the data of all processes, of which each must call this; a copy where there is one."""
    return {name: accelerator.reduce(value, reduction="sum") for name, value in sums.items()}


def shares(sums: Mapping[str, Tensor], accelerator: Accelerator) -> dict[str, Tensor]:
    """Return one process's equal share of joint sums, so that another number of processes can go on from them."""
    parts = accelerator.num_processes
    # A count of examples is an integer, and each process has seen as many as the others.
    return {
        name: value / parts if value.is_floating_point() else value.div(parts, rounding_mode="floor")
        for name, value in sums.items()
    }


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
        """Load a state of this release or an earlier one."""
        if "settings" not in state:  # of an earlier release: the sums are those of all processes together
            sums = {name: state[name] for name in ("_extra_state",) if name in state}
            state = state | shares(sums, self.accelerator)
        self.equalizer.load_state_dict(state)
