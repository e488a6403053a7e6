"""The multilayer perceptron of the paper's binary experiments."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from lambda_vae.errors import InputError

__all__ = ["ACTIVATIONS", "MLP", "mlp"]

#: Every activation by its name on the command line.
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU, "gelu": nn.GELU}


class MLP(nn.Sequential):
    """Layers in a row.

    The loop of `nn.Sequential` lies in torch, where `compile()` does not look; this one a user compiles as a whole.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return what the last layer gives, [..., out_features], of x [..., features]."""
        for layer in self:
            x = layer(x)
        return x


def mlp(features: int, hidden: Sequence[int], out_features: int | None = None, activation: str = "relu") -> MLP:
    """Return a multilayer perceptron, [..., features] -> [..., out_features].

    Args:
        features: Length of the input.
        hidden: Widths of the hidden layers, each followed by the activation.
        out_features: Width of a last linear layer without activation; None leaves it out.
        activation: A name in `ACTIVATIONS`.

    Raises:
        InputError: Unknown activation, or a width below 1.

    Source:
        The paper, 6.1: three layers of 300. Deviation: it names no activation; ReLU comes nearest to its figures.

    Example:
        >>> len(mlp(784, (300, 300, 300)))
        6
    """
    if activation not in ACTIVATIONS:
        raise InputError(f"unknown activation {activation!r}; use one of {', '.join(ACTIVATIONS)}")
    widths = [features, *hidden]
    if min(*widths, 1 if out_features is None else out_features) < 1:
        raise InputError(f"layer widths are {widths} -> {out_features}; they must all be at least 1")
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), ACTIVATIONS[activation]()]
    if out_features is not None:
        layers.append(nn.Linear(widths[-1], out_features))
    return MLP(*layers)
