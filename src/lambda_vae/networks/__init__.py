"""Networks: tensors in, tensors out."""

from lambda_vae.networks.mlp import ACTIVATIONS, MLP, mlp

__all__ = ["ACTIVATIONS", "MLP", "mlp"]
