"""The equalizer that a LightningModule trains with: its own, an earlier callback's, or a new one."""

import warnings
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from lambda_vae.equalization import VarianceEqualizer
from lambda_vae.equalizing import HostEqualizer, equalize
from lambda_vae.equalizing.draws import DrawSite, Watcher
from lambda_vae.equalizing.targets import target_of
from lambda_vae.errors import InputError

__all__ = ["equalized", "held", "measured", "watched"]

#: Equalizers made by callbacks, which later callbacks may replace, unlike those of a user's `equalize`.
_OF_CALLBACKS: "weakref.WeakSet[VarianceEqualizer]" = weakref.WeakSet()


def equalized(
    module: nn.Module, latent_dim: int, delta: float, asked: Mapping[str, Any], settings: Mapping[str, Any]
) -> VarianceEqualizer:
    """Return the equalizer of a module's draw of z: the existing one if it has the same settings, else a new one.

    Raises:
        InputError: The module does not fit, or its author equalized it with other settings.
    """
    own = [name for name, one in _equalizers(module).items() if not isinstance(one, HostEqualizer)]
    if own and not any(asked[name] for name in ("method", "at", "into")):
        raise InputError(f"the module holds a VarianceEqualizer as {own[0]!r}; leave out latent_dim and delta")
    settings = dict(settings)
    first = next((one for one in _sites(module, asked) if _same(one, asked, latent_dim)), None)
    known = first.equalizer.asked if first is not None and isinstance(first.equalizer, HostEqualizer) else {}
    if known.get("total_epochs"):
        settings["total_epochs"] = known["total_epochs"]  # it is the Trainer's, and no different setting
    try:
        found = equalize(module, latent_dim, delta, attach=False, **asked, **settings)
    except InputError:
        if first is None or first.equalizer not in _OF_CALLBACKS:
            raise
        now = {"latent_dim": latent_dim, "delta": delta, "takes": asked["takes"], **settings}
        others = [name for name in {*known, *now} if known.get(name) != now.get(name)]
        was, said = (", ".join(f"{name}={one.get(name)}" for name in sorted(others)) for one in (known, now))
        warnings.warn(
            f"lambda of an earlier EqualizeCallback at {first.name} ({was}) is taken off, and begins anew ({said})",
            stacklevel=2,
        )
        first.equalizer.remove()  # type: ignore[operator]
        found = equalize(module, latent_dim, delta, attach=False, **asked, **settings)
    if not any(one is found for one in _equalizers(module).values()):
        _OF_CALLBACKS.add(found)
    return found


def held(module: nn.Module, asked: Mapping[str, Any]) -> VarianceEqualizer:
    """Return the equalizer that a module has, of its own or by `equalize`."""
    found = _equalizers(module)
    if len(found) > 1 and any(asked[name] for name in ("method", "at", "into")):
        sites = _sites(module, asked)
        found = {name: one for name, one in found.items() if any(site.equalizer is one for site in sites)}
    if len(found) > 1:
        raise InputError(
            f"the module holds {len(found)} equalizers ({', '.join(found)}); one can be taken care of, so name its "
            "place: EqualizeCallback(method=...)"
        )
    if not found:
        raise InputError(
            f"{type(module).__name__} holds no VarianceEqualizer; give EqualizeCallback(latent_dim=..., delta=...)"
        )
    return next(iter(found.values()))


def measured(equalizer: VarianceEqualizer) -> bool:
    """Return whether the formulas of all draws are known, as they are after the first training step."""
    return not isinstance(equalizer, HostEqualizer) or all(site.draws or site.later for site in equalizer.sites)


def watched(equalizer: VarianceEqualizer, watcher: Watcher) -> list[Callable[[], None]]:
    """Pass each z of a training step through a watcher; return functions that remove it."""
    if isinstance(equalizer, HostEqualizer):
        return [site.watch(watcher) for site in equalizer.sites]

    def drawn(own: VarianceEqualizer, args: tuple[Tensor, ...], named: dict[str, Tensor], z: Tensor) -> Tensor:
        if not own.training:
            return z
        mu, std = (*args, *(named[name] for name in ("mu", "std") if name in named))[:2]
        return watcher(mu, std, z, own.exponent)

    return [equalizer.register_forward_hook(drawn, with_kwargs=True).remove]


def _equalizers(module: nn.Module) -> dict[str, VarianceEqualizer]:
    return {name: one for name, one in module.named_modules() if isinstance(one, VarianceEqualizer)}


def _sites(module: nn.Module, asked: Mapping[str, Any]) -> list[DrawSite]:
    return target_of(module, asked["method"] or asked["at"], asked["into"], asked["posterior"]).held()


def _same(site: DrawSite, asked: Mapping[str, Any], latent_dim: int) -> bool:
    """Whether a site is the requested one of several draws or latents."""
    return asked["draw"] in (None, site.order) and (asked["at"] != "rsample" or site.equalizer.latent_dim == latent_dim)
