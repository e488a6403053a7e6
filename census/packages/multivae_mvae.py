"""MVAE of multivae on the digits' halves."""

from multimodal_digits import package

PACKAGE = package(
    "MVAE",
    "normal of std 1 in each modality; KL weight 1 after a warm-up of 10 epochs, in the ELBOs of both and of each",
    {"KL warm-up": ({"warmup": 16},)},
)
