"""Checkpoints: one safetensors file each, state as JSON in its header; written whole or not at all."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.files import replacing

__all__ = ["Checkpoint", "flatten", "latest", "load", "path_of", "prune", "save"]

_FORMAT = "lambda-vae checkpoint 2"
_WITHOUT_HASH = "lambda-vae checkpoint 1"
_REMEDY = "remove it to go on from the checkpoint before it"
_NAME = re.compile(r"epoch-(\d{5})-step-(\d{7})\.safetensors")
# What a process killed while it writes leaves: our file before its renaming, and, from 0.8 on, safetensors' own.
_LEFTOVERS = (".*.tmp.safetensors", ".tmp??????")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Everything needed to go on: tensors by dotted name, and plain data.

    Args:
        tensors: Weights, optimiser moments, equalizer, accumulators, generator states.
        state: JSON values: position, options, readings on the test set, and what the run must share to go on.
    """

    tensors: dict[str, Tensor]
    state: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors below `prefix`, without it.

        Args:
            prefix: For example ``"model."``; empty for all.
        """
        return {name.removeprefix(prefix): tensor for name, tensor in self.tensors.items() if name.startswith(prefix)}


def path_of(folder: Path, epoch: int, step: int) -> Path:
    """Return where the checkpoint of this position lies.

    Args:
        folder: The run's checkpoint folder.
        epoch: Finished epochs.
        step: Steps done in the present one.
    """
    return folder / f"epoch-{epoch:05d}-step-{step:07d}.safetensors"


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint so that a crash at any moment leaves the old files or the new one, whole.

    Args:
        path: Its file.
        checkpoint: What to write.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    state = json.dumps(checkpoint.state)
    metadata = {"format": _FORMAT, "state": state, "sha256": _digest(tensors, state)}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def _digest(tensors: dict[str, Tensor], state: str) -> str:
    """The hash of a checkpoint's content: safetensors itself notices a cut file but not a changed byte."""
    digest = sha256(state.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load(path: Path) -> Checkpoint:
    """Return the checkpoint in `path`; no pickle is executed.

    Args:
        path: A file written by `save`.

    Raises:
        InputError: The file is missing, damaged or of another kind.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged ({error}); {_REMEDY}") from None
    found, state = metadata.get("format"), metadata.get("state", "")
    if found not in (_FORMAT, _WITHOUT_HASH):
        raise InputError(f"{path} is not a lambda-vae checkpoint (its header says {found!r}); choose another file")
    if found == _FORMAT and metadata.get("sha256") != _digest(tensors, state):
        raise InputError(f"{path} is damaged (its content does not have the hash in its header); {_REMEDY}")
    return Checkpoint(tensors, json.loads(state))


def _positions(folder: Path) -> list[tuple[int, int, Path]]:
    found = [(_NAME.fullmatch(path.name), path) for path in folder.glob("epoch-*.safetensors")]
    return sorted((int(match[1]), int(match[2]), path) for match, path in found if match)


def latest(folder: Path) -> Path | None:
    """Return the newest checkpoint in `folder`, or None.

    Args:
        folder: The run's checkpoint folder; need not exist.
    """
    positions = _positions(folder)
    return positions[-1][2] if positions else None


def prune(folder: Path, keep_epochs: frozenset[int] = frozenset(), newest: int = 2) -> None:
    """Remove all but the newest checkpoints and those asked for, with any temporary file a killed process left.

    Args:
        folder: The run's checkpoint folder.
        keep_epochs: Epoch ends that stay.
        newest: How many of the newest stay; two, so that a damaged newest one costs little.
    """
    positions = _positions(folder)
    for epoch, step, path in positions[:-newest]:
        if not (step == 0 and epoch in keep_epochs):
            path.unlink(missing_ok=True)
    for pattern in _LEFTOVERS:
        for leftover in folder.glob(pattern):
            leftover.unlink(missing_ok=True)


def flatten(prefix: str, state: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Return the tensors of a nested state dict under dotted names below `prefix`.

    Args:
        prefix: For example ``"optimizer"``; may be empty.
        state: A state dict of tensors, nested, its keys strings or integers; leaves of another kind are left out.
    """
    tensors: dict[str, Tensor] = {}
    for key, value in state.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping):
            tensors |= flatten(name, value)
        elif isinstance(value, torch.Tensor):
            tensors[name] = value
    return tensors
