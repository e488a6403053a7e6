"""Networks: tensors in, tensors out."""

from lambda_vae.networks.cached_sampling import decode_pixels
from lambda_vae.networks.images import ImageShape, to_rows
from lambda_vae.networks.mlp import ACTIVATIONS, MLP, mlp
from lambda_vae.networks.pixelcnn import ContextMaps, PixelCNN, PixelCNNSizes
from lambda_vae.networks.recompute import Recomputing, allow_recomputing
from lambda_vae.networks.recurrent import RecurrentContext, RecurrentDecoder, RecurrentEncoder, RecurrentSizes
from lambda_vae.networks.resnet import DECODER, ENCODER, ResNetDecoder, ResNetEncoder, ResNetSizes
from lambda_vae.networks.transformer import (
    TransformerContext,
    TransformerDecoder,
    TransformerEncoder,
    TransformerSizes,
)

__all__ = [
    "ACTIVATIONS",
    "DECODER",
    "ENCODER",
    "MLP",
    "ContextMaps",
    "ImageShape",
    "PixelCNN",
    "PixelCNNSizes",
    "Recomputing",
    "RecurrentContext",
    "RecurrentDecoder",
    "RecurrentEncoder",
    "RecurrentSizes",
    "ResNetDecoder",
    "ResNetEncoder",
    "ResNetSizes",
    "TransformerContext",
    "TransformerDecoder",
    "TransformerEncoder",
    "TransformerSizes",
    "allow_recomputing",
    "decode_pixels",
    "mlp",
    "to_rows",
]
