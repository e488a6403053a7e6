"""When an equalizer does nothing, or never stops: sentences for a warning or a report."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambda_vae.equalization.equalizer import VarianceEqualizer

__all__ = ["PATIENCE", "never_ended", "notes"]

#: After so many steps of a first epoch that nobody ended it is likely that nobody will.
PATIENCE = 10_000


def never_ended(seen: str) -> str:
    """Return the sentence for a training whose epochs nobody ends."""
    return (
        f"{seen} and lambda is still 1, for end_epoch() was not called; call equalizer.end_epoch() after each training "
        "epoch, or say steps_per_epoch="
    )


def notes(equalizer: "VarianceEqualizer") -> tuple[str, ...]:
    """Return what a report must say of lambda: that it never acted, or that it still does."""
    done, seen = int(equalizer.epoch), float(equalizer.get_extra_state()[3].max())
    if equalizer.delta == math.inf or (done == 0 and equalizer.narrows):  # somebody set it by hand
        return ()
    if done == 0 and seen == 0:
        return (
            "The equalizer has observed nothing: lambda is 1. It must be called in training mode in every step, and "
            "end_epoch() after each epoch.",
        )
    if done == 0:
        ends = "its first epoch is not over" if equalizer.steps_per_epoch else "end_epoch() was never called"
        return (f"Lambda never acted: {seen:,.0f} examples were observed, but {ends}.",)
    if done < equalizer.refresh_every:
        return (f"Lambda never acted: it is first set after {equalizer.refresh_every} epochs, of which {done} ended.",)
    left, highest = equalizer.release_left, float(equalizer.exponent.max())
    if left is not None and highest > 1:
        when = f"after {done} of {equalizer.total_epochs} epochs"
        more = f"the release is over after {left} more" if left else "end_epoch() releases it"
        return (f"Lambda is still up to {highest:.3g} {when}; {more}.",)
    return ()
