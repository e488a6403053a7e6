"""The running sigma of every latent dimension, and the exponent that follows from it."""

import math
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lambda_vae.equalization import idle, settings, theory
from lambda_vae.equalization.observed import BelowTransforms, below_transforms, in_backward
from lambda_vae.equalization.scripted import ScriptedSampling
from lambda_vae.equalization.settings import ReleasePath
from lambda_vae.equalization.shared import Group, gathered, strangers
from lambda_vae.equalization.state import EqualizerState
from lambda_vae.errors import InputError

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = ["ReleasePath", "VarianceEqualizer"]


class VarianceEqualizer(EqualizerState):
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
        release_path: How it falls back. "exponent": linearly. "delta": as if delta rose to inf, so that ln sigma_c goes
            to 0 linearly; a dimension with a small std, which needs no help, is released first.
        release_capacity: A dimension whose capacity at sigma, not sigma^lambda, is so many nats has exponent 1 until it
            is less; None never releases single dimensions.
        total_epochs: Length of the training; needed for a release.
        dim: The latent axis of mu and std: -1 for [..., D], 1 for [B, C, H, W].
        steps_per_epoch: Instead of calls of `end_epoch`: an epoch ends when the next training step begins after so
            many; a step is a call of the equalizer, or of `observe`, and every process has as many.
        process_group: The processes that train this model together; None is all of them, torch's default group.

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
        steps_per_epoch: int | None = None,
        process_group: "ProcessGroup | None" = None,
    ) -> None:
        settings.check(
            latent_dim=latent_dim, delta=delta, max_exponent=max_exponent, total_epochs=total_epochs,
            refresh_every=refresh_every, decay=decay, ramp_epochs=ramp_epochs, release_epochs=release_epochs,
            settle_epochs=settle_epochs, release_path=release_path, release_capacity=release_capacity,
            steps_per_epoch=steps_per_epoch,
        )  # fmt: skip
        super().__init__(latent_dim, Group(process_group))
        self.delta, self.dim = delta, dim
        self.refresh_every, self.decay, self.max_exponent = refresh_every, decay, max_exponent
        self.ramp_epochs, self.total_epochs = ramp_epochs, total_epochs
        self.release_epochs, self.settle_epochs = release_epochs, settle_epochs
        self.release_path, self.release_capacity = release_path, release_capacity
        self.steps_per_epoch = steps_per_epoch

    def forward(
        self,
        mu: Float[Tensor, "..."],
        std: Float[Tensor, "..."],
        eps: Float[Tensor, "..."] | None = None,
        mask: Bool[Tensor, "..."] | None = None,
    ) -> Float[Tensor, "..."]:
        """Return z ~ N(mu, sigma^(2 lambda)), and observe `std` when training.

        Args:
            mu: Posterior means.
            std: Posterior stds, > 0, of the same shape.
            eps: Standard normal noise; drawn here if left out.
            mask: Which examples count in training, as for `observe`; all are sampled.

        Raises:
            InputError: A shape does not fit.
        """
        if self.training:
            self.observe(std, mu, mask)
        return self.sample(mu, std, eps)

    def sample(
        self, mu: Float[Tensor, "..."], std: Float[Tensor, "..."], eps: Float[Tensor, "..."] | None = None
    ) -> Float[Tensor, "..."]:
        """Return mu + sigma^lambda * eps, computed in float32 or better and returned in the dtype of mu.

        Args:
            mu: Posterior means.
            std: Posterior stds, > 0.
            eps: Standard normal noise, of the same shape or with leading sample axes; drawn here if left out.

        Raises:
            InputError: Several means would get one noise.
        """
        if eps is None and mu.shape != std.shape and (mu + std).shape != std.shape:
            raise InputError(
                f"std has shape {tuple(std.shape)} and mu {tuple(mu.shape)}, so that examples would share their noise; "
                "give std.expand_as(mu)"
            )
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
        self._follow(latent.device)
        trailing = (latent.ndim if self.dim >= 0 else 0) - self.dim - 1
        # of the meta device, which has no values, comes a shape
        return self.exponent.to(latent.device).view(-1, *[1] * trailing)

    @torch.no_grad()
    def observe(
        self,
        std: Float[Tensor, "..."],
        mu: Float[Tensor, "..."] | None = None,
        mask: Bool[Tensor, "..."] | None = None,
    ) -> None:
        """Add the posteriors of one batch to the statistics of this epoch, without synchronising with the device.

        A forward that is recomputed in a backward pass, as by gradient checkpointing, does not count twice. Within
        `torch.func.vmap` each example counts.

        Args:
            std: Posterior stds; averaged over all axes but the latent one.
            mu: Posterior means; needed by `release_capacity` alone.
            mask: True where an example counts, False for padding; broadcasts against std without its latent axis.

        Raises:
            InputError: The latent axis has another length than `latent_dim`, mu is missing, or a shape does not fit.
        """
        self._check(std, mu, mask)
        if std.device.type == "meta" or in_backward():
            return
        self._follow(std.device)
        examples = self._examples(std)
        means = self._examples(mu) if mu is not None and self.release_capacity is not None else None
        if mask is not None:
            mask = mask.to(std.device).expand(std.movedim(self.dim, -1).shape[:-1]).reshape(-1)
        if below_transforms():
            if torch.compiler.is_compiling():
                torch._dynamo.graph_break()
            BelowTransforms.apply(self, examples, means, mask)  # type: ignore[no-untyped-call]
        else:
            self._count(examples, means, mask)

    def _check(self, std: Tensor, mu: Tensor | None, mask: Tensor | None) -> None:
        if not -std.ndim <= self.dim < std.ndim or std.shape[self.dim] != self.latent_dim:
            raise InputError(f"std has shape {tuple(std.shape)}; axis {self.dim} must have length {self.latent_dim}")
        if self.release_capacity is not None and (mu is None or mu.shape != std.shape):
            had = "; call observe(std, mu)" if mu is None else f" of shape {tuple(std.shape)}, not {tuple(mu.shape)}"
            raise InputError(f"release_capacity is {self.release_capacity}, which needs mu too{had}")
        if mask is None:
            return
        shape = std.movedim(self.dim, -1).shape[:-1]
        fits = mask.ndim <= len(shape) and all(
            one in (1, size) for one, size in zip(mask.shape[::-1], shape[::-1], strict=False)
        )
        if not fits or mask.dtype != torch.bool:
            raise InputError(
                f"mask is {mask.dtype} of shape {tuple(mask.shape)}; it must be torch.bool, True where an example "
                f"counts, and broadcast against {tuple(shape)}, std without its latent axis"
            )

    def _count(self, std: Tensor, mu: Tensor | None, mask: Tensor | None) -> None:
        if not torch.compiler.is_compiling():
            self._begin_step()
        elif self.steps_per_epoch is not None:
            _begin_step_uncompiled(self)
        self._observed.add(std, mu, mask, parallel=self._group.exists)
        self._observed.pending = self._observed.unshared = True

    def _begin_step(self) -> None:
        seen = self._observed
        if self.steps_per_epoch is not None and seen.steps >= self.steps_per_epoch:
            self._end_epoch()
        seen.steps += 1
        if seen.steps == idle.PATIENCE and self._is_never_ended():
            self._warn("end_epoch", idle.never_ended(f"{idle.PATIENCE:,} training steps were observed"))

    def _is_never_ended(self) -> bool:
        return not (self.managed or self._ended) and self.steps_per_epoch is None and self.delta < math.inf

    def _examples(self, values: Tensor) -> Float[Tensor, "N D"]:
        if values.ndim == 2 and self.dim != 0:
            return values.detach()
        return values.detach().movedim(self.dim, -1).reshape(-1, self.latent_dim)

    def train(self, mode: bool = True) -> "VarianceEqualizer":
        """Switch training mode on or off, and warn once if epochs pass without a call of `end_epoch`.

        Args:
            mode: Whether to train.
        """
        if mode and not self.training and self._observed.pending and self._is_never_ended():
            # the first return may be from a validation within the epoch
            self._returns, self._observed.pending = self._returns + 1, False
            if self._returns == 2:
                self._warn("end_epoch", idle.never_ended("the model came back to training a second time"))
        super().train(mode)
        return self

    def end_epoch(self) -> None:
        """Set the exponent for the next epoch; call it once after each training epoch, in every process.

        It may be called between a forward and its backward pass.

        Raises:
            InputError: A refresh is due and nothing was observed, or the epochs end by themselves.
        """
        if self.steps_per_epoch is not None:
            raise InputError(
                f"steps_per_epoch is {self.steps_per_epoch}, so that epochs end by themselves; leave out end_epoch(), "
                "or steps_per_epoch"
            )
        self._end_epoch()

    # Tensors are replaced, never written to: the backward pass of a batch may still need them.
    @torch.inference_mode(False)
    @torch.no_grad()
    def _end_epoch(self) -> None:
        if self._group.size > 1:
            if (text := strangers(gathered(self._observed.own, self._group))) is not None:
                self._warn("strangers", text)
            self._agree()
        self.gather()
        done = int(self.epoch) + 1
        refresh = done % self.refresh_every == 0
        if refresh and (self._seen[3] == 0).any():
            raise InputError(f"no std was observed in {self.refresh_every} epochs; call observe(std) in every step")
        self.epoch = self.epoch + 1
        observed, self._ended = self._observed.end_epoch(), True
        if refresh:
            self._refresh(first=done == self.refresh_every)
        elif not observed:
            self._warn(
                "nothing",
                f"nothing was observed in epoch {done}, so lambda knows no sigma; the equalizer must be called in "
                "training mode in every step",
            )
        self._set_exponent(done)

    def _set_exponent(self, done: int) -> None:
        ramp = min(1.0, done / self.ramp_epochs) if self.ramp_epochs else 1.0
        self.exponent = self._released(ramp, self._held(done))
        _ = self.narrows  # updated now, since compiled code reads the last value

    def _refresh(self, first: bool) -> None:
        """Update the running std, apply Eq. 16 to it, and reset the statistics."""
        seen, mu, mu_sq = self._seen[:3] / self._seen[3]
        mean = seen.to(self.running_std)
        self.running_std = mean if first else self.decay * self.running_std + (1 - self.decay) * mean
        target = theory.optimal_exponent(self.running_std, self.delta, self.max_exponent)
        if self.release_capacity is not None:
            carried = 0.5 * torch.log1p((mu_sq - mu.square()) / seen.square())
            target = target.masked_fill(carried >= self.release_capacity, 1.0)
        self.target_exponent = target
        self._observed.forget()

    @property
    def release_left(self) -> int | None:
        """The epochs left until every exponent stays 1; None if no release is planned."""
        if not (self.release_epochs or self.settle_epochs) or self.total_epochs is None:
            return None
        return max(0, self.total_epochs - 1 - self.settle_epochs - int(self.epoch))

    @torch.inference_mode(False)
    @torch.no_grad()
    def plan_release(self, total_epochs: int) -> None:
        """Plan the release again from the current epoch, as for a second and longer training.

        Args:
            total_epochs: Length of the whole training, counted from this equalizer's first epoch.

        Raises:
            InputError: It is over already, or shorter than the release.
        """
        done, least = int(self.epoch), max(self.release_epochs, self.settle_epochs)
        if total_epochs < max(done, least):
            reason = f"{done} epochs are done" if total_epochs < done else f"the release takes {least}"
            raise InputError(
                f"total_epochs is {total_epochs}, but {reason}; it counts from the equalizer's first epoch"
            )
        self.total_epochs = total_epochs
        self._set_exponent(done)

    def _held(self, done: int) -> float:
        """Return the remaining fraction of the release after `done` epochs: 1 before it begins, 0 once it is over."""
        if not (self.release_epochs or self.settle_epochs) or self.total_epochs is None:
            return 1.0
        left = max(0, self.total_epochs - 1 - self.settle_epochs - done)
        return min(1.0, left / max(1, self.release_epochs))

    def _released(self, ramp: float, held: float) -> Float[Tensor, " D"]:
        """The exponent in the ramp from 1, and in the release back to it."""
        ones = torch.ones_like(self.target_exponent)
        if self.release_path == "exponent":
            return torch.lerp(ones, self.target_exponent, ramp * held)
        return torch.maximum(ones, held * torch.lerp(ones, self.target_exponent, ramp))

    def notes(self) -> tuple[str, ...]:
        """Return the notes of a report: that lambda never acted or still does; none if all is well."""
        done, seen = int(self.epoch), float(self.get_extra_state()[3].max())
        if self.delta == math.inf or (done == 0 and self.narrows):  # the user set it
            return ()
        if done == 0 or done < self.refresh_every:
            return (idle.never_acted(done, seen, self.refresh_every, self.steps_per_epoch),)
        left, highest = self.release_left, float(self.exponent.max())
        if left is not None and highest > 1:
            return (idle.still_acts(highest, done, self.total_epochs, left),)
        return ()

    def __prepare_scriptable__(self) -> nn.Module:
        """Return the module for a scripted model, which samples in eval mode and cannot be trained."""
        return ScriptedSampling(self.exponent.clone(), self.dim).train(self.training)

    def extra_repr(self) -> str:
        """Return the settings that `print` shows."""
        return f"latent_dim={self.latent_dim}, delta={self.delta}, refresh_every={self.refresh_every}"


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _begin_step_uncompiled(equalizer: VarianceEqualizer) -> None:
    """End an epoch outside of compiled code: with steps_per_epoch a compiled model is two graphs."""
    equalizer._begin_step()
