"""GRU and LSTM: encoder and decoder of sequences.

Batches are padded on the right, and nothing here is masked: the states up to the end of a sequence do not depend on
what follows, and those behind it are not looked at. In batches of like lengths that is faster than packing.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lambda_vae.distributions.tokens import TokenNetwork
from lambda_vae.errors import InputError
from lambda_vae.text.sequences import sequence_lengths

__all__ = ["Cell", "RecurrentContext", "RecurrentDecoder", "RecurrentEncoder", "RecurrentSizes", "State"]

Cell = Literal["gru", "lstm"]

#: Hidden states [layers, N, H], and of an LSTM the cells too; with z where every step reads it, [N, D].
State = tuple[tuple[Tensor, ...], Tensor]


@dataclass(frozen=True)
class RecurrentSizes:
    """How large a recurrent network is.

    Args:
        vocabulary: V, with padding, end and unknown.
        embedding: Numbers that stand for a token.
        width: H, of the state of each layer.
        layers: On top of each other.

    Raises:
        InputError: A number below 1, or a vocabulary without any token of its own.
    """

    vocabulary: int
    embedding: int = 128
    width: int = 256
    layers: int = 1

    def __post_init__(self) -> None:
        for name, least in (("vocabulary", 3), ("embedding", 1), ("width", 1), ("layers", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least {least}")


class _Layers(nn.Module):
    """torch's layers, batch first, without noise and so always in training mode: cuDNN gives no gradient otherwise."""

    def __init__(self, cell: Cell, features: int, sizes: RecurrentSizes) -> None:
        super().__init__()
        made = nn.GRU if cell == "gru" else nn.LSTM
        self.layers = made(features, sizes.width, sizes.layers, batch_first=True)

    def train(self, mode: bool = True) -> "_Layers":
        """Change nothing."""
        return self

    def forward(
        self, inputs: Float[Tensor, "N L E"], state: tuple[Tensor, ...] | None = None
    ) -> tuple[Float[Tensor, "N L H"], tuple[Tensor, ...]]:
        """Return the last layer's states at every step, and all layers' at the end."""
        if isinstance(self.layers, nn.LSTM):
            out, (hidden, cells) = self.layers(inputs, state)
            return out, (hidden, cells)
        out, hidden = self.layers(inputs, None if state is None else state[0])
        return out, (hidden,)


class RecurrentEncoder(nn.Module):
    """x [B, L] -> the last layer's state at the end of each sequence, [B, H].

    Args:
        cell: gru or lstm.
        sizes: How large.
        both_directions: Whether a second network reads each sequence from its end; h is [B, 2H] then.

    Example:
        >>> encoder = RecurrentEncoder("gru", RecurrentSizes(9, 4, 5))
        >>> encoder(torch.tensor([[4, 3, 1], [1, 0, 0]])).shape
        torch.Size([2, 5])
    """

    def __init__(self, cell: Cell, sizes: RecurrentSizes, *, both_directions: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(sizes.vocabulary, sizes.embedding)
        self.forwards = _Layers(cell, sizes.embedding, sizes)
        self.backwards = _Layers(cell, sizes.embedding, sizes) if both_directions else None
        self.out_features = sizes.width * (2 if both_directions else 1)

    def forward(self, x: Int64[Tensor, "B L"]) -> Float[Tensor, "B H"]:
        """Return what the posterior is made of."""
        last = (sequence_lengths(x) - 1).clamp(min=0)
        states = [_at(self.forwards(self.embedding(x))[0], last)]
        if self.backwards is not None:
            mirrored = (last[:, None] - torch.arange(x.shape[1], device=x.device)).clamp(min=0)
            states.append(_at(self.backwards(self.embedding(x.gather(1, mirrored)))[0], last))
        return torch.cat(states, -1)


def _at(states: Float[Tensor, "B L H"], place: Int64[Tensor, " B"]) -> Float[Tensor, "B H"]:
    return states[torch.arange(len(states), device=states.device), place]


class RecurrentContext(nn.Module):
    """z [N, D] -> what the decoder is told of it, [N, C]: its first state, z itself for every step, or both.

    Args:
        latent_dim: D.
        cell: gru or lstm.
        sizes: Of the decoder.
        z_into: state, inputs or both.

    Raises:
        InputError: Another way.

    Source:
        He et al. 2019, arXiv:1901.05534: an LSTM whose cell begins at a linear map of z and its state at the tanh of
        that, and whose inputs are token and z. A GRU, which has no cell, begins at the tanh.
    """

    def __init__(self, latent_dim: int, cell: Cell, sizes: RecurrentSizes, z_into: str) -> None:
        super().__init__()
        if z_into not in ("state", "inputs", "both"):
            raise InputError(f"z_into is {z_into!r}; a {cell} takes z into its first state, its inputs, or both")
        self.as_input = z_into != "state"
        self.state = nn.Linear(latent_dim, sizes.layers * sizes.width) if z_into != "inputs" else None

    def forward(self, z: Float[Tensor, "N D"]) -> Float[Tensor, "N C"]:
        """Return the context of latent points: the state first."""
        parts = [] if self.state is None else [self.state(z)]
        if self.as_input:
            parts.append(z)
        return torch.cat([part.to(z.dtype) for part in parts], -1)


class RecurrentDecoder(TokenNetwork):
    """Tokens and context -> the hidden state after each token.

    Args:
        cell: gru or lstm.
        sizes: How large.
        latent_dim: D.
        z_into: As for `RecurrentContext`, which makes the context.
    """

    def __init__(self, cell: Cell, sizes: RecurrentSizes, latent_dim: int, z_into: str) -> None:
        super().__init__(sizes.vocabulary, sizes.width)
        self.cell, self.sizes = cell, sizes
        self.at_start = 0 if z_into == "inputs" else sizes.layers * sizes.width
        self.embedding = nn.Embedding(sizes.vocabulary + 1, sizes.embedding)
        self.recurrent = _Layers(cell, sizes.embedding + (0 if z_into == "state" else latent_dim), sizes)

    def forward(self, tokens: Int64[Tensor, "N L"], context: Float[Tensor, "N C"]) -> Float[Tensor, "N L H"]:
        """Return the hidden states."""
        state, z = self.begin(context)
        embedded = self.embedding(tokens)
        every = z[:, None].expand(-1, tokens.shape[1], -1).to(embedded.dtype)
        hidden: Tensor = self.recurrent(torch.cat((embedded, every), -1), state)[0]
        return hidden

    def begin(self, context: Float[Tensor, "N C"]) -> State:
        """Return the state before the first token."""
        told, z = context[:, : self.at_start], context[:, self.at_start :]
        if not self.at_start:
            told = context.new_zeros(len(context), self.sizes.layers * self.sizes.width)
        cells = told.view(len(context), self.sizes.layers, -1).transpose(0, 1).contiguous()
        return ((torch.tanh(cells),) if self.cell == "gru" else (torch.tanh(cells), cells)), z

    def advance(self, tokens: Int64[Tensor, " N"], state: State) -> tuple[Float[Tensor, "N H"], State]:
        """Return the hidden state after one more token, and the state to go on from."""
        recurrent, z = state
        hidden, recurrent = self.recurrent(torch.cat((self.embedding(tokens), z), -1)[:, None], recurrent)
        return hidden[:, 0], (recurrent, z)
