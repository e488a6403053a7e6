"""Switch lambda on in an external model, at its own draw of z."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lambda_vae.equalization import VarianceEqualizer
from lambda_vae.equalizing.draws import DrawSite, MethodHook, ModuleHook, RsampleHook, masked
from lambda_vae.equalizing.draws.found import WIDTHS
from lambda_vae.equalizing.targets import Target, target_of, unwrapped
from lambda_vae.errors import InputError

__all__ = ["HostEqualizer", "equalize"]


class HostEqualizer(VarianceEqualizer):
    """The equalizer of an external model, with its hooks there; the arguments are those of `VarianceEqualizer`."""

    def __init__(self, latent_dim: int, delta: float, **settings: Any) -> None:
        super().__init__(latent_dim, delta, **settings)
        self.asked: dict[str, Any] = {}
        self.sites: list[DrawSite] = []  # the host's draws of z
        self._hooks: list[Any] = []
        self._replaced: list[tuple[object, str, Any]] = []
        self._holder: tuple[nn.Module, str] | None = None

    def hold(self, hook: Any, model: nn.Module, name: str | None) -> None:
        """Keep a hook until `remove`, and become the host's submodule of this name, if there is one."""
        self._hooks.append(hook)
        self.sites.append(hook.site)
        if name is not None:
            self._holder = model, name
            model.add_module(name, self)

    def also(self, model: nn.Module, method: str) -> None:
        """Narrow another method by which the same host draws the same latent."""
        target = target_of(model, method)
        if not any(site.equalizer is self for site in target.held()):
            self.hold(target.take(DrawSite(self, target.owner, str(target), takes=self.sites[0].takes)), model, None)

    def replace(self, owner: object, name: str, by: Callable[..., Any]) -> None:
        """Replace a method until `remove` by an object, of which a copy of the host has its own."""
        self._replaced.append((owner, name, vars(owner).get(name)))
        setattr(owner, name, by)

    def end_epochs_with(self, owner: object, name: str) -> None:
        """End an epoch whenever a method of the host returns, unless its steps do; keep out of what the host saves."""
        if not self.apart:
            self.apart = self.managed = True
            if self.steps_per_epoch is None:
                self.replace(owner, name, partial(_ended, getattr(owner, name), self))

    def require_same(self, what: str, asked: dict[str, Any], host: str = "model") -> None:
        """Raise unless a second call asks for the settings of the first.

        Raises:
            InputError: They are others.
        """
        for name in sorted({*self.asked, *asked}):
            was, now = self.asked.get(name), asked.get(name)
            if was != now:
                raise InputError(
                    f"{what} is equalized already, with {name}={was}, where now {name}={now} is asked for; use the "
                    f"first's equalizer, or give the {host} back before: equalizer.remove()"
                )

    def remove(self) -> None:
        """Give the host back as it was before `equalize`, bit for bit."""
        for owner, attribute, before in self._replaced:
            delattr(owner, attribute)
            if before is not None:
                setattr(owner, attribute, before)
        self._replaced.clear()
        for hook in self._hooks:
            hook.remove()
            getattr(hook.site.mask, "remove", lambda: None)()
        self._hooks.clear()
        if self._holder is not None:
            model, name = self._holder
            delattr(model, name)
            self._holder = None

    def notes(self) -> tuple[str, ...]:
        """Return the notes of a report on lambda, also on draws that it should have narrowed and did not."""
        left = (site.unread_note for site in self.sites if site.unread and not site.settled)
        return (*super().notes(), *left)

    def extra_repr(self) -> str:
        """Return the settings, and what was found in the host."""
        sites = [f",\n  {site}" for site in self.sites] if self._hooks else [", removed"] if self.sites else []
        return "".join((super().extra_repr(), *sites))


def equalize(
    model: nn.Module,
    latent_dim: int,
    delta: float,
    *,
    method: str | None = None,
    at: str | None = None,
    into: str | None = None,
    posterior: str | None = None,
    takes: str | None = None,
    mask: str | Callable[[], Tensor] | None = None,
    draw: int | None = None,
    attach: bool = True,
    **settings: Any,
) -> HostEqualizer:
    """Return the equalizer that narrows the noise of `model`'s own draw of z in its trainings from now on.

    The host draws z, and the draw is then narrowed: z' = mu + sigma^(lambda - 1) (z - mu). No argument and no other
    output of the draw changes, so the KL stays the host's own to the last bit, and at lambda = 1, as with delta = inf,
    z is the host's own tensor. What mu and sigma are is measured at the first training step, with the state of all
    generators restored; `print(equalizer)` shows it, and a draw that cannot be identified is refused. Eval mode is
    unchanged. Call `equalizer.end_epoch()` after each training epoch, or give steps_per_epoch.

    The equalizer is a submodule of `model`, so that its state goes into the host's checkpoints; `equalizer.remove()`
    restores the host. A model with several latents gets one equalizer a latent, each by its own call. A second call for
    the same draw returns the first's equalizer.

    Args:
        model: The host; a compiled or distributed wrapper is unwrapped.
        latent_dim: D.
        delta: The trade-off, > 1; see "Choosing delta" in the documentation.
        method: The method or part that draws z: "reparameterize", "vae.sample". By default one of a usual name; if
            there is none, `Normal.rsample` within the model's own forward or training step.
        at: An alias of `method`, for a part whose output holds z or the distribution that z is drawn from later:
            "encoder". "rsample" takes the draws of `Normal.rsample` even if there are methods of usual names.
        into: The part that z goes into, such as "decoder", where z is drawn in the middle of other code.
        posterior: With `into`: the part whose output holds mu and sigma, such as "encoder".
        takes: The parametrisation of sigma, to be checked against the measured one: "logvar", "std", "log_std", "var"
            or "softplus".
        mask: Which examples or positions count, without the latent axis, True where they do: a callable, or the name of
            an argument of the model's forward.
        draw: Number of the draw within one call of the model, from 0, if `method` draws several latents.
        attach: False keeps the equalizer and its state out of the model.
        settings: Of `VarianceEqualizer`, such as release_epochs, dim or steps_per_epoch.

    Raises:
        InputError: There is no such draw, it is equalized with other settings, or, in the first training step, it is
            not mu + sigma * eps.

    Source:
        The paper, Eq. 9 and 16.

    Example:
        >>> class Tutorial(nn.Module):
        ...     def reparameterize(self, mu, logvar):
        ...         return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        >>> model = Tutorial()
        >>> equalizer = equalize(model, latent_dim=2, delta=1.1)
        >>> model.reparameterize(torch.rand(3, 2), torch.rand(3, 2)).shape
        torch.Size([3, 2])
        >>> equalizer.sites
        [Tutorial.reparameterize: z is the output, mu is the argument mu, sigma is exp(0.5 * the argument logvar)]
    """
    if takes is not None and takes not in WIDTHS:
        raise InputError(f"takes is {takes!r}; it must be one of {', '.join(WIDTHS)}")
    model = unwrapped(model)
    if attach and isinstance(model, nn.Sequential | nn.ModuleList | nn.ModuleDict):
        raise InputError(
            f"the model is a {type(model).__name__}, which would run the equalizer as one of its own parts; say "
            "attach=False, and keep the equalizer's state_dict next to the model's"
        )
    target = target_of(model, method or at, into, posterior)
    asked = {"latent_dim": latent_dim, "delta": delta, "draw": draw, **settings}
    for site in target.held():
        other = target.kind is RsampleHook and site.equalizer.latent_dim != latent_dim
        if not other and (draw is None or site.order in (None, draw)):
            first = site.equalizer
            assert isinstance(first, HostEqualizer)
            first.require_same(str(target), asked)
            return first
    equalizer = HostEqualizer(latent_dim, delta, **settings)
    equalizer.asked = asked
    equalizer.train(model.training or not attach)
    equalizer.to(next((parameter.device for parameter in model.parameters()), torch.device("cpu")))
    site = DrawSite(equalizer, target.owner, str(target), takes=takes, mask=masked(model, mask), order=draw)
    hook = target.take(site)
    equalizer.hold(hook, model, _free_name(model, target) if attach else None)
    if isinstance(hook, MethodHook | ModuleHook):
        site.foresee(hook.host if isinstance(hook, MethodHook) else target.owner.forward)
    return equalizer


def _ended(host: Callable[..., Any], equalizer: HostEqualizer, *given: Any, **named: Any) -> Any:
    returned = host(*given, **named)
    equalizer.end_epoch()
    return returned


def _free_name(model: nn.Module, target: Target) -> str:
    own = f"equalizer_{target.path.replace('.', '_')}"
    names = itertools.chain(("equalizer", own), (f"{own}_{number}" for number in itertools.count(2)))
    return next(name for name in names if not hasattr(model, name))
