"""The NaN policy: what went wrong first, found without slowing the loop."""

import torch
from torch import Tensor

from lambda_vae.objectives import Terms

__all__ = ["Diverged", "Trail"]

_COLUMNS = ("loss", "reconstruction", "rate_q", "largest |logvar|")


class Diverged(RuntimeError):
    """Training left the finite numbers; the message says where, which term, and what to try."""


class Trail:
    """Four numbers a step, kept on the device and read once an epoch.

    Args:
        steps: Steps in an epoch.
        device: Where training runs.
    """

    def __init__(self, steps: int, device: torch.device) -> None:
        self.values = torch.zeros(steps, len(_COLUMNS), device=device)

    def record(self, step: int, terms: Terms, logvar: Tensor) -> None:
        """Note the means of the terms and the largest |logvar| of one step; no host synchronisation.

        Args:
            step: Position in the epoch.
            terms: Of the batch.
            logvar: Of q, [B, D].
        """
        with torch.no_grad():
            row = (terms.loss.mean(), terms.reconstruction.mean(), terms.rate_q.mean(), logvar.abs().amax())
            torch.stack(row, out=self.values[step])

    def means(self) -> dict[str, float]:
        """Return the epoch's mean loss and terms in nats per example."""
        return dict(zip(_COLUMNS[:3], self.values[:, :3].double().mean(0).tolist(), strict=True))

    def check(self, epoch: int, learning_rate: float) -> None:
        """Raise if any step of the epoch was not finite.

        Args:
            epoch: Counted from 1, for the message.
            learning_rate: For the advice.

        Raises:
            Diverged: With the first such step, its terms and the largest |logvar|.
        """
        bad = (~self.values.isfinite().all(dim=1)).nonzero().flatten()
        if not len(bad):
            return
        step = int(bad[0])
        values = dict(zip(_COLUMNS, self.values[step].tolist(), strict=True))
        term = next(
            (name for name in ("reconstruction", "rate_q") if not torch.isfinite(torch.tensor(values[name]))), "loss"
        )
        before = self.values[step - 1, 3].item() if step else float("nan")
        raise Diverged(
            f"training diverged in epoch {epoch} at step {step + 1}: {term} is {values[term]}, the largest |logvar| is "
            f"{values['largest |logvar|']:.4g} (one step earlier {before:.4g}); the last good checkpoint is kept. "
            f"Try --learning_rate {learning_rate / 3:.1g}, --clip_norm 1.0, --ramp_epochs 10 or a smaller --max_exponent"
        )
