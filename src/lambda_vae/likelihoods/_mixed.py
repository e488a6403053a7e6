"""Tables: some columns are numbers, some zeros and ones, some categories."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions.base import LikelihoodDistribution, Sampleable
from lambda_vae.errors import InputError
from lambda_vae.likelihoods.base import Decode, DecoderLikelihood

__all__ = ["Columns", "Mixed", "mixed"]

#: One column of x [B, F], a slice of them, or their places.
Columns = int | slice | Sequence[int]


class Mixed(DecoderLikelihood):
    """Log-likelihood of a table whose columns are of different families, independent given z.

    Args:
        parts: name -> (columns of x, their likelihood). Each likelihood is one of the helpers for these columns alone:
            one-hot columns take `categorical` whose decoder answers as many, a column of indices one whose decoder
            answers its classes.
        decode: z -> what each part's own decoder is given in the place of z, so that the network runs once: its output,
            a tensor, tuple or dict.

    Raises:
        InputError: No parts, a part that is no helper, or a column that two parts hold.

    Example:
        >>> from lambda_vae.likelihoods import categorical, gaussian
        >>> heads = torch.nn.Linear(2, 5)
        >>> log_likelihood = mixed(
        ...     {
        ...         "sizes": (slice(0, 2), gaussian(lambda out: out[:, :2], std=0.5)),
        ...         "colour": (2, categorical(lambda out: out[:, 2:], logits=True)),
        ...     },
        ...     decode=heads,
        ... )
        >>> log_likelihood(torch.tensor([[0.1, -0.2, 1.0]]), torch.zeros(1, 2)).shape
        torch.Size([1])
    """

    family = "mixed"
    mean_like_x = False

    def __init__(self, parts: Mapping[str, Any], *, decode: Decode | None = None) -> None:
        if not parts:
            raise InputError("mixed was given no parts; it takes {name: (columns, likelihood)}")
        for name, part in parts.items():
            if not isinstance(part, tuple) or len(part) != 2 or not isinstance(part[1], DecoderLikelihood):
                raise InputError(
                    f"part {name!r} of mixed is {_described(part)}; it is (columns, likelihood), the likelihood one of "
                    "`gaussian`, `bernoulli`, `categorical` and their kind"
                )
        # Whose signature tells what conditions are wanted besides z.
        super().__init__(decode or next(iter(parts.values()))[1].decode)
        self.trunk = decode
        self.columns = {name: part[0] for name, part in parts.items()}
        self.likelihoods = {name: part[1] for name, part in parts.items()}
        self.decodes = [part[1].decode for part in parts.values()]  # where a search for modules finds them

    def __call__(self, x: Tensor, z: Tensor, *conditions: object) -> Float[Tensor, " B"]:
        """Return log p(x|z) in nats, one value an example."""
        values = [part(own, *given) for part, own, given in self.parts(x, z, *conditions)]
        return torch.stack(values).sum(0)

    def parts(
        self, x: Tensor, z: Tensor, *conditions: object
    ) -> Iterator[tuple[DecoderLikelihood, Tensor, tuple[Tensor, ...]]]:
        """Yield each likelihood, its columns of x, and what its decoder is given."""
        given = (z, *conditions) if self.trunk is None else (self.trunk(z, *conditions),)
        for name, places in self.places(x).items():
            yield self.likelihoods[name], x[:, places], given  # type: ignore[misc]

    def places(self, x: Tensor) -> dict[str, list[int]]:
        """Return which columns of x each part holds.

        Raises:
            InputError: No table, no such column, or one that two parts hold.
        """
        if x.dim() != 2:
            raise InputError(f"x has shape {list(x.shape)}, and mixed takes a table [B, F]; say x.flatten(1)")
        found = {name: _places(name, columns, x.shape[1]) for name, columns in self.columns.items()}
        owner: dict[int, str] = {}
        for name, places in found.items():
            for place in places:
                if place in owner:
                    raise InputError(f"column {place} is in two parts of mixed, {owner[place]!r} and {name!r}")
                owner[place] = name
        return found

    def parameters(self, x: Tensor, z: Tensor, *conditions: object) -> Float[Tensor, "B P"]:
        """Return the parameters of all parts, side by side."""
        flat = [part.parameters(own, *given).flatten(1) for part, own, given in self.parts(x, z, *conditions)]
        return torch.cat(flat, 1)

    def observation(self, theta: Float[Tensor, "B P"]) -> LikelihoodDistribution:
        """Return nothing: which parameters are whose takes an x to tell; see `unpacked`."""
        raise NotImplementedError("mixed columns take an x: unpacked(x, z)(theta)")

    def unpacked(
        self, x: Tensor, z: Tensor, *conditions: object
    ) -> Callable[[Float[Tensor, "N P"]], LikelihoodDistribution]:
        """Return theta -> p(x|z) for parameters that were flattened to rows."""
        widths, laws = [], []
        for part, own, given in self.parts(x, z, *conditions):
            widths.append(part.parameters(own, *given).flatten(1).shape[1])
            laws.append(part.unpacked(own, *given))
        places, features = list(self.places(x).values()), x.shape[1]

        def observation(theta: Tensor) -> MixedDistribution:
            thetas = torch.split(theta, widths, 1)
            return MixedDistribution([law(one) for law, one in zip(laws, thetas, strict=True)], places, features)

        return observation

    def notes(self, x: Tensor) -> tuple[str, ...]:
        """Return those of the parts, and which columns no part holds."""
        found = self.places(x)
        notes = [note for name, places in found.items() for note in self.likelihoods[name].notes(x[:, places])]
        held = {place for places in found.values() for place in places}
        free = [str(place) for place in range(x.shape[1]) if place not in held]
        if free:
            notes.append(f"No part of mixed holds column {', '.join(free)} of x: log p(x|z) is that of the others.")
        return tuple(notes)


mixed = Mixed


@dataclass(frozen=True, eq=False)
class MixedDistribution:
    """p(x|z) of independent columns.

    Args:
        parts: Of each group of columns.
        places: Which these are.
        features: All columns of x.
    """

    parts: list[LikelihoodDistribution]
    places: list[list[int]]
    features: int

    @property
    def several_kinds(self) -> bool:
        """Whether some columns have another kind of noise than others."""
        return len({type(part) for part in self.parts}) > 1

    def log_prob(self, x: Tensor) -> Tensor:
        values = [part.log_prob(x[..., places]) for part, places in zip(self.parts, self.places, strict=True)]
        return torch.stack(values).sum(0)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Return a draw, [B, F]; columns that no part holds are 0."""
        drawn = [part.sample(generator) for part in self.parts if isinstance(part, Sampleable)]
        table = drawn[0].new_zeros(*drawn[0].shape[:-1], self.features)
        for one, places in zip(drawn, self.places, strict=True):
            table[..., places] = one.to(table.dtype)
        return table


def _places(name: str, columns: Columns, features: int) -> list[int]:
    if isinstance(columns, slice):
        places = list(range(*columns.indices(features)))
        reaches = columns.stop is None or columns.stop <= features
    else:
        given = [columns] if isinstance(columns, int) else [int(one) for one in columns]
        reaches = all(-features <= one < features for one in given)
        places = [one % features for one in given]
    if not places or not reaches:
        raise InputError(f"part {name!r} of mixed takes columns {columns} of x, which has {features}")
    return places


def _described(part: object) -> str:
    kinds = ", ".join(type(one).__name__ for one in part) if isinstance(part, tuple) else type(part).__name__
    return f"({kinds})" if isinstance(part, tuple) else f"a {kinds}"
