"""Switch lambda on in a model that a package makes within its own `fit`."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from lambda_vae.adapters.draws import DrawSite
from lambda_vae.adapters.equalize import HostEqualizer
from lambda_vae.adapters.named_places import Named, named_place
from lambda_vae.errors import InputError

__all__ = ["equalize_class"]


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
    **settings: Any,  # noqa: ANN401 - VarianceEqualizer's
) -> Iterator[HostEqualizer]:
    """Give the equalizer of the first instance of a class that is made meanwhile and trains; it stays afterwards.

    For packages that make their networks within `fit`, where there is nothing yet to hand to `equalize`. They know no
    epochs of ours either, so say how many training calls make one: steps_per_epoch.

    Args:
        kind: The class, as the package calls it.
        latent_dim: D.
        delta: The trade-off, > 1; see "Choosing delta" in the documentation.
        method: As for `equalize`, within the instance.
        at: Likewise.
        posterior: Where z is drawn in the middle of `fit` and goes into an instance of `kind`: the class of the part
            whose output holds mu and sigma.
        takes: As for `equalize`.
        settings: Of `VarianceEqualizer`, such as steps_per_epoch, total_epochs and release_epochs.

    Raises:
        InputError: Nothing was equalized, or as `equalize`.

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
    equalizer.asked = {"latent_dim": latent_dim, "delta": delta, "takes": takes, "draw": None, **settings}
    made: list[nn.Module] = []
    places: list[Any] = []

    def take(instance: nn.Module) -> None:
        made.append(instance)
        if posterior is None:
            named = named_place(instance, method or at)
        else:
            into, gives = (next((one for one in made[::-1] if type(one) is of), None) for of in (kind, posterior))
            if into is None or gives is None:
                return
            named = Named(into, into, "made within fit", None, gives)
        site = _Candidate(equalizer, named.owner, str(named), takes=takes)
        place = named.take(site)
        places.append(place)
        site.chosen = lambda: choose(named.model, place)

    def choose(model: nn.Module, chosen: Any) -> None:  # noqa: ANN401 - a place
        for place in places:
            place.site.chosen = None
            if place is not chosen:
                place.remove()
        places.clear()
        equalizer.to(next((parameter.device for parameter in model.parameters()), None))
        equalizer.hold(chosen, model, "equalizer")

    with ExitStack() as stack:
        for of in (kind, *(() if posterior is None else (posterior,))):
            stack.enter_context(_made(of, take))
        try:
            yield equalizer
        finally:
            for place in places:  # of instances that did not train
                place.remove()
    if not equalizer.sites:
        raise InputError(
            f"no {kind.__name__} trained within equalize_class, {len(made)} were made; give the class whose instance "
            "the package trains, and call its `fit` within"
        )


class _Candidate(DrawSite):
    """The draw of an instance that may be the one to train."""

    chosen: Callable[[], None] | None = None

    @property
    def due(self) -> bool:
        """Whether the draw that is made now is this site's; the first that is chooses its instance."""
        due = DrawSite.due.fget(self)  # type: ignore[attr-defined]
        if due and self.chosen is not None:
            self.chosen()
        return bool(due)


@contextmanager
def _made(kind: type[nn.Module], take: Callable[[nn.Module], None]) -> Iterator[None]:
    """Hand on every instance of a class that is made meanwhile, once its own `__init__` is through."""
    own = vars(kind).get("__init__")
    init: Callable[..., None] = kind.__init__

    def made(self: nn.Module, *args: Any, **named: Any) -> None:  # noqa: ANN401 - the host's own
        init(self, *args, **named)
        if type(self) is kind:
            take(self)

    kind.__init__ = made  # type: ignore[method-assign]
    try:
        yield
    finally:
        if own is None:
            del kind.__init__  # type: ignore[method-assign]
        else:
            kind.__init__ = own  # type: ignore[method-assign]
