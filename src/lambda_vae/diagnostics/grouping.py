"""Dimensions of which the same is said, gathered: one sentence a group, its numbers as ranges."""

import math
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from lambda_vae.diagnostics.dimension import Label, Verdict

__all__ = ["Group", "grouped", "kind_groups", "listed", "sentence_groups", "spanned", "word_of"]

#: A number as explanations write it; "nan" and "inf" stand in the place of one.
_NUMBER = re.compile(r"(?<![\w.])-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|nan|inf)(?![\w])")
#: Ranges of dimensions that are written out before the rest is only counted.
_MOST_RANGES = 10


@dataclass(frozen=True)
class Group:
    """Dimensions that share a verdict and a cause.

    Args:
        members: Their numbers, in order.
        findings: Their verdicts.
        text: One sentence for all of them, a number that differs among them given as a range.
    """

    members: tuple[int, ...]
    findings: tuple[Verdict, ...]
    text: str

    @property
    def name(self) -> str:
        """Such as "dimensions 0, 3, 5–9"."""
        return f"dimension{'s' if len(self.members) > 1 else ''} {listed(self.members)}"

    @property
    def kind(self) -> str:
        """The verdict, and of a collapse its cause, as people read it."""
        first = self.findings[0]
        return word_of(first.label) if first.cause is None else f"{word_of(first.label)}, {first.cause}"


def word_of(label: Label) -> str:
    """Return a verdict in the field's word."""
    return "under-dispersed" if label is Label.UNDER_DISPERSED else str(label)


def sentence_groups(findings: Sequence[Verdict], most: int = 24) -> list[Group]:
    """Return all dimensions in groups of which the same sentence is true but for its numbers, those in use first.

    Beyond `most` groups, all that share verdict and cause are one, with the sentence of most members.

    Example:
        >>> found = [Verdict(Label.ACTIVE, None, f"S = {s}.") for s in (0.5, 0.75, 0.9)]
        >>> group, = sentence_groups(found)
        >>> group.name, group.text
        ('dimensions 0–2', 'S = 0.5 to 0.9.')
    """
    groups = grouped(findings, lambda finding: (finding.label, finding.cause, _NUMBER.sub("#", finding.explanation)))
    return groups if len(groups) <= most else kind_groups(findings)


def kind_groups(findings: Sequence[Verdict]) -> list[Group]:
    """Return all dimensions in groups of one verdict and cause."""
    return grouped(findings, lambda finding: (finding.label, finding.cause))


def grouped(findings: Sequence[Verdict], key: Callable[[Verdict], Hashable]) -> list[Group]:
    """Return the dimensions gathered by a key, by verdict and then by size."""
    members: dict[Hashable, list[int]] = {}
    for i, finding in enumerate(findings):
        members.setdefault(key(finding), []).append(i)
    groups = [
        Group(tuple(own), tuple(findings[i] for i in own), _common([findings[i].explanation for i in own]))
        for own in members.values()
    ]
    order = [Label.ACTIVE, Label.UNDER_DISPERSED, Label.COLLAPSED]
    places = {label: place for place, label in enumerate([*order, *(label for label in Label if label not in order)])}
    return sorted(groups, key=lambda group: (places[group.findings[0].label], -len(group.members), group.members))


def _common(texts: Sequence[str]) -> str:
    """The sentence of most of them, with the ranges of its numbers, and how many it is not exact for."""
    forms: dict[str, list[str]] = {}
    for text in texts:
        forms.setdefault(_NUMBER.sub("#", text), []).append(text)
    most = max(forms.values(), key=len)
    others = f" (of {len(most)} of them; the others alike)" if len(most) < len(texts) else ""
    return f"{spanned(most)}{others}"


def spanned(texts: Sequence[str]) -> str:
    """Return one sentence for several that differ in their numbers only: "S = 0.2 to 0.7"."""
    if len(set(texts)) == 1:
        return texts[0]
    columns = iter(zip(*(_NUMBER.findall(text) for text in texts), strict=True))

    def span(_: re.Match[str]) -> str:
        written: list[str] = sorted(set(next(columns)), key=lambda number: (math.isnan(float(number)), float(number)))
        if len({float(number) for number in written}) == 1:  # a nought is one, whatever sign rounding left it
            return written[-1].lstrip("-") if float(written[-1]) == 0.0 else written[-1]
        if float(written[0]) == 0.0:
            written[0] = written[0].lstrip("-")
        return written[0] if len(written) == 1 else f"{written[0]} to {written[-1]}"

    return _NUMBER.sub(span, texts[0])


def listed(numbers: Iterable[int], most: int = _MOST_RANGES) -> str:
    """Return numbers with runs of neighbours drawn together.

    Example:
        >>> listed([0, 3, 5, 6, 7, 8, 9])
        '0, 3, 5–9'
        >>> listed(range(0, 40, 2), most=3)
        '0, 2, 4 and 17 more'
    """
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1].append(number)
        else:
            ranges.append([number])
    left = sum(map(len, ranges[most:]))
    text = ", ".join(_range(own) for own in ranges[:most])
    return f"{text} and {left} more" if left else text


def _range(own: Sequence[int]) -> str:
    return str(own[0]) if len(own) == 1 else f"{own[0]}–{own[-1]}" if len(own) > 2 else f"{own[0]}, {own[1]}"
