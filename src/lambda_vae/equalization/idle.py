"""Sentences for a warning or a report: lambda never acted, or was not released."""

__all__ = ["PATIENCE", "never_acted", "never_ended", "still_acts"]

#: Steps of a first epoch after which a missing call of `end_epoch` is assumed.
PATIENCE = 10_000


def never_ended(seen: str) -> str:
    """Return the sentence for a training without calls of `end_epoch`, after the evidence for it."""
    return (
        f"{seen} and lambda is still 1, for end_epoch() was not called; call equalizer.end_epoch() after each training "
        "epoch, or say steps_per_epoch="
    )


def never_acted(done: int, seen: float, refresh_every: int, steps_per_epoch: int | None) -> str:
    """Return the sentence for lambda that was never set, after so many epochs and observed examples."""
    if done:
        return f"Lambda never acted: it is first set after {refresh_every} epochs, of which {done} ended."
    if seen == 0:
        return (
            "The equalizer has observed nothing: lambda is 1. It must be called in training mode in every step, and "
            "end_epoch() after each epoch."
        )
    ends = "its first epoch is not over" if steps_per_epoch else "end_epoch() was never called"
    return f"Lambda never acted: {seen:,.0f} examples were observed, but {ends}."


def still_acts(highest: float, done: int, total_epochs: int | None, left: int) -> str:
    """Return the sentence for lambda whose release has `left` epochs to go."""
    more = f"the release is over after {left} more" if left else "end_epoch() releases it"
    return f"Lambda is still up to {highest:.3g} after {done} of {total_epochs} epochs; {more}."
