"""Encoder, decoder and likelihood of a run: which network, and how large."""

from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal

from torch import nn

from lambda_vae.distributions import LIKELIHOODS, CausalLikelihood, Likelihood, TokenLikelihood
from lambda_vae.errors import InputError
from lambda_vae.networks import MLP as Layers
from lambda_vae.networks import (
    ContextMaps,
    ImageShape,
    PixelCNNSizes,
    RecurrentContext,
    RecurrentDecoder,
    RecurrentEncoder,
    RecurrentSizes,
    ResNetDecoder,
    ResNetEncoder,
    ResNetSizes,
    TransformerContext,
    TransformerDecoder,
    TransformerEncoder,
    TransformerSizes,
    decode_pixels,
    mlp,
)
from lambda_vae.networks import PixelCNN as Pixels

__all__ = ["GRU", "LSTM", "MLP", "NETWORKS", "Network", "PixelCNN", "ResNet", "Transformer"]


@dataclass(frozen=True)
class Network:
    """Which encoder and decoder a run has; each is a frozen dataclass of its sizes."""

    #: On the command line and in files.
    name: ClassVar[str] = ""
    #: Whether it takes sequences of tokens, whose shape is (longest, V); else numbers.
    reads_tokens: ClassVar[bool] = False

    def encoder(self, shape: tuple[int, ...], latent_dim: int) -> tuple[nn.Module, int]:
        """Return an untrained encoder, x [B, F] -> h [B, H], and H.

        Args:
            shape: Of one example: (H, W), (H, W, 3), (F,), or of sequences (longest, size of the vocabulary).
            latent_dim: D.

        Raises:
            InputError: Sizes below 1, data that is no image under a network for images, or more latent dimensions
                than such an encoder ends in.
        """
        raise NotImplementedError

    def decoder(self, shape: tuple[int, ...], latent_dim: int, likelihood: str) -> tuple[nn.Module, Likelihood]:
        """Return an untrained decoder, and the likelihood that takes its output.

        Args:
            shape: Of one example.
            latent_dim: D.
            likelihood: A name in `LIKELIHOODS`.

        Raises:
            InputError: As `encoder`, or a likelihood that a pixelcnn cannot draw from.
        """
        raise NotImplementedError

    def rows_at_a_time(self, batch_size: int) -> int:
        """Return how many examples are measured at a time; few where the maps of a network take far more memory than x.

        Args:
            batch_size: Of training.
        """
        return min(500, batch_size)


@dataclass(frozen=True)
class MLP(Network):
    """Fully connected layers, encoder and decoder alike.

    Args:
        hidden: Widths of the hidden layers.
        activation: relu, tanh, silu or gelu.
    """

    name = "mlp"
    hidden: tuple[int, ...] = (300, 300, 300)
    activation: str = "relu"

    def encoder(self, shape: tuple[int, ...], latent_dim: int) -> tuple[nn.Module, int]:
        if latent_dim < 1 or not self.hidden:
            raise InputError(
                f"latent_dim is {latent_dim} and hidden is {list(self.hidden)}; both need at least one unit"
            )
        return mlp(prod(shape), self.hidden, activation=self.activation), self.hidden[-1]

    def decoder(self, shape: tuple[int, ...], latent_dim: int, likelihood: str) -> tuple[nn.Module, Likelihood]:
        features, p_x = prod(shape), LIKELIHOODS[likelihood](prod(shape))
        if not p_x.as_maps:
            return mlp(latent_dim, self.hidden, features, self.activation), p_x
        image = ImageShape.of(shape)
        grid = (p_x.maps(image.channels), image.height, image.width)
        layers = mlp(latent_dim, self.hidden, prod(grid), self.activation)
        return Layers(*layers, nn.Unflatten(1, grid)), p_x

    def rows_at_a_time(self, batch_size: int) -> int:
        return 500


@dataclass(frozen=True)
class ResNet(Network):
    """Residual blocks in stages, each of which halves the image; images alone.

    Args:
        encoder_width: Channels of the encoder at full resolution.
        encoder_blocks: Residual blocks a stage in the encoder.
        decoder_width: Channels of the decoder at full resolution.
        decoder_blocks: Residual blocks a stage in the decoder. A pixelcnn has none.
        multipliers: Of the widths, one a stage.
    """

    name = "resnet"
    encoder_width: int = 16
    encoder_blocks: int = 1
    decoder_width: int = 64
    decoder_blocks: int = 2
    multipliers: tuple[int, ...] = (1, 2, 4)

    def encoder(self, shape: tuple[int, ...], latent_dim: int) -> tuple[nn.Module, int]:
        if latent_dim < 1:
            raise InputError(f"latent_dim is {latent_dim}; it must be at least 1")
        sizes = ResNetSizes(self.encoder_width, self.encoder_blocks, self.multipliers)
        network = ResNetEncoder(ImageShape.of(shape), sizes)
        if latent_dim > network.out_features:
            raise InputError(
                f"latent_dim is {latent_dim} and the encoder ends in {network.out_features} numbers, so some of the "
                f"means would repeat others; use at most {network.out_features}, or a larger encoder_width"
            )
        return network, network.out_features

    def decoder(self, shape: tuple[int, ...], latent_dim: int, likelihood: str) -> tuple[nn.Module, Likelihood]:
        image, p_x = ImageShape.of(shape), LIKELIHOODS[likelihood](prod(shape))
        sizes = ResNetSizes(self.decoder_width, self.decoder_blocks, self.multipliers)
        return ResNetDecoder(latent_dim, image, sizes, p_x.maps(image.channels), rows=not p_x.as_maps), p_x


@dataclass(frozen=True)
class PixelCNN(ResNet):
    """ResNet's encoder with an autoregressive decoder.

    Args:
        pixelcnn_layers: Gated layers of the decoder.
    """

    name = "pixelcnn"
    pixelcnn_layers: int = 5

    def decoder(self, shape: tuple[int, ...], latent_dim: int, likelihood: str) -> tuple[nn.Module, Likelihood]:
        image, p_x = ImageShape.of(shape), LIKELIHOODS[likelihood](prod(shape))
        context = ContextMaps(latent_dim, image, self.decoder_width)
        sizes = PixelCNNSizes(self.decoder_width, self.pixelcnn_layers)
        network = Pixels(image, sizes, p_x.maps(image.channels), rows=not p_x.as_maps)
        return context, CausalLikelihood(prod(shape), network, p_x, decode_pixels)


#: Each token has a score for every word of the vocabulary while gradients are taken.
_SEQUENCES_AT_A_TIME = 100

#: Where a decoder of sequences is told of z; each network has some of these ways.
_Into = Literal["state", "inputs", "both", "attention"]


@dataclass(frozen=True)
class GRU(Network):
    """Gated recurrent units as encoder and autoregressive decoder; sequences alone.

    Args:
        embedding: Numbers that stand for a token.
        width: Of gru, lstm or transformer.
        layers: Of a gru or lstm.
        z_into: By state, inputs, both or (transformer) attention. A transformer has no state.
        word_dropout: Share of tokens hidden in training.
        both_directions: Encode from both ends.
    """

    name = "gru"
    reads_tokens = True
    embedding: int = 128
    width: int = 256
    layers: int = 1
    z_into: _Into | None = None
    word_dropout: float = 0.0
    both_directions: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "z_into", self.z_into or "both")

    def encoder(self, shape: tuple[int, ...], latent_dim: int) -> tuple[nn.Module, int]:
        if latent_dim < 1:
            raise InputError(f"latent_dim is {latent_dim}; it must be at least 1")
        network = RecurrentEncoder(self._cell, self._sizes(shape), both_directions=self.both_directions)
        return network, network.out_features

    def decoder(self, shape: tuple[int, ...], latent_dim: int, likelihood: str) -> tuple[nn.Module, Likelihood]:
        sizes = self._sizes(shape)
        context = RecurrentContext(latent_dim, self._cell, sizes, str(self.z_into))
        network = RecurrentDecoder(self._cell, sizes, latent_dim, str(self.z_into))
        return context, TokenLikelihood(shape[0], network, self.word_dropout)

    def rows_at_a_time(self, batch_size: int) -> int:
        return min(_SEQUENCES_AT_A_TIME, batch_size)

    @property
    def _cell(self) -> Literal["gru", "lstm"]:
        return "lstm" if self.name == "lstm" else "gru"

    def _sizes(self, shape: tuple[int, ...]) -> RecurrentSizes:
        return RecurrentSizes(shape[1], self.embedding, self.width, self.layers)


@dataclass(frozen=True)
class LSTM(GRU):
    """The same of long short-term memories."""

    name = "lstm"


@dataclass(frozen=True)
class Transformer(Network):
    """Transformers as encoder and autoregressive decoder; sequences alone.

    Args:
        width: Of every layer, and of a token's embedding.
        blocks: Of a transformer.
        heads: Of a transformer; their double divides width.
        z_into: By inputs or attention.
        word_dropout: Share of tokens hidden in training.
    """

    name = "transformer"
    reads_tokens = True
    width: int = 256
    blocks: int = 2
    heads: int = 4
    z_into: _Into | None = None
    word_dropout: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "z_into", self.z_into or "attention")

    def encoder(self, shape: tuple[int, ...], latent_dim: int) -> tuple[nn.Module, int]:
        if latent_dim < 1:
            raise InputError(f"latent_dim is {latent_dim}; it must be at least 1")
        network = TransformerEncoder(self._sizes(shape))
        return network, network.out_features

    def decoder(self, shape: tuple[int, ...], latent_dim: int, likelihood: str) -> tuple[nn.Module, Likelihood]:
        sizes = self._sizes(shape)
        context = TransformerContext(latent_dim, sizes, str(self.z_into))
        return context, TokenLikelihood(shape[0], TransformerDecoder(sizes, str(self.z_into)), self.word_dropout)

    def rows_at_a_time(self, batch_size: int) -> int:
        return min(_SEQUENCES_AT_A_TIME, batch_size)

    def _sizes(self, shape: tuple[int, ...]) -> TransformerSizes:
        return TransformerSizes(shape[1], self.width, self.blocks, self.heads)


#: Every network by its name on the command line.
NETWORKS: dict[str, type[Network]] = {one.name: one for one in (MLP, ResNet, PixelCNN, GRU, LSTM, Transformer)}
