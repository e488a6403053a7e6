"""The lines of code that call a draw: two that draw from different posteriors draw two latents."""

import sys
from pathlib import Path

import torch
from torch import Tensor

from lambda_vae.errors import InputError

__all__ = ["Callers"]

_SKIPPED = (*(str(Path(path).parent) for path in (torch.__file__, __file__)), "<@beartype")

#: Packages that wrap a method to check its types at run time.
_CHECKERS = ("jaxtyping", "beartype", "typeguard")

#: Means of sigma that differ by this, and by so many standard errors, are those of two posteriors.
_APART, _ERRORS = 0.25, 6.0

_MOST = 16

#: All of the first calls are checked, then a few in a row out of as many, to save time.
_ALL, _IN_A_ROW = 64, 4

#: File, line and instruction, so that two calls in one line are different.
_Lines = tuple[tuple[str, int, int], ...]


class Callers:
    """The lines of code that call a draw, each with the sigma of its last draw."""

    def __init__(self, name: str, order: int | None = None) -> None:
        self.name, self.order, self.calls, self.drawn = name, order, 0, 0
        self.last: _Lines = ()
        self.seen: dict[_Lines, tuple[int, int, int, Tensor]] = {}

    def __getstate__(self) -> dict[str, object]:
        return {"name": self.name, "order": self.order, "calls": 0, "drawn": 0, "seen": {}, "last": ()}

    def note(self, std: Tensor, axis: int) -> None:
        """Record a draw, and compare it now and then with that of another line in the same step.

        Raises:
            InputError: Two lines draw with different sigmas.
        """
        self.drawn += 1
        if self.drawn > _ALL and self.drawn % _ALL >= _IN_A_ROW:
            return
        self.calls += 1
        if len(self.seen) > _MOST:
            self.seen.clear()
        caller = _lines()
        _, times, entered, _ = self.seen.get(caller, (0, 0, 0, std))
        switched = caller != self.last
        times, entered, self.last = times + 1, entered + switched, caller
        self.seen[caller] = self.calls, times, entered, std.detach()
        if len(self.seen) > 1 and switched and times > 1 and (entered <= 3 or entered % 32 == 0):
            self._compare(caller, std.detach(), axis)

    def _compare(self, caller: _Lines, std: Tensor, axis: int) -> None:
        here, error = _mean(std, axis)
        for other, (call, times, _, sigma) in self.seen.items():
            if other == caller or times < 2 or self.calls - call >= len(self.seen):
                continue  # a line that draws once, as to inspect the model, draws no latent of its own
            there, its_error = _mean(sigma, axis)
            apart = (here - there).abs() - _APART * torch.maximum(here, there) - _ERRORS * (error + its_error)
            worst = int(apart.argmax())
            if bool(apart[worst] > 0):
                remedy = "give each an equalizer of its own: equalize(..., draw=0), equalize(..., draw=1)"
                if self.order is not None:  # the model is called once for each
                    remedy = f"both are draw={self.order} of a call, so each needs z = equalizer(mu, std) in its place"
                raise InputError(
                    f"{self.name} draws two latents in one step: with sigma {float(there[worst]):.3g} in dimension "
                    f"{worst} at {_place(other, caller)}, with {float(here[worst]):.3g} at {_place(caller, other)}; "
                    f"{remedy}"
                )


def _mean(std: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    rows = std.double().movedim(axis, -1).reshape(-1, std.shape[axis])
    return rows.mean(0), rows.std(0) / len(rows) ** 0.5  # NaN for a single row


def _lines() -> _Lines:
    """The three innermost lines of code that are neither torch's nor this package's."""
    frame, lines = sys._getframe(1), list[tuple[str, int, int]]()
    while frame is not None and len(lines) < 3:
        checks = frame.f_globals.get("__name__", "").partition(".")[0] in _CHECKERS
        if not checks and not frame.f_code.co_filename.startswith(_SKIPPED):
            lines.append((frame.f_code.co_filename, frame.f_lineno, frame.f_lasti))
        frame = frame.f_back  # type: ignore[assignment]
    return tuple(lines)


def _place(lines: _Lines, other: _Lines) -> str:
    own = next((line for line in lines if line not in other), lines[0])
    return f"{Path(own[0]).name}:{own[1]}"
