"""How the numbers of a discretised logistic mixture lie in the maps of a decoder."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.errors import InputError

__all__ = ["MAX_LOG_SCALE", "MIN_LOG_SCALE", "MixtureForm", "MixtureParameters"]

#: Log scales are held in here, the values 0..255 lying from -1 to 1. At the floor a value's bin holds at most 0.973.
MIN_LOG_SCALE = -7.0
#: A scale of 5e8 times the range: nobody's model, but a number that float32 can still work with.
MAX_LOG_SCALE = 20.0


class MixtureParameters(NamedTuple):
    """Views of a decoder's maps; G groups of c channels that share their component, S pixels.

    Args:
        logits: Of the components, [N, G, K, S].
        mu: Locations, [N, G, c, K, S].
        log_scale: ln of the scales, [N, G, c, K, S].
        coef: What each later channel takes of each earlier one, before tanh, [N, G, pairs, K, S].
    """

    logits: Tensor
    mu: Tensor
    log_scale: Tensor
    coef: Tensor


@dataclass(frozen=True)
class MixtureForm:
    """Sizes and layout of a mixture's parameters.

    The P maps of a pixel are, in this order: logits, then mu, then log_scale, each channel by channel and component by
    component within (map c K + k), then coef, pair by pair: (green, red), (blue, red), (blue, green). If channels are
    independent each has logits of its own; else one choice of component serves all channels of a pixel.

    Args:
        channels: C.
        components: K.
        autoregressive: Whether a channel depends on those before it.

    Example:
        >>> MixtureForm(3, 10, autoregressive=True).maps, MixtureForm(3, 10, autoregressive=False).maps
        (100, 90)
    """

    channels: int
    components: int
    autoregressive: bool

    def __post_init__(self) -> None:
        if min(self.channels, self.components) < 1:
            raise InputError(
                f"a mixture of {self.components} components over {self.channels} channels is empty; both are at least 1"
            )

    @classmethod
    def of_maps(cls, maps: int, components: int, autoregressive: bool) -> "MixtureForm":
        """Return the form whose parameters take so many maps, P.

        Raises:
            InputError: No number of channels gives this P.
        """
        channels = 1
        while (form := cls(channels, components, autoregressive)).maps < maps:
            channels += 1
        if form.maps != maps:
            fits = [str(cls(c, components, autoregressive).maps) for c in (1, 3)]
            raise InputError(
                f"the decoder gives {maps} maps, which no number of channels makes of {components} components; grey "
                f"images take {fits[0]}, RGB {fits[1]}"
            )
        return form

    @property
    def groups(self) -> int:
        """G: parts of a pixel with a component of their own."""
        return 1 if self.autoregressive else self.channels

    @property
    def depth(self) -> int:
        """c: channels of a group."""
        return self.channels // self.groups

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """(later, earlier) channel of each coefficient."""
        return tuple((later, earlier) for later in range(self.depth) for earlier in range(later))

    @property
    def maps(self) -> int:
        """P: numbers of theta for each pixel."""
        return (self.groups * (1 + len(self.pairs)) + 2 * self.channels) * self.components

    def split(self, theta: Float[Tensor, "N P S"]) -> MixtureParameters:
        """Return views of the maps.

        Args:
            theta: One row a map, contiguous within an example.
        """
        each, pairs = self.channels * self.components, self.groups * len(self.pairs) * self.components
        logits, mu, log_scale, coef = torch.split(theta, [self.groups * self.components, each, each, pairs], 1)
        n, _, s = theta.shape
        shape = (n, self.groups, self.depth, self.components, s)
        return MixtureParameters(
            logits.view(n, self.groups, self.components, s),
            mu.view(shape),
            log_scale.view(shape),
            coef.view(n, self.groups, len(self.pairs), self.components, s),
        )
