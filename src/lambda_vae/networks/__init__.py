"""Networks: tensors in, tensors out."""

from lambda_vae.networks.mlp import ACTIVATIONS, mlp

__all__ = ["ACTIVATIONS", "mlp"]
