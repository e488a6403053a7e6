"""An equalizer's statistics of sigma: sums over the examples since the last refresh, also within torch.func."""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["BelowTransforms", "Observed", "below_transforms", "in_backward"]

#: Steps whose sums are added in one operation.
_WAIT = 32


class Observed:
    """Sums of std, mu and mu^2 in each dimension, and in a fourth row the number of examples, without synchronisation.

    They are float64, since a long epoch adds small numbers to a large one. It is a plain object, which copies of a
    module for one step, such as DataParallel's, share.
    """

    def __init__(self, latent_dim: int) -> None:
        # on the CPU, also of a model that is made on the meta device
        self._sums = torch.zeros(4, latent_dim, dtype=torch.float64, device="cpu")
        #: Sums of std and numbers of examples of single steps, to be added in one operation, which saves time.
        self._waiting: list[tuple[Tensor, int]] = []
        #: This process's own sums of std and std^2 and its examples in this epoch, if there are several processes.
        self.own = torch.zeros(3, latent_dim, dtype=torch.float64, device="cpu")
        #: The number of examples when the last epoch ended.
        self.before = 0.0
        #: The steps of this epoch; compiled code does not count them.
        self.steps = 0
        #: Whether something was observed since the last epoch ended, and since it was last shared among processes.
        self.pending = self.unshared = False

    @property
    def sums(self) -> Float[Tensor, "4 D"]:
        """Sums of std, mu, mu^2, and the number of examples."""
        self._fold()
        return self._sums

    @sums.setter
    def sums(self, sums: Float[Tensor, "4 D"]) -> None:
        self._sums, self._waiting = sums, []

    def _fold(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            totals = torch.stack([total.to(self._sums) for total, _ in waiting])
            counts = torch.tensor([count for _, count in waiting]).to(self._sums)
            finite = totals < math.inf
            for total in torch.where(finite, totals, 0.0):  # one by one: rounded alike wherever a checkpoint cuts
                self._sums[0].add_(total)
            self._sums[3].add_((finite * counts[:, None]).sum(0))

    def add(
        self,
        std: Float[Tensor, "N D"],
        mu: Float[Tensor, "N D"] | None,
        mask: Bool[Tensor, " N"] | None,
        parallel: bool,
    ) -> None:
        """Add examples, except to dimensions with a value that is not finite, as in a step that a scaler skips.

        `parallel` also keeps the sums of this process alone.
        """
        dtype, device = self._sums.dtype, self._sums.device
        if mask is not None:
            # selected, not multiplied: a masked value may be infinite or NaN
            std = torch.where(mask[:, None], std, 0.0)
            mu = None if mu is None else torch.where(mask[:, None], mu, 0.0)
        total = std.sum(0, dtype=dtype).to(device)
        if mask is None and mu is None and not parallel and not torch.compiler.is_compiling():
            self._waiting.append((total, len(std)))
            if len(self._waiting) >= _WAIT:
                self._fold()
            return
        count = len(std) if mask is None else mask.sum().to(device)
        finite = total < math.inf  # and not NaN
        if mu is not None:
            moments = torch.stack((mu.sum(0, dtype=dtype), mu.to(dtype).square().sum(0))).to(device)
            finite = finite & moments.isfinite().all(0)
            self._sums[1:3].add_(torch.where(finite, moments, 0.0))
        self._sums[0].add_(torch.where(finite, total, 0.0))
        self._sums[3].add_(finite * count)
        if parallel:
            self.own[0] += torch.where(finite, total, 0.0)
            self.own[1] += torch.where(finite, std.to(dtype).square().sum(0).to(device), 0.0)
            self.own[2] += finite * count

    def move(self, device: torch.device) -> None:
        """Move to a device, in float64 except on MPS, which has none."""
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self.sums, self.own = self.sums.to(device, dtype), self.own.to(device, dtype)

    def end_epoch(self) -> bool:
        """Start the next epoch; return whether anything was observed in the last one."""
        count = float(self.sums[3].max())
        observed, self.before = count > self.before, count
        self.own, self.steps = torch.zeros_like(self.own), 0
        self.pending = self.unshared = False
        return observed

    def forget(self) -> None:
        """Start again after a refresh."""
        self.sums, self.before = torch.zeros_like(self.sums), 0.0

    def load(self, sums: Float[Tensor, "4 D"], steps: int = 0) -> None:
        """Continue from the sums of a checkpoint."""
        self.sums = sums.detach().to(self.sums, copy=True)
        # which examples were observed in the unfinished epoch is not known, so that they all count for it
        self.before, self.own, self.steps = 0.0, torch.zeros_like(self.own), steps
        self.pending = self.unshared = False


class BelowTransforms(torch.autograd.Function):
    """Passes tensors to an equalizer without the wrappers of grad, jvp and vmap; each example of a vmap counts.

    A function under torch.func must not write into an outer tensor, but the forward of a Function runs below all
    transforms, with the batches that `vmap` below makes.
    """

    @staticmethod
    def forward(equalizer: Any, std: Tensor, mu: Tensor | None, mask: Tensor | None) -> Tensor:  # noqa: ANN401
        """Count the examples."""
        equalizer._count(std, mu, mask)
        return std.new_zeros(())

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:  # noqa: ANN401 - torch's
        """Keep nothing, since nothing has a gradient."""

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # noqa: ANN401 - torch's
        """Return no gradient."""
        return None, None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:  # noqa: ANN401 - torch's
        """Return no tangent."""
        return None

    @staticmethod
    def vmap(info: Any, in_dims: Any, equalizer: Any, *given: Tensor | None) -> tuple[Tensor, None]:  # noqa: ANN401
        """Count the examples of a batch."""
        rows = []
        for one, dim in zip(given, in_dims[1:], strict=True):
            if one is not None:
                one = one.movedim(dim, 0) if dim is not None else one.expand(info.batch_size, *one.shape)
            rows.append(None if one is None else one.flatten(0, 1))
        return BelowTransforms.apply(equalizer, *rows), None  # type: ignore[no-untyped-call]


def below_transforms() -> bool:
    """Whether this runs within grad, jvp or vmap of torch.func."""
    return _TRANSFORMS()


def in_backward() -> bool:
    """Whether this runs within a backward pass that recomputes a forward."""
    return not torch.compiler.is_compiling() and _TASK() != -1


# torch has no public function for either; without the private ones both are taken to be False
_TRANSFORMS: Callable[[], bool] = getattr(torch._C, "_are_functorch_transforms_active", lambda: False)
_TASK: Callable[[], int] = getattr(torch._C, "_current_graph_task_id", lambda: -1)
