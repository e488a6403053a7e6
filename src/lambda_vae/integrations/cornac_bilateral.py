"""cornac's BiVAE: users and items draw through one method, each with an equalizer of its own."""

from collections.abc import Callable, Mapping
from math import ceil
from typing import Any

from torch import Tensor

from lambda_vae.equalizing._equalize import HostEqualizer
from lambda_vae.equalizing.draws import DrawSite
from lambda_vae.equalizing.draws.callers import Callers
from lambda_vae.equalizing.named_places import named_place

__all__ = ["Bilateral"]


class Bilateral:
    """A BiVAE's one method under an equalizer a side; which side draws is told by the layer that gave its sigma.

    Args:
        vae: Just made.
        sides: The equalizers of its users and items.
        batch_size: Of either.
    """

    def __init__(self, vae: Any, sides: Mapping[str, HostEqualizer], batch_size: int) -> None:
        self.vae, self.sides, self.turn = vae, sides, ""
        layers = {"users": (vae.user_std, vae.item_encoder), "items": (vae.item_std, vae.user_encoder)}
        self.handles = [layer.register_forward_hook(self._turning(side)) for side, (layer, _) in layers.items()]
        for side, equalizer in sides.items():
            if equalizer.steps_per_epoch is None:  # the other side reads this one's rows; each batch is drawn for twice
                equalizer.steps_per_epoch = 2 * ceil(layers[side][1][0].in_features / batch_size)
            site = _SideSite(equalizer, vae, f"BiVAE.reparameterize of the {side}", takes="std")
            site.turns, site.callers = (self, side), _OneLatent(site.name)
            equalizer.hold(named_place(vae, "reparameterize").take(site), vae, f"equalizer_{side}")

    def _turning(self, side: str) -> Callable[..., None]:
        def turn(*_: object) -> None:
            self.turn = side

        return turn

    def remove(self) -> None:
        """Give the network back."""
        for handle in self.handles:
            handle.remove()
        for equalizer in self.sides.values():
            equalizer.remove()


class _OneLatent(Callers):
    """Of a site that is known to draw one latent: cornac does not shuffle, and batches differ more than latents do."""

    def note(self, std: Tensor, axis: int) -> None:
        """Take note of nothing."""


class _SideSite(DrawSite):
    """The draw of one side."""

    turns: tuple[Bilateral, str]

    @property
    def due(self) -> bool:
        """Whether the draw that is made now is this side's."""
        bilateral, side = self.turns
        return bilateral.turn == side and super().due
