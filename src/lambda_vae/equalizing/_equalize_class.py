"""Switch lambda on in a model that a package makes within its own `fit`."""

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from lambda_vae.equalizing._equalize import HostEqualizer
from lambda_vae.equalizing.draws import DrawSite, masked
from lambda_vae.equalizing.targets import Target, target_of
from lambda_vae.errors import InputError

__all__ = ["alone", "equalize_class", "instances_made"]


@contextmanager
def equalize_class(
    kind: type[nn.Module],
    latent_dim: int,
    delta: float,
    *,
    method: str | None = None,
    at: str | None = None,
    posterior: type[nn.Module] | None = None,
    takes: str | None = None,
    mask: str | Callable[[], Tensor] | None = None,
    draw: int | None = None,
    **settings: Any,
) -> Iterator[HostEqualizer]:
    """Equalize the first instance of a class that is made within the `with` block and trains; then restore it.

    For packages that make their networks within `fit`, before which there is no model for `equalize`. Their epochs are
    not known either, so give the number of training calls in one: steps_per_epoch. After the block the host is as it
    was, and its saved or pickled models do not depend on lambda-vae.

    Args:
        kind: The class.
        latent_dim: D.
        delta: The trade-off, > 1; see "Choosing delta" in the documentation.
        method: As for `equalize`, within the instance, as are at, takes, mask and draw.
        at: Likewise.
        posterior: Where z is drawn in the middle of `fit` and goes into an instance of `kind`: the class of the part
            whose output holds mu and sigma.
        takes: Likewise.
        mask: Likewise.
        draw: Likewise.
        settings: Of `VarianceEqualizer`, such as steps_per_epoch, total_epochs and release_epochs.

    Raises:
        InputError: Nothing was equalized, the class is in another open block, or as `equalize`.

    Source:
        The paper, Eq. 9 and 16.

    Example:
        >>> import torch
        >>> class Network(nn.Module):
        ...     def reparameterize(self, mu, logvar):
        ...         return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        >>> def fit():
        ...     network = Network()
        ...     for _ in range(4):
        ...         network.reparameterize(torch.rand(3, 2), torch.rand(3, 2) - 2)
        >>> with equalize_class(Network, 2, 1.1, steps_per_epoch=1) as equalizer:
        ...     fit()
        >>> bool((equalizer.exponent > 1).all())
        True
    """
    equalizer = HostEqualizer(latent_dim, delta, **settings)
    equalizer.asked = {"latent_dim": latent_dim, "delta": delta, "takes": takes, "draw": draw, **settings}

    def site(target: Target) -> DrawSite:
        own = masked(target.model, mask)
        return DrawSite(equalizer, target.owner, str(target), takes=takes, mask=own, order=draw)

    made = _Made(equalizer, kind, posterior, method or at, site)
    with ExitStack() as stack:
        stack.enter_context(alone(kind))
        for of in (kind, *(() if posterior is None else (posterior,))):
            stack.enter_context(instances_made(of, made.take))
        stack.callback(made.forget)
        yield equalizer
    if made.chosen is None:
        raise InputError(
            f"no {kind.__name__} trained within equalize_class, {len(made.parts)} were made; give the class whose "
            "instance the package trains, and call its `fit` within"
        )


@dataclass(eq=False)
class _Made:
    """The instances made within the block, each hooked, of which the first that trains is chosen."""

    equalizer: HostEqualizer
    kind: type[nn.Module]
    posterior: type[nn.Module] | None
    name: str | None
    site: Callable[[Target], DrawSite]
    parts: list[nn.Module] = field(default_factory=list)
    others: list[Any] = field(default_factory=list)
    chosen: Any = None

    def take(self, instance: nn.Module) -> None:
        """Hook an instance that was just made."""
        self.parts.append(instance)
        target = self._target(instance)
        if target is not None:
            site = self.site(target)
            hook = target.take(site)
            self.others.append(hook)
            site.asks = lambda: self.chooses(hook, target.model)

    def _target(self, instance: nn.Module) -> Target | None:
        if self.posterior is None:
            return target_of(instance, self.name)
        wanted = self.kind, self.posterior
        into, gives = (next((one for one in self.parts[::-1] if type(one) is of), None) for of in wanted)
        return None if into is None or gives is None else Target(into, into, "made within fit", None, gives)

    def chooses(self, hook: Any, model: nn.Module) -> bool:
        """Return whether this is the instance to equalize, at its first draw in training."""
        if self.chosen is not None:
            hook.site.asks = lambda: False
            warnings.warn(f"a second {self.kind.__name__} trains; the first alone has lambda", stacklevel=2)
            return False
        self.chosen, hook.site.asks = hook, None
        self.others.remove(hook)
        self.equalizer.to(next((parameter.device for parameter in model.parameters()), None))
        self.equalizer.hold(hook, model, "equalizer")
        return True

    def forget(self) -> None:
        """Remove all hooks."""
        for hook in self.others:
            hook.remove()
        self.equalizer.remove()


_held: set[type[nn.Module]] = set()


@contextmanager
def alone(kind: type[nn.Module]) -> Iterator[None]:
    """Refuse a second open block for a class, in which the lambda of an instance would be ambiguous.

    Raises:
        InputError: There is one already.
    """
    if kind in _held:
        raise InputError(
            f"{kind.__name__} is equalized by another block that is still open, and an instance of it can have the "
            "lambda of one alone; train one model in each block, one block after the other"
        )
    _held.add(kind)
    try:
        yield
    finally:
        _held.discard(kind)


@contextmanager
def instances_made(kind: type[nn.Module], take: Callable[[nn.Module], None]) -> Iterator[None]:
    """Call `take` with every instance of a class made within the block, after its own `__init__`."""
    own = vars(kind).get("__init__")
    init: Callable[..., None] = kind.__init__

    @functools.wraps(init)  # packages inspect the signature
    def made(self: nn.Module, *args: Any, **named: Any) -> None:
        init(self, *args, **named)
        if type(self) is kind:
            take(self)

    kind.__init__ = made  # type: ignore[method-assign]
    try:
        yield
    finally:
        if own is None:
            del kind.__init__
        else:
            kind.__init__ = own  # type: ignore[method-assign]
