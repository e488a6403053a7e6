"""A host's own name for the place where it draws z, looked up; the usual names, where it is not told."""

import inspect
from dataclasses import dataclass
from typing import Any

from torch import nn

from lambda_vae.equalization import VarianceEqualizer
from lambda_vae.equalizing.draws import DrawSite, InputPlace, MethodPlace, ModulePlace, RsamplePlace
from lambda_vae.errors import InputError

__all__ = ["Named", "named_place", "unwrapped", "usual_places"]

_USUAL = (
    *"reparameterize reparametrize reparameterise reparametrise reparameterization reparametrization reparam".split(),
    *"_reparameterize sample_gauss _sample_gauss rsample_from_gaussian sampling sample_z sample_latent sample".split(),
)


@dataclass(frozen=True)
class Named:
    """A place of a host, taken hold of by `take`.

    Args:
        model: The host.
        owner: The part whose train mode counts.
        path: Its name within the host.
        method: The method's name; None where the owner's output or input is meant.
        posterior: The part that gives mu and sigma, where z is the owner's input.
    """

    model: nn.Module
    owner: nn.Module
    path: str
    method: str | None = None
    posterior: nn.Module | None = None

    def __str__(self) -> str:
        name = type(self.owner).__name__
        if self.path == "rsample":
            return f"Normal.rsample in {type(self.model).__name__}"
        return (
            f"{name}.{self.method}"
            if self.method
            else f"{'the input of ' if self.posterior else ''}{name} ({self.path})"
        )

    def held(self) -> list[DrawSite]:
        """Return the sites that this place is under already."""
        return self.kind.held(self.owner, self.method)

    def take(self, site: DrawSite) -> Any:
        """Put the place under a site."""
        if self.kind is RsamplePlace:
            return RsamplePlace(site, self.model)
        if self.posterior is not None:
            return InputPlace(site, self.owner, self.posterior, self.model)
        if self.method is None:
            return ModulePlace(site, self.owner, self.model)
        return MethodPlace(site, self.owner, self.method, self.model)

    @property
    def kind(self) -> type[MethodPlace | ModulePlace | InputPlace | RsamplePlace]:
        """What takes hold of it."""
        if self.path == "rsample":
            return RsamplePlace
        if self.posterior is not None:
            return InputPlace
        return ModulePlace if self.method is None else MethodPlace


def named_place(model: nn.Module, name: str | None, into: str | None = None, posterior: str | None = None) -> Named:
    """Return the place of a name, or the one usual place of a model.

    Args:
        model: The host.
        name: Of a method or part, dotted; "rsample"; or None.
        into: The part that z goes into.
        posterior: The part whose output holds mu and sigma.

    Raises:
        InputError: There is no such place, or more than one.
    """
    if (into is None) != (posterior is None):
        raise InputError(f"into is {into!r} and posterior is {posterior!r}; give both parts' names, or neither")
    if into is not None and posterior is not None:
        if name is not None:
            raise InputError(f"into is {into!r} and method or at is {name!r}; give one of them")
        return Named(model, _part(model, into), into, None, _part(model, posterior))
    if name is None:
        return _usual(model)
    if name == "rsample" and not hasattr(model, "rsample"):
        return Named(model, model, name)
    path, _, last = name.rpartition(".")
    owner = _part(model, path)
    found = getattr(owner, last, None)
    if isinstance(found, nn.Module):
        return Named(model, unwrapped(found), name)
    if not callable(found):
        raise InputError(
            f"{type(owner).__name__} has no method or part {last!r}; name the one that draws z: equalize(..., "
            "method='NAME'), or leave it out where z is drawn by Normal.rsample within its forward"
        )
    return Named(model, owner, name, last)


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the module within what torch.compile and the distributed wrappers make of it."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
            inner = model.module
        if inner is None:
            return model
        model = inner


def usual_places(model: nn.Module) -> list[Named]:
    """Return the methods and parts of a usual name that draw z, of a model and its parts."""
    places = []
    for path, owner in model.named_modules():
        if isinstance(owner, VarianceEqualizer) or unwrapped(owner) is not owner:
            continue
        for name in _USUAL:
            found = getattr(owner, name, None)
            if callable(found) and (name != "sample" or _of_a_posterior(found)):
                full = f"{path}.{name}" if path else name
                part = isinstance(found, nn.Module)
                places.append(Named(model, found if part else owner, full, None if part else name))
                break
    return places


def _usual(model: nn.Module) -> Named:
    places = usual_places(model)
    if len(places) > 1:
        names = ", ".join(repr(one.path) for one in places)
        raise InputError(
            f"{type(model).__name__} may draw z in {names}; say which: equalize(..., method={places[0].path!r}), and "
            "call it once for each of several latents"
        )
    return places[0] if places else Named(model, model, "rsample")


def _of_a_posterior(method: Any) -> bool:
    """Whether a `sample` draws from a posterior; one that draws from the prior is called with a number."""
    try:
        words = list(inspect.signature(method.forward if isinstance(method, nn.Module) else method).parameters)
    except (TypeError, ValueError):
        return False
    return bool(words) and words[0].lower().startswith(("mu", "mean", "z_mean", "z_mu"))


def _part(model: nn.Module, path: str) -> nn.Module:
    try:
        return unwrapped(model.get_submodule(path))
    except AttributeError:
        raise InputError(f"{type(model).__name__} has no part {path!r}") from None
