"""The matrix products of one training step and nothing else: what no loop on the same route can beat.

Eight linear layers: eight products forward, eight for the gradients of the weights, seven for those of the inputs (the
data needs none).
"""

from itertools import pairwise

import torch

from contenders import FEATURES, HIDDEN, LATENT_DIM, Images, Pause

__all__ = ["run", "shapes"]


def shapes(batch_size: int) -> list[tuple[int, int, int]]:
    """Return (B, in, out) of each linear layer.

    Args:
        batch_size: B.
    """
    encoder, decoder = (FEATURES, *HIDDEN, 2 * LATENT_DIM), (LATENT_DIM, *HIDDEN, FEATURES)
    pairs = [*pairwise(encoder), *pairwise(decoder)]
    return [(batch_size, n, m) for n, m in pairs]


def run(images: Images, batch_size: int, pause: Pause, matmul: str = "highest", dtype: str = "float32") -> None:
    """Multiply; one pause for as many steps as an epoch has.

    Args:
        images: uint8 [N, 784]; only their number matters.
        batch_size: Examples a step.
        pause: Called between epochs.
        matmul: torch's route for float32 products.
        dtype: Of all matrices.
    """
    torch.set_float32_matmul_precision(matmul)
    generator = torch.Generator().manual_seed(0)
    kind: torch.dtype = getattr(torch, dtype)

    def matrix(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(kind)

    # Input, weights (as nn.Linear stores them), gradient of the output; results go to memory that is there already.
    layers = [(matrix(b, n), matrix(m, n), matrix(b, m)) for b, n, m in shapes(batch_size)]
    results = [(torch.empty_like(y), torch.empty_like(w), torch.empty_like(x)) for x, w, y in layers]
    while True:
        pause()
        for _ in range(len(images) // batch_size):
            for (x, w, _y), (out, _, _) in zip(layers, results, strict=True):
                torch.mm(x, w.t(), out=out)
            for index, ((x, w, gradient), (_, gradient_w, gradient_x)) in enumerate(zip(layers, results, strict=True)):
                torch.mm(gradient.t(), x, out=gradient_w)
                if index:
                    torch.mm(gradient, w, out=gradient_x)
