"""The running sigma of every latent dimension, and the exponent that follows from it."""

from collections.abc import Callable

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor, nn

from lambda_vae.equalization import theory
from lambda_vae.errors import InputError

__all__ = ["VarianceEqualizer"]


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
        total_epochs: Length of the training; needed for a release.
        dim: The latent axis of mu and std: -1 for [..., D], 1 for [B, C, H, W].

    Raises:
        InputError: An argument is out of range.

    Source:
        The paper, Eq. 9, 10 and 16. Deviations: the std of Eq. 16 is the mean over all examples since the last refresh,
        in all processes, then an exponential moving average; the release is ours.

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
        ):
            if not holds:
                raise InputError(f"{name} is {value}; it must be {domain}")
        self.latent_dim, self.delta, self.dim = latent_dim, delta, dim
        self.refresh_every, self.decay, self.max_exponent = refresh_every, decay, max_exponent
        self.ramp_epochs, self.release_epochs, self.total_epochs = ramp_epochs, release_epochs, total_epochs
        self.register_buffer("running_std", torch.ones(latent_dim))
        self.register_buffer("target_exponent", torch.ones(latent_dim))
        self.register_buffer("exponent", torch.ones(latent_dim))
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))
        # The sum of std in each dimension, then the number of examples. No buffer: DistributedDataParallel overwrites
        # every process's buffers with the first one's. Double: a long epoch adds small numbers to a large one.
        self._seen = torch.zeros(latent_dim + 1, dtype=torch.float64)

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
            self.observe(std)
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
        trailing = (std.ndim if self.dim >= 0 else 0) - self.dim - 1
        return theory.sampling_std(std, self.exponent.view(-1, *[1] * trailing))

    @torch.no_grad()
    def observe(self, std: Float[Tensor, "..."]) -> None:
        """Add the stds of one batch to the statistics of this epoch, without waiting for the device.

        Args:
            std: Posterior stds; averaged over all axes but the latent one.

        Raises:
            InputError: The latent axis has another length than `latent_dim`.
        """
        if std.shape[self.dim] != self.latent_dim:
            raise InputError(f"std has shape {tuple(std.shape)}; axis {self.dim} must have length {self.latent_dim}")
        examples = std.detach().movedim(self.dim, -1).reshape(-1, self.latent_dim)
        total = examples.sum(0, dtype=self._seen.dtype)
        self._seen += nn.functional.pad(total, (0, 1), value=float(len(examples)))

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
        ones = torch.ones_like(self.target_exponent)
        self.exponent.copy_(torch.lerp(ones, self.target_exponent, self._strength(done)))

    def _refresh(self, first: bool) -> None:
        """Fold what was seen into the running std, take Eq. 16 of it, and forget what was seen."""
        count = self._seen[-1]
        if count == 0:
            raise InputError(f"no std was observed in {self.refresh_every} epochs; call observe(std) in every step")
        mean = (self._seen[:-1] / count).to(self.running_std)
        self.running_std.copy_(mean if first else self.decay * self.running_std + (1 - self.decay) * mean)
        self.target_exponent.copy_(theory.optimal_exponent(self.running_std, self.delta, self.max_exponent))
        self._seen.zero_()

    def _strength(self, done: int) -> float:
        """Return how far from 1 to its target the exponent is after `done` epochs: 0 to 1, exactly 0 if released."""
        ramp = min(1.0, done / self.ramp_epochs) if self.ramp_epochs else 1.0
        if not self.release_epochs or self.total_epochs is None:
            return ramp
        left = max(0, self.total_epochs - 1 - done)
        return ramp * min(1.0, left / self.release_epochs)

    def get_extra_state(self) -> Float[Tensor, " D_plus_1"]:
        """Return the statistics of the unfinished epochs, for the checkpoint."""
        return self._seen.clone()

    def set_extra_state(self, state: Float[Tensor, " D_plus_1"]) -> None:
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
