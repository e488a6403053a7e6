"""The state of an equalizer: which dtype and device it is on, and how it gets into a state dict and back."""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lambda_vae.equalization import settings
from lambda_vae.equalization.observed import Observed
from lambda_vae.equalization.shared import Group, gathered
from lambda_vae.errors import InputError, warn

__all__ = ["EqualizerState"]

#: What decides lambda from here on, and all that a state dict holds: files of earlier releases have no settings.
_TENSORS = ("running_std", "target_exponent", "exponent", "epoch")
_KEYS = (*_TENSORS, "_extra_state", "settings")


class EqualizerState(nn.Module):
    """Tensors that are saved with a model and go with it to its device, and that nobody else casts or averages.

    They are no buffers: buffers are cast to bfloat16 with a model, averaged with its weights, made on the meta device,
    and overwritten with the first process's by DistributedDataParallel.

    Args:
        latent_dim: D.
        group: The processes that train the model.
    """

    running_std: Float[Tensor, " D"]
    target_exponent: Float[Tensor, " D"]
    exponent: Float[Tensor, " D"]
    epoch: Int[Tensor, ""]

    #: Whether the state is left out of the state dict of the model around it, as where a host's own files want it so.
    apart: bool = False

    #: Whether a host's callback ends the epochs, so that nobody else is asked to.
    managed: bool = False

    def __init__(self, latent_dim: int, group: Group) -> None:
        super().__init__()
        self.latent_dim, self._group = latent_dim, group
        dtype = torch.promote_types(torch.get_default_dtype(), torch.float32)
        self.running_std, self.target_exponent, self.exponent = (
            torch.ones(latent_dim, dtype=dtype, device="cpu") for _ in range(3)
        )
        self.epoch = torch.zeros((), dtype=torch.int64, device="cpu")
        self._observed = Observed(latent_dim)
        self._narrows, self._looked_at = False, (self.exponent, self.exponent._version)
        self._ended, self._returns, self._warned = False, 0, frozenset[str]()

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

    # An attribute, since torch's distributed checkpoints look up each key of a state dict.
    @property
    def settings(self) -> Float[Tensor, " S"]:
        """What the equalizer is set to and where its epoch stands, as numbers for a state dict; -1 is None."""
        seen, size = self._observed, self._group.size
        shares = size if size > 1 and bool(seen.sums.any()) else 1
        marks = {"shares": shares, "unshared": size if seen.unshared and size > 1 else 0, "steps": seen.steps}
        return settings.to_tensor({**vars(self), **marks})

    @settings.setter
    def settings(self, value: Tensor) -> None:
        """Nothing is set: `functional_call` puts a whole state dict in and takes it out again."""

    @property
    def _seen(self) -> Float[Tensor, "4 D"]:
        return self._observed.sums

    def get_extra_state(self) -> Float[Tensor, "4 D"]:
        """Return the statistics of the unfinished epochs, for the checkpoint."""
        return self._seen.clone()

    def set_extra_state(self, state: Float[Tensor, "4 D"]) -> None:
        """Continue from the statistics of a checkpoint."""
        self._observed.load(state)

    @torch.inference_mode(False)
    @torch.no_grad()
    def gather(self) -> None:
        """Share what was seen in this epoch among the processes, so that any of them can write a checkpoint now.

        Every process must call it. At the end of an epoch `end_epoch` does so.
        """
        self._observed.sums = self._group.share(self._observed.sums)
        self._observed.unshared = False

    def _agree(self) -> None:
        """Take the lambda of the process that is furthest, where one alone loaded a checkpoint."""
        own = torch.cat([*(getattr(self, name).double() for name in _TENSORS[:3]), self.epoch.double().view(1)])
        every = gathered(own, self._group)
        furthest = int(every[:, -1].argmax())
        if torch.allclose(every, every[furthest], rtol=1e-4, equal_nan=True):
            return
        self._warn(
            "agree",
            f"processes had different lambdas after {every[:, -1].int().tolist()} epochs each; all go on with "
            f"that of process {furthest}; load the state of the equalizer in every process",
        )
        *values, epoch = every[furthest].split((self.latent_dim,) * 3 + (1,))  # type: ignore[no-untyped-call]
        for name, value in zip(_TENSORS[:3], values, strict=True):
            setattr(self, name, value.to(self.exponent))
        self.epoch = epoch[0].to(self.epoch)

    def _warn(self, kind: str, text: str) -> None:
        if kind not in self._warned:
            self._warned |= {kind}
            warn(text)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "EqualizerState":
        """Follow the model to its device, but to no lesser dtype and not to the meta device, which has no values."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        like = fn(self.exponent.new_empty(0))
        self._move(like.device, like.dtype)
        return self

    def _move(self, device: torch.device, dtype: torch.dtype) -> None:
        if device.type == "meta":
            return
        dtype = dtype if dtype in (torch.float32, torch.float64) else self.exponent.dtype
        for name in _TENSORS[:3]:
            setattr(self, name, getattr(self, name).to(device, dtype))
        self.epoch = self.epoch.to(device)
        self._observed.move(device)

    def _follow(self, device: torch.device) -> None:
        """Go where the data are; of a copy for one step, as DataParallel's, the original stays where it is."""
        if device != self.exponent.device and not getattr(self, "_is_replica", False):
            self._move(device, self.exponent.dtype)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        if self.apart and prefix:
            return
        for name in _TENSORS:
            # Copies: an average that is taken in place over state dicts leaves lambda alone as well.
            destination[prefix + name] = getattr(self, name).clone()
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "settings"] = self.settings.to(self.exponent.device)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: object,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        given = {name: state_dict[prefix + name] for name in _KEYS if prefix + name in state_dict}
        if strict:
            own = (key.removeprefix(prefix) for key in state_dict if key.startswith(prefix))
            known = (*_KEYS, *self._modules)
            unexpected_keys += [prefix + name for name in own if name.split(".")[0] not in known]
        if not given and prefix:
            self._do_without()
            return
        missing = [prefix + name for name in _KEYS[:-1] if name not in given]
        missing_keys += missing
        if missing and strict:
            return
        self._require_dim(given)
        with torch.inference_mode(False):
            self._take(given)

    def _do_without(self) -> None:
        if not self.apart and self.delta != math.inf:
            rest = f"the equalizer keeps its own, of epoch {int(self.epoch)}" if self._ended else "it starts at 1"
            warn(f"the weights hold no lambda; {rest}")

    def _require_dim(self, given: dict[str, Tensor]) -> None:
        for name, value in given.items():
            shape = {"epoch": (), "_extra_state": (4, self.latent_dim)}.get(name, (self.latent_dim,))
            if name != "settings" and value.shape != shape:
                raise InputError(
                    f"the state of lambda is of {value.shape[-1] if value.ndim else 0} latent dimensions ({name} has "
                    f"shape {tuple(value.shape)}), and here latent_dim is {self.latent_dim}; make them the same"
                )

    def _take(self, given: dict[str, Tensor]) -> None:
        for name in _TENSORS:
            if name in given:
                setattr(self, name, given[name].detach().to(getattr(self, name), copy=True))
        self._ended, self._returns = int(self.epoch) > 0, 0
        marks: dict[str, float | None] = {}
        if "settings" in given:
            marks = settings.from_tensor(given["settings"])
            if (text := settings.differences(vars(self), given["settings"])) is not None:
                warn(text)
        if marks.get("unshared"):
            warn(
                f"this state was written by one of {marks['unshared']:.0f} processes in the middle of an epoch and "
                "holds what that one saw; call equalizer.gather() in every process before a checkpoint is written"
            )
        if "_extra_state" in given:
            # The file holds the share that each of its processes had; here there may be more processes, or fewer.
            ratio = (marks.get("shares") or self._group.size) / self._group.size
            self._observed.load(given["_extra_state"] * ratio if ratio != 1 else given["_extra_state"])
            self._observed.steps = int(marks.get("steps") or 0)
        _ = self.narrows
