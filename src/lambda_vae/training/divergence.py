"""Finds the first step of a run whose numbers were not finite, without slowing the loop."""

import math
from collections.abc import Iterable

import torch
from accelerate import Accelerator
from torch import Tensor

from lambda_vae.errors import Diverged
from lambda_vae.objectives import Terms

__all__ = ["StepLog"]

_COLUMNS = ("loss", "reconstruction", "rate_q", "largest |logvar|")


class StepLog:
    """Four numbers a step, kept on the device and read once an epoch.

    Args:
        steps: Steps in an epoch.
        device: Where training runs.
    """

    def __init__(self, steps: int, device: torch.device) -> None:
        self.values = torch.zeros(steps, len(_COLUMNS), device=device)

    @torch.no_grad()
    def record(self, step: int, terms: Terms, logvar: Tensor, part: int = 0, parts: int = 1) -> None:
        """Record the means of the terms and the largest |logvar| of a step, or of its parts one by one.

        Args:
            step: Position in the epoch.
            terms: Of the part.
            logvar: Of q, [B, D].
            part: Its number, from 0.
            parts: How many of equal size there are.
        """
        row = self.values[step]
        before = row.clone() if part else None
        largest = torch.linalg.vector_norm(logvar, math.inf)
        torch.stack((terms.loss.mean(), terms.reconstruction.mean(), terms.rate_q.mean(), largest), out=row)
        if parts > 1:
            row[:3] /= parts
        if before is not None:
            row[:3] += before[:3]
            row[3] = torch.maximum(before[3], row[3])

    def joint(self, accelerator: Accelerator) -> "StepLog":
        """Return the log of the joint batch: the terms averaged over the processes, the largest of their |logvar|.

        Args:
            accelerator: Every process must call this.
        """
        shares = accelerator.gather(self.values).view(-1, *self.values.shape)
        whole = StepLog(len(self.values), self.values.device)
        torch.cat((shares[..., :3].mean(0), shares[..., 3:].amax(0)), dim=1, out=whole.values)
        return whole

    def means(self) -> dict[str, float]:
        """Return the epoch's mean loss and terms in nats per example."""
        return dict(zip(_COLUMNS[:3], self.values[:, :3].double().mean(0).tolist(), strict=True))

    def check(self, epoch: int, steps: int, weights: Iterable[Tensor], learning_rate: float) -> None:
        """Raise if a step of the epoch was not finite, or left weights that are not.

        Args:
            epoch: Counted from 1, for the message.
            steps: Done so far.
            weights: Of the model, after the last of these steps.
            learning_rate: For the advice.

        Raises:
            Diverged: With the first such step, its terms and the largest |logvar|.
        """
        bad = (~self.values[:steps].isfinite().all(dim=1)).nonzero().flatten().tolist()
        # Both ends of a weight's values are finite exactly where all are, and one look finds them.
        ends = [end for weight in weights if weight.numel() for end in weight.detach().aminmax()]
        if not bad and bool(torch.stack(ends).isfinite().all()):
            return
        step = bad[0] if bad else steps - 1
        values = dict(zip(_COLUMNS, self.values[step].tolist(), strict=True))
        # The loss is the sum of the other two, so it is to blame only if both are finite.
        names = [name for name in ("reconstruction", "rate_q", "loss") if not math.isfinite(values[name])]
        what = f"{names[0]} is {values[names[0]]}" if names else "its gradient left weights that are not finite"
        before = f" (one step earlier {self.values[step - 1, 3].item():.4g})" if step else ""
        raise Diverged(
            f"training diverged in epoch {epoch} at step {step + 1}: {what}, the largest |logvar| is "
            f"{values['largest |logvar|']:.4g}{before}; the last good checkpoint is kept. "
            f"Try `learning_rate={learning_rate / 3:.1g}`, `clip_norm=1.0`, or with λ `ramp_epochs=10` or a smaller "
            "`max_exponent`"
        )
