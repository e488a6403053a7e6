"""The discretised logistic mixture beside the ways it is usually written: CPU milliseconds, forward and backward.

Textbook: the form of PixelCNN++, with its layout (a pixel's numbers side by side), clamps and branches. Stable: the
closed form of this library in plain torch operations, maps by maps. Ours: value and gradient in one sweep. All three
are given the same numbers and checked against each other first. Writes results/logistic-mixture.md.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from facts import facts, facts_lines
from lambda_vae.distributions import MixtureForm, mixture_log_prob
from lambda_vae.files import write_atomic
from single_core import on_one_core

__all__ = ["page"]

FORM = MixtureForm(3, 10, autoregressive=True)
PIXELS = 32 * 32

#: (theta, levels [N, 3, S] of 0..255) -> log p(x) [N].
LogProb = Callable[[Tensor, Tensor], Tensor]


def textbook(theta: Tensor, levels: Tensor) -> Tensor:
    """Salimans et al. 2017, as PixelCNN++ computes it.

    Args:
        theta: [N, S, 100]: ten logits, then for every channel ten means, ten log scales and ten coefficients.
        levels: [N, 3, S].
    """
    x = (levels / 127.5 - 1.0).transpose(1, 2)[..., None]  # [N, S, 3, 1]
    logits, rest = theta[..., :10], theta[..., 10:].unflatten(-1, (3, 30))
    mu, log_scale, coef = rest[..., :10], rest[..., 10:20].clamp(min=-7.0), rest[..., 20:].tanh()
    green = mu[..., 1, :] + coef[..., 0, :] * x[..., 0, :]
    blue = mu[..., 2, :] + coef[..., 1, :] * x[..., 0, :] + coef[..., 2, :] * x[..., 1, :]
    centred = x - torch.stack((mu[..., 0, :], green, blue), -2)
    inv = torch.exp(-log_scale)
    plus, middle, minus = inv * (centred + 1 / 255), inv * centred, inv * (centred - 1 / 255)
    mass = torch.sigmoid(plus) - torch.sigmoid(minus)
    density = middle - log_scale - 2.0 * F.softplus(middle) - torch.log(torch.tensor(127.5))
    inside = torch.where(mass > 1e-5, mass.clamp(min=1e-12).log(), density)
    lowest, highest = plus - F.softplus(plus), -F.softplus(minus)
    log_mass = torch.where(x < -0.999, lowest, torch.where(x > 0.999, highest, inside))
    return (log_mass.sum(-2) + logits.log_softmax(-1)).logsumexp(-1).sum(-1)


def stable(theta: Tensor, levels: Tensor) -> Tensor:
    """ln(sig(a) - sig(b)) = ln(1 - e^-(a - b)) - softplus(-a) - softplus(b), left to autograd.

    Args:
        theta: [N, 100, S], as `MixtureForm` lays it out.
        levels: [N, 3, S].
    """
    logits, mu, log_scale, coef = FORM.split(theta)
    levels = levels[:, None, :, None]
    x, c = levels / 127.5 - 1.0, coef.tanh()
    red, green = x[:, :, 0], x[:, :, 1]
    moved = (mu[:, :, 1] + c[:, :, 0] * red, mu[:, :, 2] + c[:, :, 1] * red + c[:, :, 2] * green)
    centred, inv = x - torch.stack((mu[:, :, 0], *moved), 2), torch.exp(-log_scale.clamp(-7.0, 20.0))
    far = torch.tensor(1e6)
    a = inv * (centred + torch.where(levels == 255.0, far, 1 / 255))
    b = inv * (centred - torch.where(levels == 0.0, far, 1 / 255))
    log_mass = torch.log(-torch.expm1(b - a)) - F.softplus(-a) - F.softplus(b)
    return (log_mass.sum(2) + logits.log_softmax(2)).logsumexp(2).sum((1, 2))


def ours(theta: Tensor, levels: Tensor) -> Tensor:
    """Value and gradient in one sweep.

    Args:
        theta: [N, 100, S].
        levels: [N, 3, S].
    """
    return mixture_log_prob(theta, levels, FORM)


def _as_textbook(theta: Tensor) -> Tensor:
    """The same numbers in the layout of PixelCNN++."""
    logits, mu, log_scale, coef = (part.flatten(1, -3) if part.dim() == 5 else part for part in FORM.split(theta))
    channels = torch.cat((mu.view_as(log_scale), log_scale, coef), 2).flatten(1, 2)
    return torch.cat((logits.flatten(1, 2), channels), 1).transpose(1, 2).contiguous()


class _Way:
    """One way with parameters of its own.

    Args:
        log_prob: The way.
        theta: In its layout.
        levels: Of the images.
    """

    def __init__(self, log_prob: LogProb, theta: Tensor, levels: Tensor) -> None:
        self.log_prob, self.theta, self.levels = log_prob, theta.clone().requires_grad_(), levels

    def step(self) -> Tensor:
        """Forward and backward; returns the values."""
        self.theta.grad = None
        value = self.log_prob(self.theta, self.levels)
        value.sum().backward()
        return value.detach()

    def milliseconds(self) -> float:
        """CPU time of one step."""
        before = time.process_time()
        self.step()
        return 1e3 * (time.process_time() - before)


def _ways(batch: int) -> dict[str, _Way]:
    generator = torch.Generator().manual_seed(0)
    theta = torch.randn(batch, FORM.maps, PIXELS, generator=generator)
    FORM.split(theta).log_scale.sub_(3.0)
    levels = torch.randint(0, 256, (batch, 3, PIXELS), generator=generator).float()
    return {
        "textbook (PixelCNN++)": _Way(textbook, _as_textbook(theta), levels),
        "stable closed form, plain torch": _Way(stable, theta, levels),
        "ours": _Way(ours, theta, levels),
    }


def _differences(ways: dict[str, _Way]) -> list[str]:
    """How far the gradient of each is from ours, relative, in norm; fails where values or gradients disagree."""
    *others, own = ways.values()
    value, said = own.step(), list[str]()
    for way, gradient in zip(others, (_as_textbook(own.theta.grad), own.theta.grad), strict=True):
        torch.testing.assert_close(way.step(), value, rtol=1e-4, atol=0.0)
        difference = float((way.theta.grad - gradient).norm() / gradient.norm())
        assert difference < 0.05, difference
        said.append(f"{difference:.0e}")
    return [*said, ""]


def page(batch: int, rounds: int) -> str:
    """Return a Markdown table, one row a way.

    Args:
        batch: Images a step.
        rounds: Of all three in turn.
    """
    ways = _ways(batch)
    differences = _differences(ways)
    found = [[way.milliseconds() for way in ways.values()] for _ in range(rounds)]
    rows = [
        f"| {name} | {statistics.median(times):.0f} | {min(times):.0f} | "
        f"{statistics.median(time / row[-1] for time, row in zip(times, found, strict=True)):.1f} | {difference} |"
        for name, times, difference in zip(ways, zip(*found, strict=True), differences, strict=True)
    ]
    said = (
        f"{batch} images of 32x32x3, {FORM.components} components, green given red and blue given both, float32, one "
        f"thread; CPU milliseconds for forward and backward, {rounds} rounds of all three in turn; ratios within a "
        "round. Before the clock starts the three are held against each other: the values must agree to 1e-4, and the "
        "last column says how far the gradients are apart in norm; the textbook form takes the density for the mass of "
        "bins below 1e-5. That ours is exact is shown by tests/distributions/test_logistic_mixture.py."
    )
    head, line = "| way | median | lowest | times ours | gradient differs by |", "| :--- | ---: | ---: | ---: | ---: |"
    title = "# The discretised logistic mixture"
    return "\n".join([title, "", *facts_lines(facts()), "", said, "", head, line, *rows]) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path("results"))
    chosen = parser.parse_args()
    on_one_core()
    text = page(chosen.batch, chosen.rounds)
    write_atomic(chosen.out / "logistic-mixture.md", text)
    print(text)
