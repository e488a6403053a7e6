"""Processes and trackers, through accelerate; and one decision that holds for all processes."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from accelerate.utils import DistributedDataParallelKwargs, broadcast_object_list

from lambda_vae.checked import nearest
from lambda_vae.errors import InputError
from lambda_vae.runs.config import RunConfig

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = ["check_agreement", "check_trackers", "launched", "make_accelerator", "on_main"]

T = TypeVar("T")


def check_trackers(names: Sequence[str]) -> None:
    """Raise unless every tracker is known to accelerate and installed.

    Args:
        names: As in `RunConfig.trackers`.

    Raises:
        InputError: One is not; the message gives the nearest name.
    """
    known = sorted({*LOGGER_TYPE_TO_CLASS, "all"})
    installed = sorted(map(str, get_available_trackers()))
    for name in names:
        if name not in known:
            raise InputError(f"unknown tracker {name!r}{nearest(name, known)}; installed are {', '.join(installed)}")
        if name not in (*installed, "all"):
            raise InputError(
                f"tracker {name!r} is not installed; install it, or use one of {', '.join(installed)} or none: []"
            )


def make_accelerator(trackers: Sequence[str] = (), logs: Path | None = None) -> Accelerator:
    """Return an accelerator for a run, in float32; the trainer sets the precision of its passes.

    Args:
        trackers: Names that accelerate knows; they begin with `init_trackers`.
        logs: Where they write.

    Raises:
        InputError: As `check_trackers`.
    """
    check_trackers(trackers)
    # accelerate joins processes without an accelerator only when it is told that there is none.
    alone_on_cpu = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.accelerator.is_available()
    # A message costs the processes of a small network more than its bytes: one a step, of up to so many megabytes.
    messages = DistributedDataParallelKwargs(bucket_cap_mb=25, gradient_as_bucket_view=True)
    return Accelerator(
        mixed_precision="no",
        cpu=alone_on_cpu,
        log_with=list(trackers) or None,
        project_dir=str(logs or "."),
        kwargs_handlers=[messages],
    )


@contextmanager
def launched() -> "Iterator[ProcessGroup | None]":
    """Join the processes that a launcher started, over gloo; yield their group, or None where there is one process."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield None
        return
    dist.init_process_group("gloo")
    try:
        yield dist.group.WORLD
    finally:
        dist.destroy_process_group()


def check_agreement(accelerator: Accelerator, config: RunConfig, data_sha256: str) -> None:
    """Raise unless all processes are about to train the same run on the same data.

    Args:
        accelerator: Every process must call this.
        config: The run of this process.
        data_sha256: Hash of the data that this process sees.

    Raises:
        InputError: On every process, if two of them disagree; the message says whether about the config or the data.
    """
    if accelerator.num_processes == 1:
        return
    facts = {"config": repr(config), "data": data_sha256, "version": version("lambda-vae")}
    here = [int.from_bytes(sha256(fact.encode()).digest()[:7], "big") for fact in facts.values()]
    everyone = accelerator.gather(torch.tensor([here], device=accelerator.device))
    for name, values in zip(facts, everyone.T.tolist(), strict=True):
        if len(set(values)) > 1:
            odd = [number for number, value in enumerate(values) if value != values[0]]
            raise InputError(
                f"process {odd[0]} was started with another {name} than process 0; start all with the same command, on "
                "the same prepared data"
            )


def on_main(accelerator: Accelerator, step: Callable[[], T]) -> T:
    """Return on every process what `step` returns on the main one, the only one to run it.

    Args:
        accelerator: Of this process.
        step: May raise InputError.

    Raises:
        InputError: On the main process, as `step` raised it.
        SystemExit: On every other process then.
    """
    result: list[T | None] = [None]
    refusal: list[str | None] = [None]
    if accelerator.is_main_process:
        try:
            result = [step()]
        except InputError as error:
            refusal = [str(error)]
    if accelerator.num_processes > 1:
        broadcast_object_list(refusal)
        broadcast_object_list(result)
    if refusal[0] is not None:
        if accelerator.is_main_process:
            raise InputError(refusal[0])
        raise SystemExit(2)
    return result[0]  # type: ignore[return-value]
