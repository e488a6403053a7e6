"""The discretised logistic mixture: p(x|z) of images with 256 grey values."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions.base import at_least_float32
from lambda_vae.distributions.likelihood import Likelihood
from lambda_vae.distributions.logistic_form import MAX_LOG_SCALE, MIN_LOG_SCALE, MixtureForm, MixtureParameters
from lambda_vae.distributions.logistic_kernel import mixture_log_prob
from lambda_vae.errors import InputError
from lambda_vae.rng import normal

__all__ = ["ChannelLogisticMixtureLikelihood", "LogisticMixture", "LogisticMixtureLikelihood"]

#: How far 255 x may lie from a whole number; what rounding leaves in float32 is a thousand times smaller.
_TOLERANCE = 0.01

#: Numbers in one array of `mean` and `mode`, which look at all 256 values: a megabyte in float32.
_NUMBERS = 1 << 18


@dataclass(frozen=True, eq=False)
class LogisticMixture:
    r"""A mixture of logistic distributions, cut into 256 bins, for every pixel.

    .. math:: p(x) = \sum_k \pi_k \prod_c \bigl[\sigma\bigl((x_c + \tfrac1{255} - \mu_{kc}) / s_{kc}\bigr)
        - \sigma\bigl((x_c - \tfrac1{255} - \mu_{kc}) / s_{kc}\bigr)\bigr], \qquad x \in [-1, 1]

    The bins of the values 0 and 255 reach to infinity. Independent channels have a mixture each; autoregressive ones
    share their component, and the means of green and blue move with the channels before them:
    :math:`\mu_g + \tanh(c_{gr}) x_r`, :math:`\mu_b + \tanh(c_{br}) x_r + \tanh(c_{bg}) x_g`. The layout of theta stands
    at `MixtureForm`. Images x are rows [..., F] of k/255, pixel by pixel, the channels of a pixel side by side.

    Args:
        theta: Maps [..., P, H, W]; half and bfloat16 become float32.
        components: K.
        autoregressive: Whether channels depend on those before them.

    Raises:
        InputError: P fits no number of channels.

    Source:
        Salimans et al. 2017, arXiv:1701.05517, 2.1 and 2.2; independent channels: the paper, 6.1. Deviations: see
        `mixture_log_prob`.

    Example:
        >>> p_x = LogisticMixture(torch.zeros(1, 30, 2, 2))
        >>> p_x.log_prob(torch.tensor([[0, 1 / 255, 128 / 255, 1]])).shape, p_x.mode.shape
        (torch.Size([1]), torch.Size([1, 4]))
    """

    theta: Float[Tensor, "*batch P H W"]
    components: int = 10
    autoregressive: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "theta", at_least_float32(self.theta))
        _ = self.form

    @property
    def form(self) -> MixtureForm:
        """Sizes and layout of theta."""
        return MixtureForm.of_maps(self.theta.shape[-3], self.components, self.autoregressive)

    def log_prob(self, x: Float[Tensor, "*#point F"]) -> Float[Tensor, "*batch"]:
        """Return log p(x) in nats, summed over pixels and channels; differentiable once, in theta.

        Args:
            x: Rows of k/255, [B, F]; broadcast against the batch of theta.

        Raises:
            InputError: x has another length, or a value that is none of the 256. On an accelerator, where looking would
                mean waiting, such a row gives NaN.
        """
        *own, p, height, width = self.theta.shape
        if x.shape[-1] != self.form.channels * height * width:
            raise InputError(
                f"x has {x.shape[-1]} numbers and the decoder gives {self.form.channels} channels of {height}x"
                f"{width}; an image must have {self.form.channels * height * width}"
            )
        batch = np.broadcast_shapes(x.shape[:-1], tuple(own))
        pixels = _levels(x).view(*x.shape[:-1], -1, self.form.channels).transpose(-1, -2)
        pixels = pixels.expand(*batch, -1, -1).reshape(-1, *pixels.shape[-2:]).to(self.theta.dtype)
        theta = self.theta.expand(*batch, p, height, width).reshape(-1, p, height * width)
        return mixture_log_prob(theta, pixels.contiguous(), self.form).view(batch)

    @property
    def mean(self) -> Float[Tensor, "*batch F"]:
        """E[x] in [0, 1]: exact for independent channels.

        Autoregressive: green and blue are taken at the component's mean of the channels before, which differs from
        E[x] only by what 0 and 255 cut off.
        """
        return self._by_pixel(_means)

    @property
    def mode(self) -> Float[Tensor, "*batch F"]:
        """The likeliest value of each channel; autoregressive: of each given the likeliest ones before it."""
        return self._by_pixel(_modes)

    def sample(self, generator: torch.Generator | None = None) -> Float[Tensor, "*batch F"]:
        """Return draws, rows of k/255."""
        return self._by_pixel(lambda form, theta: _draws(form, theta, generator), values=1)

    def _by_pixel(
        self, choose: Callable[[MixtureForm, MixtureParameters], list[Tensor]], values: int = 256
    ) -> Float[Tensor, "*batch F"]:
        """Rows of what is chosen for each channel of a group, [n, G, 1] in [-1, 1]; so many pixels as fit at a time."""
        form = self.form
        pixels = self.theta.movedim(-3, -1).reshape(-1, form.maps, 1)
        some = max(1, _NUMBERS // (values * form.groups * form.components))
        chosen = [torch.cat(choose(form, form.split(part)), 2) for part in torch.split(pixels, some)]
        return ((torch.cat(chosen) + 1.0) / 2.0).reshape(*self.theta.shape[:-3], -1)


def _means(form: MixtureForm, theta: MixtureParameters) -> list[Tensor]:
    weight, means = theta.logits.softmax(2), list[Tensor]()
    for mu, inv in _located(form, theta, means):
        # E[x] is the sum over the 255 ends between bins of the probability that x lies above.
        means.append(2.0 * _above(mu, inv).mean(-1, keepdim=True) - 1.0)
    return [(weight * mean).sum(2) for mean in means]


def _modes(form: MixtureForm, theta: MixtureParameters) -> list[Tensor]:
    weight, chosen = theta.logits.softmax(2), list[Tensor]()
    for mu, inv in _located(form, theta, chosen):
        above = _above(mu, inv)
        inside = above[..., :-1] * (1.0 - above[..., 1:]) * -torch.expm1(-inv / 127.5)  # as in the kernel
        mass = torch.cat((1.0 - above[..., :1], inside, above[..., -1:]), -1)
        total = weight.transpose(2, 3) @ mass
        best, level = total.max(-1, keepdim=True)
        # Given this value, so likely is each component; no sum is below 1/256.
        weight = weight * mass.gather(-1, level.expand_as(weight)) / best
        chosen.append(torch.where(best.isnan(), torch.nan, level.to(best.dtype)) / 127.5 - 1.0)
    return [value.squeeze(2) for value in chosen]


def _draws(form: MixtureForm, theta: MixtureParameters, generator: torch.Generator | None) -> list[Tensor]:
    cumulative, drawn = theta.logits.softmax(2).cumsum(2), list[Tensor]()
    shape, device = cumulative[:, :, :1].shape, cumulative.device
    which = (normal(shape, generator, device, uniform=True) > cumulative[:, :, :-1]).sum(2, keepdim=True)
    for mu, inv in _located(form, theta, drawn):
        u = normal(shape, generator, device, uniform=True).to(mu.dtype)
        value = mu.gather(2, which) + torch.logit(u) / inv.gather(2, which)
        value = ((value + 1.0) * 127.5).round().clamp(0.0, 255.0)
        drawn.append(torch.where(cumulative[:, :, -1:].isnan(), torch.nan, value) / 127.5 - 1.0)
    return [value.squeeze(2) for value in drawn]


def _located(form: MixtureForm, theta: MixtureParameters, before: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield mu and 1/s [n, G, K, 1] of each channel in turn; the caller adds its x in [-1, 1] to `before`."""
    inv, coef = torch.exp(-theta.log_scale.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE)), theta.coef.tanh().unbind(2)
    for channel in range(form.depth):
        mu = theta.mu[:, :, channel]
        for (later, earlier), c in zip(form.pairs, coef, strict=True):
            if later == channel:
                mu = mu + c * before[earlier]
        yield mu, inv[:, :, channel]


def _above(mu: Tensor, inv: Tensor) -> Tensor:
    """The probability that a component lies above each end between two bins, [n, G, K, 255]."""
    ends = torch.arange(1, 256, dtype=mu.dtype, device=mu.device).sub(128.0).div(127.5)
    return torch.sigmoid((mu - ends) * inv)


def _levels(x: Tensor) -> Tensor:
    """Whole numbers from 0 to 255."""
    scaled = x * 255.0
    levels = scaled.round()
    off = ~((scaled - levels).abs() <= _TOLERANCE) | (levels < 0.0) | (levels > 255.0)
    if x.device.type != "cpu":
        return torch.where(off, torch.nan, levels)
    if off.any():
        raise InputError(
            f"x has {float(x[off][0]):g}, which is none of the 256 values 0, 1/255, ..., 1 of a logistic "
            "mixture; give it images divided by 255, not dequantised"
        )
    return levels


class LogisticMixtureLikelihood(Likelihood):
    """p(x|z) of images of 256 values: every channel of every pixel independent, as in the paper.

    Args:
        features: F, the length of x.
        components: K.

    Source:
        The paper, 6.1: a discretised logistic mixture of 10 components, pixels independent.
    """

    as_maps = True
    autoregressive = False

    def __init__(self, features: int, components: int = 10) -> None:
        super().__init__(features)
        self.components = components
        MixtureForm(1, components, self.autoregressive)

    def maps(self, channels: int) -> int:
        """Return P, how many numbers of theta a pixel takes."""
        return MixtureForm(channels, self.components, self.autoregressive).maps

    def by_feature(self, gradient: Float[Tensor, "*batch P H W"]) -> Float[Tensor, "*batch F"]:
        """Return what shifting all components of a value together changes, from what changing theta does."""
        *batch, p, height, width = gradient.shape
        form = MixtureForm.of_maps(p, self.components, self.autoregressive)
        mu = form.split(gradient.reshape(-1, p, height * width)).mu.sum(3)
        return mu.flatten(1, 2).transpose(1, 2).reshape(*batch, -1)

    def forward(self, theta: Float[Tensor, "*batch P H W"]) -> LogisticMixture:
        """Return the mixture of these maps."""
        return LogisticMixture(theta, self.components, self.autoregressive)


class ChannelLogisticMixtureLikelihood(LogisticMixtureLikelihood):
    """The same with green given red and blue given both, of PixelCNN++; pixels stay independent.

    Args:
        features: F, the length of x.
        components: K.

    Source:
        Salimans et al. 2017, arXiv:1701.05517, 2.2.
    """

    autoregressive = True
