"""What is computed again instead of kept gives the same numbers, and takes less memory."""

import pytest
import torch
from flat_runs import run_of

from lambda_vae.data import Dataset, Split
from lambda_vae.networks import ImageShape, PixelCNN, PixelCNNSizes, ResNetDecoder, ResNetSizes, allow_recomputing
from lambda_vae.runs import Run
from lambda_vae.runs._train import make_trainer

SHAPE = ImageShape(3, 8, 8)


def resnet():
    decoder = ResNetDecoder(4, SHAPE, ResNetSizes(4, 2), 3, rows=True)
    return decoder, (torch.randn(2, 4, generator=torch.Generator().manual_seed(1)),)


def pixelcnn():
    generator = torch.Generator().manual_seed(1)
    inputs = torch.rand(2, SHAPE.features, generator=generator), torch.randn(2, 6, 2, 2, generator=generator)
    return PixelCNN(SHAPE, PixelCNNSizes(6, 3), 3, rows=True), inputs


def passed(network, inputs):
    """The output, the gradients, and how many numbers autograd kept."""
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = network(*(tensor.requires_grad_() for tensor in inputs))
    count = sum(kept.values())
    y.square().sum().backward()
    gradients = [*(weight.grad for weight in network.parameters()), *(tensor.grad for tensor in inputs)]
    network.zero_grad()
    for tensor in inputs:
        tensor.grad = None
    return y, gradients, count


@pytest.mark.parametrize("make", [resnet, pixelcnn])
def test_gradients_are_the_same_bit_for_bit_and_less_is_kept(make):
    network, inputs = make()
    y, gradients, kept = passed(network, inputs)
    allow_recomputing(network, True)
    again, same, fewer = passed(network, inputs)
    assert torch.equal(again, y)
    assert all(torch.equal(a, b) for a, b in zip(same, gradients, strict=True))
    assert fewer < 0.7 * kept
    with torch.no_grad():
        assert torch.equal(network(*inputs), y)


def images():
    generator = torch.Generator().manual_seed(3)
    x = torch.randint(0, 256, (24, SHAPE.features), generator=generator, dtype=torch.uint8).numpy()
    return Dataset("toy", "image", (8, 8, 3), Split(x[:20], None), Split(x[20:], None), "0", "toy", None)


def weights_of(network, **settings):
    config = run_of(
        method="lambda-vae", delta=1.001, network=network, likelihood="logistic-mixture", latent_dim=4, epochs=2,
        batch_size=10, encoder_width=4, decoder_width=8, decoder_blocks=1, pixelcnn_layers=2, trackers=(), **settings,
    )  # fmt: skip
    run = make_trainer(Run.resolve(config, images()))
    run.fit()
    return {name: value.clone() for name, value in run.vae.state_dict().items()}


@pytest.mark.parametrize("network", ["resnet", "pixelcnn"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_that_recomputes_is_the_run_that_keeps(network, precision):
    kept, again = (weights_of(network, precision=precision, recompute=choice) for choice in (False, True))
    assert all(torch.equal(kept[name], again[name]) for name in kept)
    assert all(value.isfinite().all() for value in kept.values())


@pytest.mark.parametrize("network", ["resnet", "pixelcnn"])
def test_bfloat16_stays_near_float32_on_networks_for_images(network):
    full, half = (weights_of(network, precision=precision, learning_rate=1e-3) for precision in ("float32", "bfloat16"))
    assert not all(torch.equal(full[name], half[name]) for name in full)
    # Four steps of Adam move a weight by at most 4e-3, whatever the rounding.
    assert all((full[name] - half[name]).abs().max() < 9e-3 for name in full)
