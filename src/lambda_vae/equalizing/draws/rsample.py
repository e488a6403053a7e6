"""Hook of `Normal.rsample` within a model's own call."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from lambda_vae.equalizing.draws.hooks import DrawHook
from lambda_vae.equalizing.draws.site import DrawSite
from lambda_vae.equalizing.draws.within import OwnCall, running
from lambda_vae.errors import InputError

__all__ = ["RsampleHook"]

_HOST = Normal.rsample


class RsampleHook(DrawHook):
    """Narrows the draws of D dimensions by `Normal.rsample` within a model's forward or training step.

    `Normal.rsample` is replaced once and for all; outside such a call, and for draws of another size, it is torch's.
    """

    def __init__(self, site: DrawSite, model: nn.Module) -> None:
        super().__init__(site, model, counted=True)
        self.drew, self.learned = False, False
        site.reads("z is what Normal.rsample draws, mu is its loc, sigma is its scale")
        Normal.rsample = _rsample  # type: ignore[method-assign]

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        Normal.rsample = _rsample  # type: ignore[method-assign]  # in the process that it was sent to as well

    def left(self) -> None:
        """Raise if the model's first own call made no such draw."""
        if self.site.active and not self.drew:
            width = self.site.equalizer.latent_dim
            raise InputError(
                f"{self.site.name} drew no z of {width} dimensions; name the method, or the part, that draws z: "
                "equalize(..., method='NAME'), or draw with the equalizer itself: z = equalizer(mu, std)"
            )

    def drawn(self, distribution: Normal, z: Tensor) -> Tensor | None:
        """Return a draw narrowed; None if it is not of this latent."""
        site = self.site
        axis, width = site.equalizer.dim, site.equalizer.latent_dim
        if distribution.loc.shape[axis:][:1] != (width,) or not site.due:
            return None
        learned = distribution.loc.requires_grad or distribution.scale.requires_grad
        if self.learned and not learned and torch.is_grad_enabled() and site.order is None:
            return None  # such as N(0, 1), the prior, of the same width
        self.learned |= learned
        self.drew = True
        return site.seen(distribution.loc, distribution.scale, z)

    @staticmethod
    def held(owner: nn.Module, method: str | None) -> list[DrawSite]:
        calls = [getattr(hook, "__self__", None) for hook in owner._forward_pre_hooks.values()]
        return [one.owner.site for one in calls if isinstance(one, OwnCall) and isinstance(one.owner, RsampleHook)]


def _rsample(self: Normal, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 - as torch has it
    z = _HOST(self, sample_shape)
    narrow = None
    for call in running():
        # a hook of the k-th draw counts those of other hooks too
        if isinstance(call.owner, RsampleHook) and (narrow is None or call.owner.site.order is not None):
            own = call.owner.drawn(self, z)
            narrow = own if narrow is None else narrow
    return z if narrow is None else narrow
