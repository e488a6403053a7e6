"""Transformers: encoder and autoregressive decoder of sequences."""

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from lambda_vae.distributions.tokens import TokenNetwork
from lambda_vae.errors import InputError
from lambda_vae.text import PADDING
from lambda_vae.text.sequences import sequence_lengths

__all__ = ["TransformerContext", "TransformerDecoder", "TransformerEncoder", "TransformerSizes", "TransformerState"]

#: What z is made into for cross-attention, in vectors: of a single one there would be nothing to choose.
_SLOTS = 4

#: Hidden numbers of a block's two layers, as a multiple of its width.
_WIDER = 4

#: Keys and values, [N, heads, L, width / heads].
_Memory = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class TransformerSizes:
    """How large a transformer is.

    Args:
        vocabulary: V, with padding, end and unknown.
        width: Of a token's embedding and of every layer.
        blocks: Of attention and two layers.
        heads: Of each attention; twice as many divide the width.

    Raises:
        InputError: A number below 1, a vocabulary without any token of its own, or heads that do not fit the width.
    """

    vocabulary: int
    width: int = 256
    blocks: int = 2
    heads: int = 4

    def __post_init__(self) -> None:
        for name, least in (("vocabulary", 3), ("width", 1), ("blocks", 1), ("heads", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        if self.width % (2 * self.heads):
            raise InputError(f"width is {self.width}; it must be a multiple of twice the heads, {2 * self.heads}")


class _Attention(nn.Module):
    """Attention of some places to others, or to what z is made into."""

    def __init__(self, sizes: TransformerSizes) -> None:
        super().__init__()
        self.heads = sizes.heads
        self.query, self.out = (nn.Linear(sizes.width, sizes.width) for _ in range(2))
        self.key_value = nn.Linear(sizes.width, 2 * sizes.width)

    def memory(self, source: Float[Tensor, "N L C"]) -> _Memory:
        keys, values = self.key_value(source).chunk(2, -1)
        return self._split(keys), self._split(values)

    def forward(
        self,
        x: Float[Tensor, "N L C"],
        memory: _Memory,
        mask: Bool[Tensor, "N 1 1 M"] | None = None,
        *,
        causal: bool = False,
    ) -> Float[Tensor, "N L C"]:
        seen = F.scaled_dot_product_attention(self._split(self.query(x)), *memory, attn_mask=mask, is_causal=causal)
        told: Tensor = self.out(seen.transpose(1, 2).flatten(2))
        return told

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class _Block(nn.Module):
    """Attention and two layers, each added to what came before, of which it sees the normalised form."""

    def __init__(self, sizes: TransformerSizes, *, across: bool = False) -> None:
        super().__init__()
        width = sizes.width
        self.before, self.attention = nn.LayerNorm(width), _Attention(sizes)
        self.before_across = nn.LayerNorm(width) if across else None
        self.across = _Attention(sizes) if across else None
        self.deep = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, _WIDER * width), nn.GELU(), nn.Linear(_WIDER * width, width)
        )

    def forward(
        self, x: Tensor, past: _Memory | None, told: _Memory | None, mask: Tensor | None = None, *, causal: bool = False
    ) -> tuple[Tensor, _Memory]:
        """Return what follows, and the keys and values of all places so far."""
        normed = self.before(x)
        memory = self.attention.memory(normed)
        if past is not None:
            memory = (torch.cat((past[0], memory[0]), 2), torch.cat((past[1], memory[1]), 2))
        x = x + self.attention(normed, memory, mask, causal=causal)
        if self.across is not None and self.before_across is not None:
            assert told is not None
            x = x + self.across(self.before_across(x), told)
        return x + self.deep(x), memory


def _positions(first: int, count: int, like: Float[Tensor, "*any C"]) -> Float[Tensor, "count C"]:
    """Sines and cosines of the places from `first` on, for sequences of any length."""
    half = like.shape[-1] // 2
    rate = torch.exp(torch.arange(half, device=like.device) * (-math.log(10_000.0) / half))
    angle = torch.arange(first, first + count, device=like.device)[:, None] * rate
    return torch.cat((angle.sin(), angle.cos()), -1).to(like.dtype)


class _Embedded(nn.Module):
    """Tokens with their places."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)

    def forward(self, tokens: Int64[Tensor, "N L"], first: int = 0) -> Float[Tensor, "N L C"]:
        embedded = self.embedding(tokens) * math.sqrt(self.embedding.embedding_dim)
        return cast(Tensor, embedded + _positions(first, tokens.shape[1], embedded))


class TransformerEncoder(nn.Module):
    """x [B, L] -> the mean over the places of each sequence, [B, H]; every place sees all others, and no padding.

    Args:
        sizes: How large.

    Source:
        Vaswani et al. 2017, arXiv:1706.03762. Deviations: norms come first (Xiong et al. 2020, arXiv:2002.04745), GELU.

    Example:
        >>> encoder = TransformerEncoder(TransformerSizes(9, 8, 2, 2))
        >>> encoder(torch.tensor([[4, 3, 1], [1, 0, 0]])).shape
        torch.Size([2, 8])
    """

    def __init__(self, sizes: TransformerSizes) -> None:
        super().__init__()
        self.embedded = _Embedded(sizes.vocabulary, sizes.width)
        self.blocks = nn.ModuleList(_Block(sizes) for _ in range(sizes.blocks))
        self.norm = nn.LayerNorm(sizes.width)
        self.out_features = sizes.width

    def forward(self, x: Int64[Tensor, "B L"]) -> Float[Tensor, "B H"]:
        """Return what the posterior is made of."""
        real, states = x != PADDING, self.embedded(x)
        for block in self.blocks:
            states, _ = block(states, None, None, real[:, None, None])
        told = self.norm(states) * real[..., None]
        return cast(Tensor, told.sum(1) / sequence_lengths(x)[:, None])


class TransformerContext(nn.Module):
    """z [N, D] -> what the decoder is told of it, [N, C]: a vector for its inputs, or some for its cross-attention.

    Args:
        latent_dim: D.
        sizes: Of the decoder.
        z_into: inputs or attention.

    Raises:
        InputError: Another way.
    """

    def __init__(self, latent_dim: int, sizes: TransformerSizes, z_into: str) -> None:
        super().__init__()
        if z_into not in ("inputs", "attention"):
            raise InputError(f"z_into is {z_into!r}; a transformer takes z into its inputs, or by attention")
        self.linear = nn.Linear(latent_dim, sizes.width * (_SLOTS if z_into == "attention" else 1))

    def forward(self, z: Float[Tensor, "N D"]) -> Float[Tensor, "N C"]:
        """Return the context of latent points."""
        told: Tensor = self.linear(z)
        return told


@dataclass(frozen=True, eq=False)
class TransformerState:
    """What a decoder goes on from.

    Args:
        count: Tokens so far.
        context: From z.
        told: Keys and values of z in each block, where it attends to z.
        past: Keys and values of the tokens so far in each block.
    """

    count: int
    context: Tensor
    told: tuple[_Memory | None, ...]
    past: tuple[_Memory | None, ...]


class TransformerDecoder(TokenNetwork):
    """Tokens and context -> the hidden state after each token, which sees no later one.

    Args:
        sizes: How large.
        z_into: As for `TransformerContext`, which makes the context.

    Source:
        As `TransformerEncoder`; that z joins every input or is attended to: Li et al. 2020, arXiv:2004.04092 (Optimus).
        Deviation: what is attended to is a layer's vectors of z, not one vector a block.
    """

    def __init__(self, sizes: TransformerSizes, z_into: str) -> None:
        super().__init__(sizes.vocabulary, sizes.width)
        self.attends = z_into == "attention"
        self.embedded = _Embedded(sizes.vocabulary + 1, sizes.width)
        self.blocks = nn.ModuleList(_Block(sizes, across=self.attends) for _ in range(sizes.blocks))
        self.norm = nn.LayerNorm(sizes.width)

    def forward(self, tokens: Int64[Tensor, "N L"], context: Float[Tensor, "N C"]) -> Float[Tensor, "N L H"]:
        """Return the hidden states."""
        return self._through(tokens, self.begin(context))[0]

    def begin(self, context: Float[Tensor, "N C"]) -> TransformerState:
        """Return the state before the first token."""
        none = (None,) * len(self.blocks)
        if not self.attends:
            return TransformerState(0, context, none, none)
        slots = context.view(len(context), _SLOTS, -1)
        told = tuple(cast(_Attention, block.across).memory(slots) for block in self.blocks)
        return TransformerState(0, context, told, none)

    def advance(
        self, tokens: Int64[Tensor, " N"], state: TransformerState
    ) -> tuple[Float[Tensor, "N H"], TransformerState]:
        """Return the hidden state after one more token, and the state to go on from."""
        hidden, state = self._through(tokens[:, None], state)
        return hidden[:, 0], state

    def _through(self, tokens: Int64[Tensor, "N L"], state: TransformerState) -> tuple[Tensor, TransformerState]:
        x, past = self.embedded(tokens, state.count), list[_Memory]()
        if not self.attends:
            x = x + state.context[:, None]
        for block, told, before in zip(self.blocks, state.told, state.past, strict=True):
            x, memory = block(x, before, told, causal=before is None)
            past.append(memory)
        count = state.count + tokens.shape[1]
        return self.norm(x), TransformerState(count, state.context, state.told, tuple(past))
