"""The multilayer perceptron of the paper's binary experiments."""

from collections.abc import Sequence

from torch import nn

from lambda_vae.errors import InputError

__all__ = ["ACTIVATIONS", "mlp"]

#: Every activation by its name on the command line.
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU, "gelu": nn.GELU}


def mlp(
    features: int, hidden: Sequence[int], out_features: int | None = None, activation: str = "relu"
) -> nn.Sequential:
    """Return a multilayer perceptron, [..., features] -> [..., out_features].

    Args:
        features: Length of the input.
        hidden: Widths of the hidden layers, each followed by the activation.
        out_features: Width of a last linear layer without activation; None leaves it out.
        activation: A name in `ACTIVATIONS`.

    Raises:
        InputError: Unknown activation, or a width below 1.

    Source:
        The paper, 6.1: three layers of 300. Deviation: it names no activation; ReLU reproduces its figures best (NOTES: tanh diverged).

    Example:
        >>> len(mlp(784, (300, 300, 300)))
        6
    """
    if activation not in ACTIVATIONS:
        raise InputError(f"unknown activation {activation!r}; use one of {', '.join(ACTIVATIONS)}")
    widths = [features, *hidden]
    if min(*widths, out_features or 1) < 1:
        raise InputError(f"layer widths {widths} must all be at least 1")
    layers: list[nn.Module] = []
    for before, after in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(before, after), ACTIVATIONS[activation]()]
    if out_features is not None:
        layers.append(nn.Linear(widths[-1], out_features))
    return nn.Sequential(*layers)
