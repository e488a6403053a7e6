"""The running sigma of every latent dimension, and the exponent that follows from it."""

from collections.abc import Callable
from typing import Literal, get_args

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor, nn

from lambda_vae.equalization import theory
from lambda_vae.errors import InputError

__all__ = ["ReleasePath", "VarianceEqualizer"]

ReleasePath = Literal["exponent", "delta"]


class VarianceEqualizer(nn.Module):
    """Sampling with sigma^lambda, the drop-in for `mu + std * eps` in anybody's VAE.

    While training it observes the posterior std; after every epoch `end_epoch` sets the exponent for the next one. At
    exponent 1, and so with delta = inf, it gives mu + std * eps bit for bit.

    Args:
        latent_dim: D.
        delta: The trade-off, > 1: near 1 it leaves little noise, inf is the plain VAE.
        refresh_every: Epochs between two looks at the std.
        decay: Weight of the past in the running std.
        ramp_epochs: Epochs over which the exponent grows to what Eq. 16 asks; 0 gives it at once.
        max_exponent: What a collapsed dimension gets.
        release_epochs: The exponent falls back to 1 over this many epochs at the end of training, and the last epoch is
            trained at exactly 1, so that the finished model is an ordinary VAE; 0 never releases.
        settle_epochs: The release is over so many epochs earlier, and these are trained at exactly 1 as well.
        release_path: How it falls back. "exponent": in a straight line. "delta": as if delta rose to inf, so that
            ln sigma_c goes to 0 in a straight line; a dimension with a small std, which needs no help, is let go first.
        release_capacity: A dimension whose wide law carries so many nats is at 1 until it carries less; None never
            lets go of a single dimension.
        total_epochs: Length of the training; needed for a release.
        dim: The latent axis of mu and std: -1 for [..., D], 1 for [B, C, H, W].

    Raises:
        InputError: An argument is out of range.

    Source:
        The paper, Eq. 9, 10 and 16. Deviations: the std of Eq. 16 is the mean over all examples since the last refresh,
        in all processes, then an exponential moving average; every kind of release is ours.

    Example:
        >>> from torch.nn.functional import binary_cross_entropy_with_logits
        >>> x = torch.eye(8)
        >>> encoder, decoder, equalizer = nn.Linear(8, 4), nn.Linear(2, 8), VarianceEqualizer(2, delta=1.1)
        >>> optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()])
        >>> for epoch in range(2):
        ...     for batch in x.split(4):
        ...         mu, logvar = encoder(batch).chunk(2, dim=-1)
        ...         z = equalizer(mu, torch.exp(0.5 * logvar))  # instead of mu + std * eps
        ...         kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum()  # of the encoder's own std, as before
        ...         loss = binary_cross_entropy_with_logits(decoder(z), batch, reduction="sum") + kl
        ...         optimizer.zero_grad()
        ...         loss.backward()
        ...         optimizer.step()
        ...     equalizer.end_epoch()
        >>> bool((equalizer.exponent > 1).all())
        True
    """

    running_std: Float[Tensor, " D"]
    target_exponent: Float[Tensor, " D"]
    exponent: Float[Tensor, " D"]
    epoch: Int[Tensor, ""]

    def __init__(
        self,
        latent_dim: int,
        delta: float,
        *,
        refresh_every: int = 2,
        decay: float = 0.9,
        ramp_epochs: int = 0,
        max_exponent: float = 20.0,
        release_epochs: int = 0,
        settle_epochs: int = 0,
        release_path: ReleasePath = "exponent",
        release_capacity: float | None = None,
        total_epochs: int | None = None,
        dim: int = -1,
    ) -> None:
        super().__init__()
        theory.require(latent_dim=latent_dim, delta=delta, max_exponent=max_exponent)
        for name, value, holds, domain in (
            ("refresh_every", refresh_every, refresh_every >= 1, "at least 1"),
            ("decay", decay, 0 <= decay < 1, "at least 0 and less than 1"),
            ("ramp_epochs", ramp_epochs, ramp_epochs >= 0, "at least 0"),
            ("release_epochs", release_epochs, 0 <= release_epochs <= (total_epochs or 0), f"0 to {total_epochs=}"),
            ("settle_epochs", settle_epochs, 0 <= settle_epochs <= (total_epochs or 0), f"0 to {total_epochs=}"),
            ("release_path", release_path, release_path in get_args(ReleasePath), "exponent or delta"),
            (
                "release_capacity",
                release_capacity,
                release_capacity is None or release_capacity > 0,
                "greater than 0 nats",
            ),
        ):
            if not holds:
                raise InputError(f"{name} is {value}; it must be {domain}")
        self.latent_dim, self.delta, self.dim = latent_dim, delta, dim
        self.refresh_every, self.decay, self.max_exponent = refresh_every, decay, max_exponent
        self.ramp_epochs, self.total_epochs = ramp_epochs, total_epochs
        self.release_epochs, self.settle_epochs = release_epochs, settle_epochs
        self.release_path, self.release_capacity = release_path, release_capacity
        self.register_buffer("running_std", torch.ones(latent_dim))
        self.register_buffer("target_exponent", torch.ones(latent_dim))
        self.register_buffer("exponent", torch.ones(latent_dim))
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))
        self._narrows, self._looked_at = False, (self.exponent, self.exponent._version)
        # The sums of std, mu and mu^2 in each dimension, and the number of examples in every column. No buffer:
        # DistributedDataParallel overwrites every process's buffers with the first one's. Double: a long epoch adds
        # small numbers to a large one.
        self._seen = torch.zeros(4, latent_dim, dtype=torch.float64)

    def forward(
        self, mu: Float[Tensor, "..."], std: Float[Tensor, "..."], eps: Float[Tensor, "..."] | None = None
    ) -> Float[Tensor, "..."]:
        """Return z ~ N(mu, sigma^(2 lambda)), and observe `std` when training.

        Args:
            mu: Posterior means.
            std: Posterior stds, > 0, of the same shape.
            eps: Standard normal noise; drawn here if left out.
        """
        if self.training:
            self.observe(std, mu)
        return self.sample(mu, std, eps)

    def sample(
        self, mu: Float[Tensor, "..."], std: Float[Tensor, "..."], eps: Float[Tensor, "..."] | None = None
    ) -> Float[Tensor, "..."]:
        """Return mu + sigma^lambda * eps, computed in float32 or better and returned in the dtype of mu.

        Args:
            mu: Posterior means.
            std: Posterior stds, > 0.
            eps: Standard normal noise, of the same shape or with leading sample axes; drawn here if left out.
        """
        eps = torch.randn_like(std) if eps is None else eps
        return (mu + self.sampling_std(std) * eps).to(mu.dtype)

    def sampling_std(self, std: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return sigma^lambda with the exponent of this epoch; sigma where it is 1 or more.

        Args:
            std: Posterior stds, > 0.
        """
        return theory.sampling_std(std, self.exponent_for(std))

    def exponent_for(self, latent: Float[Tensor, "..."]) -> Float[Tensor, "D ..."]:
        """Return the exponent of this epoch in a shape that broadcasts against a latent.

        Args:
            latent: Means, stds or log variances.
        """
        trailing = (latent.ndim if self.dim >= 0 else 0) - self.dim - 1
        return self.exponent.view(-1, *[1] * trailing)

    @property
    def narrows(self) -> bool:
        """Whether any exponent is above 1; while none is, a draw can be left untouched.

        The exponents are looked at once after each change, so that no step waits for the device.
        """
        if not torch.compiler.is_compiling():
            now = self.exponent, 0 if self.exponent.is_inference() else self.exponent._version
            if self._looked_at[0] is not now[0] or self._looked_at[1] != now[1]:
                self._narrows, self._looked_at = bool((self.exponent != 1).any()), now
        return self._narrows

    @torch.no_grad()
    def observe(self, std: Float[Tensor, "..."], mu: Float[Tensor, "..."] | None = None) -> None:
        """Add the posteriors of one batch to the statistics of this epoch, without waiting for the device.

        Args:
            std: Posterior stds; averaged over all axes but the latent one.
            mu: Posterior means; needed by `release_capacity` alone.

        Raises:
            InputError: The latent axis has another length than `latent_dim`, or mu is missing.
        """
        if std.shape[self.dim] != self.latent_dim:
            raise InputError(f"std has shape {tuple(std.shape)}; axis {self.dim} must have length {self.latent_dim}")
        if mu is None and self.release_capacity is not None:
            raise InputError(f"release_capacity is {self.release_capacity}, which needs mu too; call observe(std, mu)")
        examples = self._examples(std)
        self._seen[0] += examples.sum(0, dtype=self._seen.dtype)
        self._seen[3] += len(examples)
        if mu is not None and self.release_capacity is not None:
            means = self._examples(mu).to(self._seen.dtype)
            self._seen[1:3] += torch.stack((means.sum(0), means.square().sum(0)))

    def _examples(self, values: Tensor) -> Float[Tensor, "N D"]:
        return values.detach().movedim(self.dim, -1).reshape(-1, self.latent_dim)

    @torch.no_grad()
    def end_epoch(self) -> None:
        """Set the exponent for the next epoch; call it once after each training epoch, in every process.

        Raises:
            InputError: A refresh is due and nothing was observed.
        """
        self.epoch += 1
        done = int(self.epoch)
        if dist.is_available() and dist.is_initialized():
            # Each process keeps an equal share of the sum, so that the checkpoint of one is right for all.
            dist.all_reduce(self._seen)
            self._seen /= dist.get_world_size()
        if done % self.refresh_every == 0:
            self._refresh(first=done == self.refresh_every)
        ramp = min(1.0, done / self.ramp_epochs) if self.ramp_epochs else 1.0
        self.exponent.copy_(self._released(ramp, self._held(done)))
        _ = self.narrows  # looked at now: compiled code reads what was seen last

    def _refresh(self, first: bool) -> None:
        """Fold what was seen into the running std, take Eq. 16 of it, and forget what was seen."""
        if (self._seen[3] == 0).any():
            raise InputError(f"no std was observed in {self.refresh_every} epochs; call observe(std) in every step")
        seen, mu, mu_sq = self._seen[:3] / self._seen[3]
        mean = seen.to(self.running_std)
        self.running_std.copy_(mean if first else self.decay * self.running_std + (1 - self.decay) * mean)
        self.target_exponent.copy_(theory.optimal_exponent(self.running_std, self.delta, self.max_exponent))
        if self.release_capacity is not None:
            carried = 0.5 * torch.log1p((mu_sq - mu.square()) / seen.square())
            self.target_exponent.masked_fill_(carried >= self.release_capacity, 1.0)
        self._seen.zero_()

    def _held(self, done: int) -> float:
        """Return what the release has left after `done` epochs: 1 before it begins, exactly 0 once it is over."""
        if not (self.release_epochs or self.settle_epochs) or self.total_epochs is None:
            return 1.0
        left = max(0, self.total_epochs - 1 - self.settle_epochs - done)
        return min(1.0, left / max(1, self.release_epochs))

    def _released(self, ramp: float, held: float) -> Float[Tensor, " D"]:
        """The exponent on its way up from 1, and back."""
        ones = torch.ones_like(self.target_exponent)
        if self.release_path == "exponent":
            return torch.lerp(ones, self.target_exponent, ramp * held)
        return torch.maximum(ones, held * torch.lerp(ones, self.target_exponent, ramp))

    def get_extra_state(self) -> Float[Tensor, "4 D"]:
        """Return the statistics of the unfinished epochs, for the checkpoint."""
        return self._seen.clone()

    def set_extra_state(self, state: Float[Tensor, "4 D"]) -> None:
        """Continue from the statistics of a checkpoint.

        Args:
            state: What `get_extra_state` returned.
        """
        self._seen.copy_(state)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "VarianceEqualizer":
        """Let the statistics follow the buffers to their device; they stay double, but for MPS, which has none."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        device = self.exponent.device
        self._seen = self._seen.to(device, torch.float32 if device.type == "mps" else torch.float64)
        return self

    def extra_repr(self) -> str:
        """Return what tells one equalizer from another, for `print`."""
        return f"latent_dim={self.latent_dim}, delta={self.delta}, refresh_every={self.refresh_every}"
