"""What the tests run in processes of their own."""

import os
import signal
from pathlib import Path
from typing import Any

import torch
from small import at_step, binarised, equalizer, everything, raising, trainer

from lambda_vae.objectives import BetaELBO
from lambda_vae.training import (
    AdversarialAutoencoder,
    Diverged,
    Interrupted,
    Lagging,
    SemiAmortized,
    Trainer,
    checkpoints,
    loop,
)

KILLED_EPOCHS = 30


def train_to_the_end(folder: str) -> None:
    """Go on from the newest checkpoint, if there is one, and write the result."""
    torch.set_num_threads(1)
    trained = trainer(Path(folder), exponents=equalizer(epochs=KILLED_EPOCHS), epochs=KILLED_EPOCHS)
    newest = checkpoints.latest(Path(folder))
    if newest is not None:
        trained.restore(checkpoints.load(newest))
    trained.fit()
    torch.save(everything(trained), Path(folder) / "result.pt")


def _become(rank: int, port: int) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "ACCELERATE_USE_CPU": "true"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def _attempt(folder: Path, *, resume_from: Path | None = None, **settings: Any) -> dict[str, Any]:
    """Train, and tell how it ended and what this process then holds."""
    trained = trainer(folder, exponents=equalizer(), batch_size=4, **settings)
    if resume_from is not None:
        newest = checkpoints.latest(resume_from)
        assert newest is not None
        trained.restore(checkpoints.load(newest))
    try:
        trained.fit()
        end = "done"
    except (Diverged, Interrupted) as error:
        end = f"{type(error).__name__}: {error}"
    return {"end": end, "position": (trained.epoch, trained.step), "everything": everything(trained)}


def _poisoned_view(x: torch.Tensor, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Spoils the last example of the joint batch, which the second process alone looks at."""
    x = binarised(x, rows, generator)
    x[-1, 0] = float("nan")
    return x


def two_processes(rank: int, port: int, folder: str) -> None:
    """One of two: an undisturbed run, two stopped by a signal to the second alone, one that diverges there."""
    _become(rank, port)
    loop._STEPS_BETWEEN_AGREEMENTS = 2
    base = Path(folder)
    mid_epoch, epoch_end = (
        {"view": at_step(step, raising(number) if rank == 1 else int)}
        for step, number in ((7, signal.SIGTERM), (11, signal.SIGINT))
    )
    results = {
        "straight": _attempt(base / "straight"),
        "mid epoch": _attempt(base / "mid epoch", **mid_epoch),
        "epoch end": _attempt(base / "epoch end", **epoch_end),
        "resumed": _attempt(base / "resumed", resume_from=base / "mid epoch"),
        "diverged": _attempt(base / "diverged", view=_poisoned_view),
    }
    torch.save(results, base / f"rank{rank}.pt")
    torch.distributed.destroy_process_group()


def with_strategy(name: str, batch_size: int) -> Trainer:
    """An undisturbed trainer of a method with steps of its own."""
    if name == "aae":
        strategy = AdversarialAutoencoder(2.0, (8,), 1e-2)
        return trainer(objective=BetaELBO(0.0), strategy=strategy, batch_size=batch_size, epochs=3)
    strategy = Lagging(4, 2) if name == "lagging" else SemiAmortized(2)
    return trainer(strategy=strategy, batch_size=batch_size, epochs=3)


def two_strategies(rank: int, port: int, folder: str) -> None:
    """One of two: methods with a discriminator, with further batches for the encoder, with steps for each q."""
    _become(rank, port)
    results = {}
    for name in ("aae", "lagging", "semi-amortized"):
        trained = with_strategy(name, 4)
        trained.fit()
        results[name] = everything(trained)
    torch.save(results, Path(folder) / f"strategies{rank}.pt")
    torch.distributed.destroy_process_group()
