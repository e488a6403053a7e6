"""Switch lambda on in a model of somebody else's, wherever it draws z."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lambda_vae.equalization import VarianceEqualizer
from lambda_vae.equalizing.draws import DrawSite, MethodPlace, ModulePlace, RsamplePlace, masked
from lambda_vae.equalizing.draws.found import WIDTHS
from lambda_vae.equalizing.named_places import Named, named_place, unwrapped
from lambda_vae.errors import InputError

__all__ = ["HostEqualizer", "equalize"]


class HostEqualizer(VarianceEqualizer):
    """The equalizer of a host, which knows the places where z is drawn.

    Args:
        latent_dim: D.
        delta: The trade-off, > 1.
        settings: Of `VarianceEqualizer`.
    """

    def __init__(self, latent_dim: int, delta: float, **settings: Any) -> None:
        super().__init__(latent_dim, delta, **settings)
        self.asked: dict[str, Any] = {}
        self.sites: list[DrawSite] = []  # the places where the host draws z, each with what was found there
        self._places: list[Any] = []
        self._replaced: list[tuple[object, str, Any]] = []
        self._holder: tuple[nn.Module, str] | None = None

    def hold(self, place: Any, model: nn.Module, name: str | None) -> None:
        """Take note of a place, which has a site and can be removed.

        Args:
            place: It.
            model: The host.
            name: Of the equalizer among the host's parts; None where it is none.
        """
        self._places.append(place)
        self.sites.append(place.site)
        if name is not None:
            self._holder = model, name
            model.add_module(name, self)

    def also(self, model: nn.Module, method: str) -> None:
        """Narrow another place where the same host draws the same latent.

        Raises:
            InputError: There is no such place.
        """
        place = named_place(model, method)
        if any(site.equalizer is self for site in place.held()):
            return
        self.hold(place.take(DrawSite(self, place.owner, str(place), takes=self.sites[0].takes)), model, None)

    def replace(self, owner: object, name: str, by: Callable[..., Any]) -> None:
        """Put an object, so that a copy of the host has its own, in the place of a method until `remove`."""
        self._replaced.append((owner, name, vars(owner).get(name)))
        setattr(owner, name, by)

    def end_epochs_with(self, owner: object, name: str) -> None:
        """End an epoch whenever a method of the host's returns, and keep out of what the host saves."""
        if not self.apart:
            self.apart = self.managed = True
            self.replace(owner, name, partial(_ended, getattr(owner, name), self))

    def require_same(self, what: str, asked: dict[str, Any], host: str = "model") -> None:
        """Raise unless a place is asked for again with the settings that it has.

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
        for place in self._places:
            place.remove()
            getattr(place.site.mask, "remove", lambda: None)()
        self._places.clear()
        if self._holder is not None:
            model, name = self._holder
            delattr(model, name)
            self._holder = None

    def notes(self) -> tuple[str, ...]:
        """Return what a report must say of lambda: also that it acted on no draw that it should have narrowed."""
        left = (site.unread_note for site in self.sites if site.unread and not site.settled)
        return (*super().notes(), *left)

    def extra_repr(self) -> str:
        """Return what tells one equalizer from another, and what was found in its host."""
        sites = [f",\n  {site}" for site in self.sites] if self._places else [", removed"] if self.sites else []
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
    """Return the equalizer that from now on narrows the noise of `model`'s own draw of z while it trains.

    The host draws z untouched, and the draw is then narrowed: z' = mu + sigma^(lambda - 1) (z - mu). No argument, no
    name and nothing else that the draw returns is changed, so the KL stays the host's own to the last bit, and at
    lambda = 1, as with delta = inf, the very tensor goes through. What mu and sigma are is measured at the first
    training step, with the generators put back; `print(equalizer)` shows it, and what cannot be established is refused.
    In eval mode nothing is changed. Call `equalizer.end_epoch()` after each training epoch, or give steps_per_epoch.

    The equalizer is a submodule of `model`, so that its state goes into the host's checkpoints;
    `equalizer.remove()` gives the host back. A model with several latents gets one equalizer a latent, each by its own
    call. A second call for the same place returns the first's equalizer.

    Args:
        model: The host; a compiled or distributed wrapper stands for what it wraps.
        latent_dim: D.
        delta: The trade-off, > 1; see "Choosing delta" in the documentation.
        method: The method, or the part, that draws z: "reparameterize", "vae.sample". Looked for among the usual names
            if left out; where there is none, `Normal.rsample` within the model's own forward or training step is.
        at: Another word for `method`, for a part whose output holds z or the distribution that z is drawn from later:
            "encoder". "rsample" takes the draws of `Normal.rsample` though there are methods of usual names.
        into: The part that z goes into, such as "decoder", where z is drawn in the middle of other code.
        posterior: With `into`: the part whose output holds mu and sigma, such as "encoder".
        takes: What sigma is made of, if you want what is measured to be held against it: "logvar", "std", "log_std",
            "var" or "softplus".
        mask: Which examples or positions count: a callable that gives it, or the name of an argument of the model's
            forward; True counts; without the latent axis.
        draw: Which of the draws that the place makes in one call of the model, from 0, where it draws several latents.
        attach: False keeps the equalizer and its state out of the model.
        settings: Of `VarianceEqualizer`, such as release_epochs, dim or steps_per_epoch.

    Raises:
        InputError: There is no such place, it is equalized with other settings, or, in the first training step, it is
            no draw that lambda is for.

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
    place = named_place(model, method or at, into, posterior)
    asked = {"latent_dim": latent_dim, "delta": delta, "draw": draw, **settings}
    for site in place.held():
        other = place.kind is RsamplePlace and site.equalizer.latent_dim != latent_dim
        if not other and (draw is None or site.order in (None, draw)):
            first = site.equalizer
            assert isinstance(first, HostEqualizer)
            first.require_same(str(place), asked)
            return first
    equalizer = HostEqualizer(latent_dim, delta, **settings)
    equalizer.asked = asked
    equalizer.train(model.training or not attach)
    equalizer.to(next((parameter.device for parameter in model.parameters()), torch.device("cpu")))
    site = DrawSite(equalizer, place.owner, str(place), takes=takes, mask=masked(model, mask), order=draw)
    held = place.take(site)
    equalizer.hold(held, model, _free_name(model, place) if attach else None)
    if isinstance(held, MethodPlace | ModulePlace):
        site.foresee(held.host if isinstance(held, MethodPlace) else place.owner.forward)
    return equalizer


def _ended(host: Callable[..., Any], equalizer: HostEqualizer, *given: Any, **named: Any) -> Any:
    returned = host(*given, **named)
    equalizer.end_epoch()
    return returned


def _free_name(model: nn.Module, place: Named) -> str:
    own = f"equalizer_{place.path.replace('.', '_')}"
    names = itertools.chain(("equalizer", own), (f"{own}_{number}" for number in itertools.count(2)))
    return next(name for name in names if not hasattr(model, name))
