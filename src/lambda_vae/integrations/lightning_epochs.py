"""The number of epochs that a Lightning Trainer trains, over which a release of lambda is planned."""

import math
from typing import Any

from lambda_vae.equalization import VarianceEqualizer
from lambda_vae.errors import InputError

__all__ = ["epochs_of", "plan", "unreached"]


def plan(trainer: Any, equalizer: VarianceEqualizer, ended: int, total: int | None, *, automatic: bool) -> None:
    """Plan the release of an equalizer, if it has one, over the remaining epochs of a Trainer.

    Args:
        trainer: Set up, so that the number of its batches is known.
        equalizer: To be released.
        ended: Epochs of this Trainer that are over.
        total: All its epochs, if the user gives them.
        automatic: Whether Lightning optimises, so that a step is a known number of batches.
    """
    least, steps = max(equalizer.release_epochs, equalizer.settle_epochs), equalizer.steps_per_epoch
    if not least:
        return
    epochs = total or epochs_of(trainer, steps, automatic=automatic)
    if trainer.fast_dev_run:
        epochs += least  # a trial run of a few batches releases nothing
    if epochs < least:
        raise InputError(
            f"the release takes {least} epochs, and Trainer(max_epochs={trainer.max_epochs}, max_steps="
            f"{trainer.max_steps}) trains {epochs}; shorten release_epochs and settle_epochs, or train longer"
        )
    equalizer.plan_release(int(equalizer.epoch) + max(epochs - _over(trainer, steps, ended), 0))


def epochs_of(trainer: Any, steps_per_epoch: int | None = None, *, automatic: bool) -> int:
    """Return the number of epochs by max_epochs and max_steps, the last perhaps incomplete."""
    batches = trainer.num_training_batches
    known, limits = batches not in (0, math.inf), list[float]()
    if trainer.max_epochs not in (None, -1) and (known or steps_per_epoch is None):
        limits.append(trainer.max_epochs * batches / steps_per_epoch if steps_per_epoch else trainer.max_epochs)
    if trainer.max_steps != -1 and automatic and steps_per_epoch is not None:
        limits.append(trainer.max_steps * trainer.accumulate_grad_batches / steps_per_epoch)
    elif trainer.max_steps != -1 and automatic and known:
        limits.append(trainer.max_steps / math.ceil(batches / trainer.accumulate_grad_batches))
    if not limits:
        raise InputError(
            f"Trainer(max_epochs={trainer.max_epochs}, max_steps={trainer.max_steps}) does not tell how many epochs it "
            "trains, which a release needs; give Trainer(max_epochs=...) or EqualizeCallback(total_epochs=...)"
        )
    return math.ceil(min(limits))


def unreached(trainer: Any, equalizer: VarianceEqualizer, ended: int) -> str | None:
    """Return a sentence if the training ended before the release did."""
    highest = float(equalizer.exponent.max())
    if not equalizer.release_left or highest == 1.0 or trainer.fast_dev_run:
        return None
    ended = _over(trainer, equalizer.steps_per_epoch, ended)
    last, length = ended + equalizer.release_left + 1, max(1, equalizer.release_epochs)
    by = [type(one).__name__ for one in trainer.callbacks if getattr(one, "stopped_epoch", 0) and trainer.should_stop]
    return (
        f"lambda is still up to {highest:.3g}, for its release (epochs "
        f"{max(1, last - length + 1)} to {last}) was not reached: {by[0] if by else 'the Trainer'} ended the training "
        f"after epoch {ended}; train on, with a Trainer of its own, whose epochs the release is then planned for"
    )


def _over(trainer: Any, steps_per_epoch: int | None, ended: int) -> int:
    """Epochs that are over; those of steps_per_epoch end when the next begins."""
    return ended if steps_per_epoch is None else max(trainer.fit_loop.total_batch_idx, 0) // steps_per_epoch
