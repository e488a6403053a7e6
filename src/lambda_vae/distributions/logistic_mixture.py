"""The discretised logistic mixture: p(x|z) of images with 256 grey values."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions.likelihood import Likelihood, at_least_float32
from lambda_vae.distributions.logistic_form import MAX_LOG_SCALE, MIN_LOG_SCALE, MixtureForm, MixtureParameters
from lambda_vae.distributions.logistic_kernel import mixture_log_prob
from lambda_vae.errors import InputError

__all__ = ["ChannelLogisticMixtureLikelihood", "LogisticMixture", "LogisticMixtureLikelihood"]

#: How far 255 x may lie from a whole number; what rounding leaves in float32 is a thousand times smaller.
_TOLERANCE = 0.01


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
                f"x has {x.shape[-1]} numbers and the decoder speaks of {self.form.channels} channels of {height}x"
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
        weight = self._parameters().logits.softmax(2)
        means = list[Tensor]()
        for mu, inv in self._located(means):
            mean = torch.zeros_like(mu)
            for threshold in range(1, 256):  # E[x] = sum over v of P(x >= v)
                mean += torch.sigmoid((mu - ((threshold - 0.5) / 127.5 - 1.0)) * inv)
            means.append(mean / 127.5 - 1.0)
        return self._rows([(weight * (mean + 1.0) / 2.0).sum(2) for mean in means])

    @property
    def mode(self) -> Float[Tensor, "*batch F"]:
        """The likeliest value of each channel; autoregressive: of each given the likeliest ones before it."""
        joint, chosen = self._parameters().logits, list[Tensor]()
        for mu, inv in self._located(chosen):
            best = mu.new_full(mu[:, :, :1].shape, -torch.inf)
            value = torch.zeros_like(best)
            for level in range(256):
                total = (joint + _log_mass(level, mu, inv)).logsumexp(2, keepdim=True)
                better = ~(total <= best)  # true where it is NaN
                best, value = torch.where(better, total, best), torch.where(better, float(level), value)
            value = torch.where(best.isnan(), torch.nan, value)
            joint = joint + _log_mass(value, mu, inv)
            chosen.append(value / 127.5 - 1.0)
        return self._rows([(value.squeeze(2) + 1.0) / 2.0 for value in chosen])

    def sample(self, generator: torch.Generator | None = None) -> Float[Tensor, "*batch F"]:
        """Return draws, rows of k/255.

        Args:
            generator: The source of chance.
        """
        logits, drawn = self._parameters().logits, list[Tensor]()
        uniform = torch.rand(logits[:, :, :1].shape, generator=generator, dtype=logits.dtype, device=logits.device)
        cumulative = logits.softmax(2).cumsum(2)
        which = (uniform > cumulative[:, :, :-1]).sum(2, keepdim=True)
        for mu, inv in self._located(drawn):
            u = torch.rand(uniform.shape, generator=generator, dtype=logits.dtype, device=logits.device)
            value = mu.gather(2, which) + torch.logit(u) / inv.gather(2, which)
            value = ((value + 1.0) * 127.5).round().clamp(0.0, 255.0)
            drawn.append(torch.where(cumulative[:, :, -1:].isnan(), torch.nan, value) / 127.5 - 1.0)
        return self._rows([(value.squeeze(2) + 1.0) / 2.0 for value in drawn])

    def _parameters(self) -> MixtureParameters:
        p, height, width = self.theta.shape[-3:]
        return self.form.split(self.theta.reshape(-1, p, height * width).contiguous())

    def _located(self, before: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield mu and 1/s [N, G, K, S] of each channel in turn; the caller adds its x in [-1, 1] to `before`."""
        theta = self._parameters()
        inv, coef = torch.exp(-theta.log_scale.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE)), theta.coef.tanh().unbind(2)
        for channel in range(self.form.depth):
            mu = theta.mu[:, :, channel]
            for (later, earlier), c in zip(self.form.pairs, coef, strict=True):
                if later == channel:
                    mu = mu + c * before[earlier]
            yield mu, inv[:, :, channel]

    def _rows(self, channels: list[Tensor]) -> Tensor:
        """Values [N, G, S] of each channel of a group, as rows [..., F]."""
        values = torch.stack(channels, -1).permute(0, 2, 1, 3)
        return values.reshape(*self.theta.shape[:-3], -1)


def _log_mass(value: Tensor | float, mu: Tensor, inv: Tensor) -> Tensor:
    """Log of what a component gives to a value 0..255, in the closed form of the kernel, one bin at a time."""
    value = torch.as_tensor(value, dtype=mu.dtype, device=mu.device)
    a, b = (((value + 0.5) / 127.5 - 1.0 - mu) * inv), ((mu - (value - 0.5) / 127.5 + 1.0) * inv)
    inside = torch.log(-torch.expm1(-inv / 127.5)) + F.logsigmoid(a) + F.logsigmoid(b)
    return torch.where(value == 0.0, F.logsigmoid(a), torch.where(value == 255.0, F.logsigmoid(b), inside))


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
        """Return P, how many numbers of theta a pixel takes.

        Args:
            channels: Of the image.
        """
        return MixtureForm(channels, self.components, self.autoregressive).maps

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
