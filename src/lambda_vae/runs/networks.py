"""From a config to encoder, decoder and likelihood: which network, and how large."""

from dataclasses import dataclass
from math import prod

from torch import nn

from lambda_vae.distributions import LIKELIHOODS, CausalLikelihood, Likelihood
from lambda_vae.errors import InputError
from lambda_vae.networks import (
    MLP,
    ContextMaps,
    ImageShape,
    PixelCNN,
    PixelCNNSizes,
    ResNetDecoder,
    ResNetEncoder,
    ResNetSizes,
    decode_pixels,
    mlp,
)
from lambda_vae.runs.config import RunConfig

__all__ = ["Encoder", "build_decoder", "build_encoder"]


@dataclass(frozen=True)
class Encoder:
    """An encoder and how long what it gives is.

    Args:
        network: x [B, F] -> h [B, H].
        out_features: H.
    """

    network: nn.Module
    out_features: int


def build_encoder(config: RunConfig, shape: tuple[int, ...]) -> Encoder:
    """Return an untrained encoder.

    Args:
        config: The run.
        shape: Of one example, as the data set gives it.

    Raises:
        InputError: Sizes below 1, data that is no image under a network for images, or more latent dimensions than
            such an encoder ends in.
    """
    if config.latent_dim < 1 or (config.network == "mlp" and not config.hidden):
        raise InputError(
            f"latent_dim is {config.latent_dim} and hidden is {list(config.hidden)}; both need at least one unit"
        )
    if config.network == "mlp":
        return Encoder(mlp(prod(shape), config.hidden, activation=config.activation), config.hidden[-1])
    sizes = ResNetSizes(config.encoder_width, config.encoder_blocks, config.multipliers)
    network = ResNetEncoder(ImageShape.of(shape), sizes)
    if config.latent_dim > network.out_features:
        raise InputError(
            f"latent_dim is {config.latent_dim} and the encoder ends in {network.out_features} numbers, so some of the "
            f"means would repeat others; use at most {network.out_features}, or a larger encoder_width"
        )
    return Encoder(network, network.out_features)


def build_decoder(config: RunConfig, shape: tuple[int, ...], likelihood: str) -> tuple[nn.Module, Likelihood]:
    """Return an untrained decoder, and the likelihood that takes up what it gives.

    Args:
        config: The run.
        shape: Of one example.
        likelihood: A name in `LIKELIHOODS`.

    Raises:
        InputError: As `build_encoder`, or a likelihood that a pixelcnn cannot draw from.
    """
    features, p_x = prod(shape), LIKELIHOODS[likelihood](prod(shape))
    if config.network == "mlp" and not p_x.as_maps:
        return mlp(config.latent_dim, config.hidden, features, config.activation), p_x
    image, rows = ImageShape.of(shape), not p_x.as_maps
    maps = p_x.maps(image.channels)
    if config.network == "mlp":
        grid = (maps, image.height, image.width)
        return MLP(*mlp(config.latent_dim, config.hidden, prod(grid), config.activation), nn.Unflatten(1, grid)), p_x
    if config.network == "resnet":
        sizes = ResNetSizes(config.decoder_width, config.decoder_blocks, config.multipliers)
        return ResNetDecoder(config.latent_dim, image, sizes, maps, rows=rows), p_x
    context = ContextMaps(config.latent_dim, image, config.decoder_width)
    network = PixelCNN(image, PixelCNNSizes(config.decoder_width, config.pixelcnn_layers), maps, rows=rows)
    return context, CausalLikelihood(features, network, p_x, decode_pixels)
