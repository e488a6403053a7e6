"""JMVAE of multivae on the digits' halves."""

from multimodal_digits import package

PACKAGE = package(
    "JMVAE",
    "normal of std 1 in each modality; KL weight 1 after a warm-up of 10 epochs, and 0.1 KL(q(z|both) | q(z|one))",
    {"KL warm-up": ({"warmup": 16},)},
)
