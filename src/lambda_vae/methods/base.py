"""A method: its settings, its paper, and the parts in which it differs from the plain VAE."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

from lambda_vae import equalization, objectives, posteriors, priors, training
from lambda_vae.checked import nearest
from lambda_vae.errors import InputError
from lambda_vae.methods.settings import Context, Setting, setting, written

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["METHODS", "PARTS", "Context", "Method", "composed", "require_pairs", "setting", "without"]

#: The parts in which methods may differ from the plain VAE; a hook of `Method` each.
PARTS = ("objective", "schedule", "equalizer", "sampling", "posterior", "prior", "decoder", "strategy")


@dataclass(frozen=True)
class Method:
    """A way to train a VAE; each is a frozen dataclass whose fields, all with defaults, are its settings.

    A hook that is not overridden, or returns None, leaves that part of the plain VAE as it is. Methods compose by "+",
    as objects or in text; see `composed`.

    Example:
        >>> @dataclass(frozen=True)
        ... class Doubled(Method):
        ...     name, title, paper = "doubled", "VAE with a weight on the KL", "nobody's"
        ...     weight: float = setting(2.0, "weight {}")
        ...     def objective(self, context):
        ...         from lambda_vae.objectives import BetaELBO
        ...         return BetaELBO(self.weight)
        >>> Doubled(weight=3.0).label, Doubled().own_parts()
        ('VAE with a weight on the KL weight 3', ('objective',))
    """

    #: On the command line and in records.
    name: ClassVar[str] = ""
    #: In tables and figures.
    title: ClassVar[str] = ""
    #: What it adds to another method's title; the title itself if empty.
    short: ClassVar[str] = ""
    #: Where it comes from.
    paper: ClassVar[str] = ""
    #: What a training step costs next to the plain VAE's, in words.
    cost: ClassVar[str] = "the same"
    #: Settings at which it is the plain VAE, step for step; or why there are none.
    neutral: ClassVar[Mapping[str, Any] | str] = "nothing is known of it"
    #: Methods (by name) or parts of methods that it does not fit together with, and why, with what to use instead.
    incompatible: ClassVar[tuple[tuple[tuple[str, ...], str], ...]] = ()

    def objective(self, context: Context) -> "objectives.Objective | None":
        """Return what is minimised; None is the ELBO."""
        return None

    def schedule(self, context: Context) -> "training.Schedule | None":
        """Return the KL weight over training; None is 1."""
        return None

    def equalizer(self, context: Context) -> "equalization.VarianceEqualizer | None":
        """Return what sets λ; None trains without λ."""
        return None

    def sampling(self, context: Context) -> "equalization.Sampling | None":
        """Return the sampling step; None is σ^λ."""
        return None

    def posterior(self, context: Context) -> "posteriors.Posterior | None":
        """Return q(z|x), for the encoder's output; None is a diagonal Gaussian."""
        return None

    def prior(self, context: Context) -> "priors.Prior | None":
        """Return p(z); None is N(0, I)."""
        return None

    def decoder(self, context: Context) -> "Callable[[Tensor], Tensor] | None":
        """Return what the decoder gets of z, as a function of it; None is z itself."""
        return None

    def strategy(self, context: Context) -> "training.Strategy | None":
        """Return how a batch becomes a step; None is one gradient step of the whole model."""
        return None

    def draws(self, asked: int) -> int:
        """Return the draws of z for each example in training.

        Args:
            asked: As the run has it.
        """
        return asked

    @property
    def parts(self) -> tuple["Method", ...]:
        """The methods that it is composed of; itself where it is one."""
        return (self,)

    def own_parts(self) -> tuple[str, ...]:
        """Return the names of the parts that are not the plain VAE's."""
        return tuple(part for part in PARTS if getattr(type(self), part) is not getattr(Method, part))

    def each_setting(self) -> Iterator[Setting]:
        """Yield its settings with their values, in their order."""
        for one in fields(self):
            record = one.metadata.get("record") or one.name
            words = one.metadata.get("words") or f"{record.replace('_', ' ')}={{}}"
            stem = one.metadata.get("stem") or record.replace("_", "")
            always = one.metadata.get("always", False)
            yield Setting(one.name, record, getattr(self, one.name), one.default, words, stem, always)

    @property
    def settings(self) -> tuple[str, ...]:
        """The names of its settings."""
        return tuple(one.name for one in self.each_setting())

    @property
    def values(self) -> dict[str, Any]:
        """Every setting by its name in records."""
        return {one.record: one.value for one in self.each_setting()}

    def uses(self, name: str) -> bool:
        """Return whether it has a setting.

        Args:
            name: The setting's, or its name in records.
        """
        return any(name in (one.name, one.record) for one in self.each_setting())

    def with_settings(self, **values: Any) -> "Method":  # noqa: ANN401 - any setting's value
        """Return the method with other values of some settings.

        Args:
            values: By name, or by name in records.

        Raises:
            InputError: It has no such setting.
        """
        if not values:
            return self
        names = {one.record: one.name for one in self.each_setting()} | {name: name for name in self.settings}
        for name in values:
            if name not in names:
                raise InputError(f"{self.name} {without(self, name)}")
        return replace(self, **{names[name]: value for name, value in values.items()})

    @property
    def shown(self) -> dict[str, Any]:
        """The settings that tell a run of this method from another, by their names in records."""
        return {one.record: one.value for one in self.each_setting() if one.shown}

    @property
    def label(self) -> str:
        """Its title in tables, with the settings that tell its runs apart."""
        return " ".join(
            [self.title, *(one.words.format(written(one.value)) for one in self.each_setting() if one.shown)]
        )

    @property
    def stem(self) -> str:
        """What names of its runs' folders begin with."""
        return "-".join([self.name, *(one.stem + written(one.value) for one in self.each_setting() if one.shown)])

    def __add__(self, other: "Method") -> "Method":
        return composed((*self.parts, *other.parts))


#: Every method by its name, with its default settings; `table` fills it.
METHODS: dict[str, Method] = {}


def composed(methods: Sequence[Method]) -> Method:
    """Return several methods as one.

    Args:
        methods: In any order; the same one twice counts once.

    Raises:
        InputError: Two of them do not fit together.

    Example:
        >>> from lambda_vae.methods import LambdaVAE, WarmUp
        >>> composed([WarmUp(epochs=50), LambdaVAE(delta=1.19)]).label
        'λ-VAE + warm-up δ=1.19 over 50 epochs'
    """
    # λ first, then by the table, so that one composition has one name.
    order = list(METHODS)

    def place(method: Method) -> tuple[bool, int]:
        return "equalizer" not in method.own_parts(), order.index(method.name) if method.name in order else len(order)

    parts = tuple(sorted(dict.fromkeys(methods), key=place))
    if len(parts) == 1:
        return parts[0]
    _require_fit(parts)
    return _Composed(parts)


def _require_fit(methods: Sequence[Method]) -> None:
    names = [method.name for method in methods]
    for method in methods:
        if names.count(method.name) > 1:
            raise InputError(f"{method.name} is there twice, with other settings; leave out one of them")
        for others, reason in method.incompatible:
            for other in methods:
                if other is not method and {other.name, *other.own_parts()} & {*others}:
                    raise InputError(f"{method.name} and {other.name} do not fit together: {reason}")
    owners: dict[str, Method] = {}
    for method in methods:
        for part in method.own_parts():
            if part in owners:
                raise InputError(
                    f"{owners[part].name} and {method.name} do not fit together: both set the {part}; use one of them"
                )
            owners[part] = method


@dataclass(frozen=True)
class _Composed(Method):
    """Several methods as one: each part comes from the method that sets it."""

    _parts: tuple[Method, ...] = ()

    def __post_init__(self) -> None:
        first, *rest = self._parts
        described = {
            "name": "+".join(method.name for method in self._parts),
            "title": " + ".join([first.title, *(method.short or method.title for method in rest)]),
            "paper": "; ".join(method.paper for method in self._parts),
            "cost": "; ".join(dict.fromkeys(method.cost for method in self._parts)),
        }
        for name, value in described.items():
            object.__setattr__(self, name, value)

    @property
    def parts(self) -> tuple[Method, ...]:
        return self._parts

    def own_parts(self) -> tuple[str, ...]:
        own = {part for method in self._parts for part in method.own_parts()}
        return tuple(part for part in PARTS if part in own)

    def each_setting(self) -> Iterator[Setting]:
        """A setting that several methods share appears once; where values differ, its method's name precedes it."""
        seen: dict[str, Any] = {}
        for method in self._parts:
            for one in method.each_setting():
                if one.record not in seen:
                    yield one
                elif seen[one.record] != one.value:
                    named = {"record": f"{method.name}.{one.record}", "words": f"{method.name} {one.words}"}
                    yield replace(one, **named, stem=f"{method.name}{one.stem}", always=True)
                seen.setdefault(one.record, one.value)

    def with_settings(self, **values: Any) -> Method:  # noqa: ANN401 - any setting's value
        for name in values:
            if not any(method.uses(name) for method in self._parts):
                raise InputError(f"{self.name} {without(self, name)}")
        own = [{name: values[name] for name in values if method.uses(name)} for method in self._parts]
        parts = tuple(method.with_settings(**given) for method, given in zip(self._parts, own, strict=True))
        return replace(self, _parts=parts)

    def _owner(self, part: str) -> Method:
        return next((method for method in self._parts if part in method.own_parts()), self._parts[0])

    def objective(self, context: Context) -> "objectives.Objective | None":
        return self._owner("objective").objective(context)

    def schedule(self, context: Context) -> "training.Schedule | None":
        return self._owner("schedule").schedule(context)

    def equalizer(self, context: Context) -> "equalization.VarianceEqualizer | None":
        return self._owner("equalizer").equalizer(context)

    def sampling(self, context: Context) -> "equalization.Sampling | None":
        return self._owner("sampling").sampling(context)

    def posterior(self, context: Context) -> "posteriors.Posterior | None":
        return self._owner("posterior").posterior(context)

    def prior(self, context: Context) -> "priors.Prior | None":
        return self._owner("prior").prior(context)

    def decoder(self, context: Context) -> "Callable[[Tensor], Tensor] | None":
        return self._owner("decoder").decoder(context)

    def strategy(self, context: Context) -> "training.Strategy | None":
        return self._owner("strategy").strategy(context)

    def draws(self, asked: int) -> int:
        return max(method.draws(asked) for method in self._parts)


def require_pairs(method: Method, context: Context) -> None:
    """Raise unless a batch has the pairs of examples that an MMD needs.

    Args:
        method: That has one.
        context: Of its run.

    Raises:
        InputError: Batches of one example.
    """
    if context.batch_size < 2:
        raise InputError(f"batch_size is {context.batch_size}; {method.name} compares examples, so use 2 or more")


def without(method: Method, name: str) -> str:
    """Return the end of a sentence about a setting that a method lacks.

    Args:
        method: Which.
        name: As typed.
    """
    known = method.settings
    has = f"its settings are {', '.join(known)}" if known else "it has none"
    return f"has no setting {name!r}{nearest(name, known)}; {has}"
