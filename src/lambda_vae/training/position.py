"""Where a run stands: everything into a checkpoint, and back."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from accelerate import Accelerator
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.training import checkpoints
from lambda_vae.training.history import History
from lambda_vae.training.joint import joint_sums, shares

if TYPE_CHECKING:
    from lambda_vae.training.loop import Trainer

__all__ = ["checkpoint_of", "restore"]


def checkpoint_of(trainer: "Trainer") -> checkpoints.Checkpoint:
    """Return everything needed to go on from here; every process must call this.

    Args:
        trainer: Between two steps.
    """
    tensors = {
        **checkpoints.flatten("model", trainer.accelerator.unwrap_model(trainer.model).state_dict()),
        **checkpoints.flatten("optimizer", trainer.optimizer.state_dict()["state"]),
        **checkpoints.flatten("history", trainer.history.tensors()),
        "generator": trainer.generator.get_state(),
        "spare": trainer.spare.get_state(),
        "trail": trainer.trail.joint(trainer.accelerator).values,
    }
    if trainer.equalizer is not None:
        trainer.equalizer.gather()
        tensors |= checkpoints.flatten("equalizer", trainer.equalizer.state_dict())
    if trainer.moments is not None:
        tensors |= checkpoints.flatten("moments", joint_sums(trainer.moments.state_dict(), trainer.accelerator))
    tensors |= checkpoints.flatten("strategy", trainer.strategy.state_dict())
    if trainer.average is not None:
        tensors |= checkpoints.flatten("average", trainer.average.state_dict())
    state = {
        "epoch": trainer.epoch,
        "step": trainer.step,
        "seconds": trainer.seconds,
        "test": trainer.history.test,
        "options": asdict(trainer.options),
        "run": _identity(trainer),
    }
    return checkpoints.Checkpoint(tensors, state)


def _identity(trainer: "Trainer") -> dict[str, Any]:
    """What a run must share with a checkpoint to go on from it: the same model is not enough."""
    return {
        "examples": trainer.examples,
        "joint_batch": trainer.joint_batch,
        "seed": trainer.options.seed,
        "samples": trainer.options.samples,
        "equalizer": trainer.equalizer is not None,
        "strategy": type(trainer.strategy).__name__,
        "measure": trainer.moments is not None,
        "average_decay": trainer.options.average_decay,
    }


def restore(trainer: "Trainer", checkpoint: checkpoints.Checkpoint) -> None:
    """Go to the position of a checkpoint: weights, optimiser, lambda, averages, generators, step.

    Args:
        trainer: Of the run.
        checkpoint: Of the same run, on any number of processes with the same joint batch.

    Raises:
        InputError: The checkpoint belongs to another model or another run.
    """
    _require_same_run(trainer, checkpoint)
    try:
        trainer.accelerator.unwrap_model(trainer.model).load_state_dict(checkpoint.part("model."))
        if trainer.equalizer is not None:
            trainer.equalizer.load_state_dict(_equalizer_of(checkpoint, trainer.accelerator))
    except (RuntimeError, KeyError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise InputError(
            f"the checkpoint belongs to another model: {reason}; use the folder's own config.yaml"
        ) from None
    checkpoints.load_optimizer(trainer.optimizer, checkpoint.part("optimizer."))
    if trainer.moments is not None:
        trainer.moments.load_state_dict(shares(checkpoint.part("moments."), trainer.accelerator))
    trainer.strategy.load_state_dict(checkpoint.part("strategy."))
    if trainer.average is not None:
        trainer.average.load_state_dict(checkpoint.part("average."))
    trainer.generator.set_state(checkpoint.tensors["generator"])
    trainer.spare.set_state(checkpoint.tensors["spare"])
    trainer.trail.values.copy_(checkpoint.tensors["trail"])
    state = checkpoint.state
    trainer.history = History.from_tensors(checkpoint.part("history."), state["test"])
    trainer.epoch, trainer.step, trainer.seconds = state["epoch"], state["step"], state["seconds"]


def _equalizer_of(checkpoint: checkpoints.Checkpoint, accelerator: Accelerator) -> dict[str, Tensor]:
    part = checkpoint.part("equalizer.")
    if "settings" not in part:  # of an earlier release: the sums are those of all processes together
        part |= shares({name: part[name] for name in ("_extra_state",) if name in part}, accelerator)
    return part


def _require_same_run(trainer: "Trainer", checkpoint: checkpoints.Checkpoint) -> None:
    here, there = _identity(trainer), checkpoint.state.get("run", {})
    for name, value in here.items():
        if there.get(name, value if name != "average_decay" else None) != value:
            raise InputError(
                f"the checkpoint belongs to another run: {name} is {there.get(name)} there and {value} here; "
                "use the folder's own config.yaml"
            )
