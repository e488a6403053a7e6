"""The settings of a VarianceEqualizer: checked, and as one tensor in a state dict."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from lambda_vae.equalization import theory
from lambda_vae.errors import require_within

__all__ = ["ReleasePath", "Setting", "check", "differences", "from_tensor", "to_tensor"]

ReleasePath = Literal["exponent", "delta"]
Setting = int | float | str | None

#: The order in a state dict; new ones are appended, so that older files can be read.
_NAMES = (
    *("delta", "refresh_every", "decay", "ramp_epochs", "max_exponent", "release_capacity"),
    *("release_epochs", "settle_epochs", "release_path", "total_epochs", "steps_per_epoch"),
    # the state of the training: the processes with equal shares of the sums, those that have their own sums alone (0:
    # none), and the steps of the unfinished epoch
    *("shares", "unshared", "steps"),
)

#: Those that decide lambda; the release may be planned again.
_DECIDE = _NAMES[:6]


def check(
    *, latent_dim: int, delta: float, max_exponent: float, total_epochs: int | None, **more: Setting | object
) -> None:
    """Raise InputError if a setting is out of range."""
    theory.require(latent_dim=latent_dim, delta=delta, max_exponent=max_exponent)
    ranges: dict[str, tuple[Callable[[Any], bool], str]] = {
        "refresh_every": (lambda value: value >= 1, "at least 1"),
        "decay": (lambda value: 0 <= value < 1, "at least 0 and less than 1"),
        "ramp_epochs": (lambda value: value >= 0, "at least 0"),
        "release_epochs": (lambda value: 0 <= value <= (total_epochs or 0), f"0 to {total_epochs=}"),
        "settle_epochs": (lambda value: 0 <= value <= (total_epochs or 0), f"0 to {total_epochs=}"),
        "release_path": (lambda value: value in get_args(ReleasePath), "exponent or delta"),
        "release_capacity": (lambda value: value is None or value > 0, "greater than 0 nats"),
        "steps_per_epoch": (lambda value: value is None or value >= 1, "at least 1, or None"),
    }
    for name, value in more.items():
        require_within(name, value, *ranges[name])


def to_tensor(values: Mapping[str, Setting]) -> Tensor:
    """Return settings as numbers, float64 on the CPU; -1 is None, since NaN differs from itself."""
    return torch.tensor([_number(name, values.get(name)) for name in _NAMES], dtype=torch.float64, device="cpu")


def from_tensor(settings: Tensor) -> dict[str, float | None]:
    """Return the settings in a state dict as numbers, without those that are newer than it."""
    return {name: None if one < 0 else one for name, one in zip(_NAMES, settings.tolist(), strict=False)}


def differences(here: Mapping[str, Setting], settings: Tensor) -> str | None:
    """Return a sentence on settings that decide lambda and differ from a state dict's; None if there are none."""
    there = from_tensor(settings)
    # a model that was cast as a whole holds them in that dtype
    own = from_tensor(to_tensor(here).to(settings.dtype))
    others = [name for name in _DECIDE if name in there and there[name] != own[name]]
    if not others:
        return None
    said = " and ".join(", ".join(f"{name} {_plainly(values[name])}" for name in others) for values in (there, own))
    first, second = said.split(" and ", 1)
    return f"the state of lambda was made with {first}, and this equalizer has {second}, which holds from here on"


def _number(name: str, value: Setting) -> float:
    if name == "release_path":
        return float(get_args(ReleasePath).index(value))
    assert not isinstance(value, str)
    return -1.0 if value is None else float(value)


def _plainly(value: float | None) -> str:
    return "None" if value is None else f"{value:.6g}"
