r"""log p of tokens from hidden states: the product with the vocabulary, the softmax and their gradient in one array.

With s = W h + b the scores of a token and p = softmax(s), autograd keeps s and log p and makes the gradient of each
anew: four arrays of tokens times vocabulary, which for words is ten times all else of a step. Here s becomes p in
place, and p becomes the gradient,

.. math:: \partial_s \log p_t = \delta_t - p,

so that there is one.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lambda_vae.distributions.base import at_least_float32
from lambda_vae.distributions.large_array import empty_large

__all__ = ["token_log_prob"]

#: Numbers of scores that are made at once where no gradient is asked: a vocabulary of words times a batch of sentences
#: would not fit in any cache.
_AT_ONCE = 2**22

#: What autograd keeps between the two passes; its class is made anew for every Function.
_Context = Any


def token_log_prob(head: nn.Linear, hidden: Float[Tensor, "T H"], targets: Int64[Tensor, " T"]) -> Float[Tensor, " T"]:
    """Return the log probability of each token in nats, at least float32; differentiable once.

    Args:
        head: From hidden state to the scores of all tokens.
        hidden: The state before each token.
        targets: The tokens.

    Example:
        >>> head = nn.Linear(2, 4)
        >>> token_log_prob(head, torch.zeros(3, 2), torch.tensor([0, 1, 3])).shape
        torch.Size([3])
    """
    if torch.is_grad_enabled() and not torch.is_autocast_enabled(hidden.device.type):
        result: Tensor = _LogProb.apply(hidden, head.weight, head.bias, targets)  # type: ignore[no-untyped-call]
        return result
    step = len(targets) if torch.is_grad_enabled() else _AT_ONCE // head.out_features
    parts = zip(torch.split(hidden, max(1, step)), torch.split(targets, max(1, step)), strict=True)
    return torch.cat([-F.cross_entropy(at_least_float32(head(part)), own, reduction="none") for part, own in parts])


class _LogProb(torch.autograd.Function):
    """The probabilities are kept for the gradient, which a second backward pass makes anew."""

    @staticmethod
    def forward(ctx: _Context, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
        log_prob, p, total = _softmax(hidden, weight, bias, targets)
        ctx.save_for_backward(hidden, weight, bias, targets)
        ctx.kept = p, total
        return log_prob

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        hidden, weight, bias, targets = ctx.saved_tensors
        kept, ctx.kept = ctx.kept, None
        p, total = kept or _softmax(hidden, weight, bias, targets)[1:]
        gradient = p.mul_(-upstream[:, None] / total).scatter_add_(1, targets[:, None], upstream[:, None])
        wanted = ctx.needs_input_grad
        return (
            gradient @ weight if wanted[0] else None,
            gradient.mT @ hidden if wanted[1] else None,
            gradient.sum(0) if wanted[2] else None,
            None,
        )


def _softmax(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The log probability of each target, and the probabilities of all tokens but for the factor that comes third."""
    scores = torch.addmm(bias, hidden, weight.mT, out=empty_large((len(hidden), len(weight)), hidden))
    chosen, top = scores.gather(1, targets[:, None]), scores.amax(1, keepdim=True)
    p = scores.sub_(top).exp_()
    total = p.sum(1, keepdim=True)
    return (chosen - top - total.log()).squeeze(1), p, total
