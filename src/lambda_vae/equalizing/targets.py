"""The method or part of a model that draws z, looked up by the name that the user gives or among the usual names."""

import inspect
from dataclasses import dataclass
from typing import Any

from torch import nn

from lambda_vae.equalization import VarianceEqualizer
from lambda_vae.equalizing.draws import DrawSite, InputHook, MethodHook, ModuleHook, RsampleHook
from lambda_vae.errors import InputError

__all__ = ["Target", "target_of", "unwrapped", "usual_targets"]

_USUAL = (
    *"reparameterize reparametrize reparameterise reparametrise reparameterization reparametrization reparam".split(),
    *"_reparameterize sample_gauss _sample_gauss rsample_from_gaussian sampling sample_z sample_latent sample".split(),
)


@dataclass(frozen=True)
class Target:
    """What draws z in a host model, to be hooked by `take`.

    Args:
        model: The host.
        owner: The part whose train mode counts.
        path: Its name within the host.
        method: The method's name; None for the owner's output or input.
        posterior: The part that returns mu and sigma, where z is the owner's input.
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
        if self.method:
            return f"{name}.{self.method}"
        return f"{'the input of ' if self.posterior else ''}{name} ({self.path})"

    def held(self) -> list[DrawSite]:
        """Return the sites that hook it already."""
        return self.kind.held(self.owner, self.method)

    def take(self, site: DrawSite) -> Any:
        """Hook it, so that a site narrows its draws."""
        if self.kind is RsampleHook:
            return RsampleHook(site, self.model)
        if self.posterior is not None:
            return InputHook(site, self.owner, self.posterior, self.model)
        if self.method is None:
            return ModuleHook(site, self.owner, self.model)
        return MethodHook(site, self.owner, self.method, self.model)

    @property
    def kind(self) -> type[MethodHook | ModuleHook | InputHook | RsampleHook]:
        """The hook for it."""
        if self.path == "rsample":
            return RsampleHook
        if self.posterior is not None:
            return InputHook
        return ModuleHook if self.method is None else MethodHook


def target_of(model: nn.Module, name: str | None, into: str | None = None, posterior: str | None = None) -> Target:
    """Return what draws z by its name (a dotted method or part, or "rsample"), or the only one of a usual name.

    Raises:
        InputError: There is none, or more than one.
    """
    if (into is None) != (posterior is None):
        raise InputError(f"into is {into!r} and posterior is {posterior!r}; give both parts' names, or neither")
    if into is not None and posterior is not None:
        if name is not None:
            raise InputError(f"into is {into!r} and method or at is {name!r}; give one of them")
        return Target(model, _part(model, into), into, None, _part(model, posterior))
    if name is None:
        return _usual(model)
    if name == "rsample" and not hasattr(model, "rsample"):
        return Target(model, model, name)
    path, _, last = name.rpartition(".")
    owner = _part(model, path)
    found = getattr(owner, last, None)
    if isinstance(found, nn.Module):
        return Target(model, unwrapped(found), name)
    if not callable(found):
        raise InputError(
            f"{type(owner).__name__} has no method or part {last!r}; name the one that draws z: equalize(..., "
            "method='NAME'), or leave it out where z is drawn by Normal.rsample within its forward"
        )
    return Target(model, owner, name, last)


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the module within the wrappers of torch.compile and of distributed training."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
            inner = model.module
        if inner is None:
            return model
        model = inner


def usual_targets(model: nn.Module) -> list[Target]:
    """Return the methods and parts of a usual name that draw z, of a model and its parts."""
    targets = []
    for path, owner in model.named_modules():
        if isinstance(owner, VarianceEqualizer) or unwrapped(owner) is not owner:
            continue
        for name in _USUAL:
            found = getattr(owner, name, None)
            if callable(found) and (name != "sample" or _of_a_posterior(found)):
                full = f"{path}.{name}" if path else name
                part = isinstance(found, nn.Module)
                targets.append(Target(model, found if part else owner, full, None if part else name))
                break
    return targets


def _usual(model: nn.Module) -> Target:
    targets = usual_targets(model)
    if len(targets) > 1:
        names = ", ".join(repr(one.path) for one in targets)
        raise InputError(
            f"{type(model).__name__} may draw z in {names}; say which: equalize(..., method={targets[0].path!r}), and "
            "call it once for each of several latents"
        )
    return targets[0] if targets else Target(model, model, "rsample")


def _of_a_posterior(method: Any) -> bool:
    """Whether a `sample` draws from a posterior: one from the prior takes a number."""
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
