"""Independent categories, of indices or of one-hot rows."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions.base import at_least_float32

__all__ = ["Categorical"]


@dataclass(frozen=True, eq=False)
class Categorical:
    """Independent categories given by their logits.

    Args:
        logits: Of the K classes of G categories, [..., G, K].
        one_hot: The shape of one-hot x without the batch; None where x are indices.
        dim: The axis of the classes there.
    """

    logits: Float[Tensor, "*batch G K"]
    one_hot: tuple[int, ...] | None = None
    dim: int = -1

    def log_prob(self, x: Tensor) -> Tensor:
        """Return ln P(x) in nats, summed over the categories; x are indices [..., G], or one-hot rows."""
        log_p = torch.log_softmax(at_least_float32(self.logits), -1)
        if self.one_hot is None:
            return log_p.gather(-1, x.long().unsqueeze(-1)).squeeze(-1).sum(-1)
        axis = self.dim % (len(self.one_hot) + 1) - 1
        classes_last = x.reshape(*x.shape[:-1], *self.one_hot).movedim(axis - len(self.one_hot), -1)
        return (classes_last.reshape(log_p.shape) * log_p).sum((-2, -1))

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Return a draw in x's form, as rows of floats."""
        p = torch.softmax(at_least_float32(self.logits), -1)
        source = p if generator is None else p.to(generator.device)
        index = torch.multinomial(source.flatten(0, -2), 1, generator=generator).to(p.device).reshape(p.shape[:-1])
        if self.one_hot is None:
            return index.to(p.dtype)
        axis = self.dim % (len(self.one_hot) + 1) - 1
        rest = self.one_hot[:axis] + self.one_hot[axis + 1 :]
        hot = torch.nn.functional.one_hot(index, p.shape[-1]).to(p.dtype)
        hot = hot.reshape(*p.shape[:-2], *rest, p.shape[-1]).movedim(-1, axis - len(self.one_hot))
        return hot.flatten(-len(self.one_hot))
