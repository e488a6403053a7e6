"""Processes of their own that need not import torch anew each time: a server without threads does it once for all."""

import multiprocessing
import sys
import traceback
import warnings
from multiprocessing.connection import Connection

__all__ = ["FORKED", "run_apart"]

FORKED = multiprocessing.get_context("forkserver")

# There is one such server for all tests of a process, so that what it imports stands here alone.
FORKED.set_forkserver_preload(
    [
        "lambda_vae.cli.training",
        "lambda_vae.runs",
        "lambda_vae.reports",
        "lambda_vae.training",
        "lambda_vae.any_vae",
        "lambda_vae.equalizing",
        "torch.distributed.fsdp",
        "torch._dynamo.backends.debugging",
        "torch._functorch.aot_autograd",
        "cli_process",
    ]
)


def _run(code: str, path: list[str], answer: Connection) -> None:
    sys.path[:] = path
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(code, "<apart>", "exec"), {"__name__": "__main__"})
    except BaseException:
        answer.send(traceback.format_exc())
    else:
        answer.send(None)


def run_apart(code: str) -> None:
    """Run a program with this process's sys.path, no warning shown, where no run-time check of shapes is switched on.

    What is compiled or scripted needs that: jaxtyping's checks cannot be. A failure there fails the test here.
    """
    ours, theirs = FORKED.Pipe(duplex=False)
    process = FORKED.Process(target=_run, args=(code, sys.path, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        failure = ours.recv()
    except EOFError:
        failure = "it said nothing"
    process.join()
    assert failure is None, failure
    assert process.exitcode == 0
