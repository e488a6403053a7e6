"""p(x|z) of sequences of tokens, each given those before it: the likelihood of an autoregressive decoder of strings."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from lambda_vae.distributions.base import at_least_float32
from lambda_vae.distributions.causal import Ancestral, Progress
from lambda_vae.distributions.likelihood import Likelihood
from lambda_vae.distributions.token_scores import token_log_prob
from lambda_vae.errors import InputError
from lambda_vae.text import END, PADDING, UNKNOWN

__all__ = ["CATEGORICAL", "TokenLikelihood", "TokenNetwork", "Tokens"]

#: The name of the one likelihood that sequences have.
CATEGORICAL = "categorical"


class TokenNetwork(nn.Module):
    """What a likelihood of tokens asks of its network.

    Args:
        vocabulary: V, with padding, end and unknown.
        width: H, of the hidden state.

    Attributes:
        head: From hidden state to the scores of the tokens 1 .. V - 1; padding is never drawn.
        start: The token before every sequence, which no data hold.
    """

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.start = vocabulary
        self.head = nn.Linear(width, vocabulary - 1)

    @abstractmethod
    def forward(self, tokens: Int64[Tensor, "N L"], context: Float[Tensor, "N C"]) -> Float[Tensor, "N L H"]:
        """Return the hidden state after each token, all in one pass (teacher forcing).

        Args:
            tokens: Those read, the start first.
            context: From z.
        """

    @abstractmethod
    def begin(self, context: Float[Tensor, "N C"]) -> Any:  # noqa: ANN401 - the network's own
        """Return the state before the first token.

        Args:
            context: From z.
        """

    @abstractmethod
    def advance(self, tokens: Int64[Tensor, " N"], state: Any) -> tuple[Float[Tensor, "N H"], Any]:  # noqa: ANN401
        """Return the hidden state after one more token, and the state to go on from.

        Args:
            tokens: The last ones.
            state: From `begin`, or from here.
        """


@dataclass(frozen=True, eq=False)
class Tokens(Ancestral):
    """p(x|z) = prod_t p(x_t | x_<t, z), a product of categoricals up to the end of each sequence and with it.

    `log_prob(x)` reads x itself (teacher forcing): one pass of the network for all positions.

    Args:
        context: What the network is told of z, [..., C].
        likelihood: With the network.
        autocast: Whether the network runs in bfloat16; the scores become probabilities in float32 all the same.
        dropped: Which tokens the network reads as unknown, [B, L]; none if left out. They are scored like the others.
    """

    context: Float[Tensor, "*batch C"]
    likelihood: "TokenLikelihood"
    autocast: bool = False
    dropped: Bool[Tensor, "B L"] | None = None

    def without(self, dropped: Bool[Tensor, "B L"]) -> "Tokens":
        """Return the same p(x|z), some tokens of x hidden from the network: word dropout.

        Args:
            dropped: Which.

        Source:
            Bowman et al. 2016, arXiv:1511.06349, 3.2.
        """
        return replace(self, dropped=dropped)

    def log_prob(self, x: Int64[Tensor, "*#point L"]) -> Float[Tensor, "*batch"]:
        """Return log p(x|z) in nats, summed over the tokens; x [B, L] is broadcast against the batch of z."""
        return self.by_token(x).sum(-1)

    def by_token(self, x: Int64[Tensor, "*#point L"]) -> Float[Tensor, "*batch L"]:
        """Return log p(x_t | x_<t, z) in nats, 0 where x is padding.

        Args:
            x: Tokens, padded on the right; broadcast against the batch of z.
        """
        batch, network = self.context.shape[:-1], self.likelihood.network
        start = x.new_full((*x.shape[:-1], 1), network.start)
        seen = x if self.dropped is None else x.masked_fill(self.dropped, UNKNOWN)
        read = torch.cat((start, seen[..., :-1]), -1)
        rows, read = (one.expand(*batch, x.shape[-1]).reshape(-1, x.shape[-1]) for one in (x, read))
        real = rows != PADDING
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.autocast):
            hidden = network(read, self.context.reshape(-1, self.context.shape[-1]))
            log_p = token_log_prob(network.head, hidden[real], rows[real] - 1)
        return log_p.new_zeros(rows.shape).masked_scatter(real, log_p).view(*batch, -1)

    def greedy(self, progress: Progress | None = None, longest: int | None = None) -> Int64[Tensor, "*batch L"]:
        """Return sequences whose every token is the likeliest one given those before it; not the likeliest sequences.

        Args:
            progress: Called after each token.
            longest: Tokens after which a sequence is cut, without an end; the longest of the data if left out.
        """
        return self._decode(lambda scores: scores.argmax(-1), progress, longest)

    def sample(
        self,
        generator: torch.Generator | None = None,
        progress: Progress | None = None,
        *,
        temperature: float = 1.0,
        longest: int | None = None,
    ) -> Int64[Tensor, "*batch L"]:
        """Return draws, token by token (ancestral sampling).

        Args:
            generator: Of the random numbers; None is torch's global one.
            progress: Called after each token.
            temperature: What the scores are divided by; 1 draws from the model, less draws likelier tokens.
            longest: As for `greedy`.

        Raises:
            InputError: A temperature that is not positive.
        """
        if not 0.0 < temperature < float("inf"):
            raise InputError(f"temperature is {temperature}; it must be a positive number")

        def pick(scores: Tensor) -> Tensor:
            p = torch.softmax(scores / temperature, -1)
            source = p if generator is None else p.to(generator.device)
            return torch.multinomial(source, 1, generator=generator).squeeze(-1).to(p.device)

        return self._decode(pick, progress, longest)

    @torch.no_grad()
    def _decode(self, pick: Callable[[Tensor], Tensor], progress: Progress | None, longest: int | None) -> Tensor:
        network, most = self.likelihood.network, self.likelihood.features if longest is None else longest
        if most < 1:
            raise InputError(f"longest is {longest}; a sequence has at least one token, its end")
        context = at_least_float32(self.context.reshape(-1, self.context.shape[-1]))
        state, made = network.begin(context), list[Tensor]()
        token = torch.full((len(context),), network.start, device=context.device)
        going = torch.ones_like(token, dtype=torch.bool)
        while len(made) < most and bool(going.any()):
            hidden, state = network.advance(token, state)
            token = (pick(at_least_float32(network.head(hidden))) + 1).masked_fill(~going, PADDING)
            going = going & (token != END)
            made.append(token)
            if progress is not None:
                progress(len(made), most)
        return torch.stack(made, -1).view(*self.context.shape[:-1], -1)


class TokenLikelihood(Likelihood):
    """p(x|z) of a decoder of sequences: theta is the context, what the network is told of z.

    Args:
        features: Length of the longest sequence of the data, its end counted.
        network: Of the tokens' distributions.
        word_dropout: Share of the tokens that the network does not see in training; which ones comes with each batch.

    Raises:
        InputError: A share outside of [0, 1].

    Source:
        Bowman et al. 2016, arXiv:1511.06349.
    """

    reads_tokens = True

    def __init__(self, features: int, network: TokenNetwork, word_dropout: float = 0.0) -> None:
        super().__init__(features)
        if not 0.0 <= word_dropout <= 1.0:
            raise InputError(f"word_dropout is {word_dropout}; it is the share of unseen tokens, from 0 to 1")
        self.network, self.word_dropout = network, word_dropout

    def forward(self, theta: Float[Tensor, "*batch C"]) -> Tokens:
        """Return p(x|z); its passes run in the precision of this one."""
        return Tokens(theta, self, torch.is_autocast_enabled(theta.device.type))
