"""The multilayer perceptron."""

import pytest
import torch
from torch import nn

from lambda_vae.errors import InputError
from lambda_vae.networks import ACTIVATIONS, mlp


def test_layers_are_those_asked_for() -> None:
    network = mlp(7, (5, 4), 3, "tanh")
    assert [type(layer) for layer in network] == [nn.Linear, nn.Tanh, nn.Linear, nn.Tanh, nn.Linear]
    assert [tuple(layer.weight.shape) for layer in network if isinstance(layer, nn.Linear)] == [(5, 7), (4, 5), (3, 4)]


def test_without_a_last_layer_it_ends_in_the_activation() -> None:
    assert [type(layer) for layer in mlp(7, (5,))] == [nn.Linear, nn.ReLU]
    assert [type(layer) for layer in mlp(7, (), 2)] == [nn.Linear]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_shapes_and_gradients(activation: str) -> None:
    network = mlp(7, (16,), 3, activation)
    x = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
    y = network(x)
    assert y.shape == (2, 5, 3)
    y.square().sum().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert (parameter.grad != 0).any()


def test_paper_s_network() -> None:
    widths = [layer.out_features for layer in mlp(784, (300, 300, 300)) if isinstance(layer, nn.Linear)]
    assert widths == [300, 300, 300]


def test_bad_values_are_refused() -> None:
    with pytest.raises(InputError, match="unknown activation 'swish'; use one of relu, tanh"):
        mlp(4, (3,), activation="swish")
    for features, hidden, out in ((0, (3,), 2), (4, (3, 0), 2), (4, (-1,), 2), (4, (3,), 0)):
        with pytest.raises(InputError, match="they must all be at least 1"):
            mlp(features, hidden, out)
