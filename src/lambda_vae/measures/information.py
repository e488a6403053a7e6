"""What the codes of a finished run tell about its data, measured over the whole test set."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from rich.table import Table
from torch import Tensor

from lambda_vae.distributions import DiagGaussian
from lambda_vae.errors import InputError
from lambda_vae.estimation._kl_split import BothSides, KLSplit, kl_split, mismatch_identity
from lambda_vae.estimation._mutual_information import MutualInformation
from lambda_vae.estimation.contrastive import contrastive_information
from lambda_vae.estimation.entropy import InformationGain, measured_information_gain
from lambda_vae.estimation.estimate import Estimate
from lambda_vae.runs.config import check_seed
from lambda_vae.runs.load import LoadedRun, load_run
from lambda_vae.runs.provenance import circumstances

__all__ = ["InformationReport", "information_tables", "measure_information"]

#: Examples that share a batch in InfoNCE, a usual size where it is trained with.
BATCH = 256


@dataclass(frozen=True)
class InformationReport:
    """The information measures of a run's test set; nats throughout.

    Args:
        run: Its title.
        data: Its data's name.
        examples: N.
        draws: Of each example.
        seed: Of the draws.
        split: Of the KL of the law that z is drawn from.
        contrastive: InfoNCE with the same law.
        identity: Eq. 8; None where the prior is not N(0, I) by construction.
        gain: What lambda adds; None where there is none.
    """

    run: str
    data: str
    examples: int
    draws: int
    seed: int
    split: KLSplit
    contrastive: MutualInformation
    identity: BothSides | None
    gain: InformationGain | None

    def to_record(self) -> dict[str, Any]:
        """Return plain data, every estimate with value, standard error and reason."""
        record = asdict(self)
        record["split"]["information"]["lower"]["saturated"] = self.split.information.lower.saturated
        record["split"]["information_at_most"] = asdict(self.split.information_at_most)
        record["split"]["information"]["gap"] = asdict(self.split.information.lower.gap)
        for row, one in zip(record["split"]["marginals"], self.split.marginals, strict=True):
            row["saturated"] = one.saturated
        return record

    def to_result(self, seconds: float) -> dict[str, Any]:
        """Return the record as a results page takes it: settings apart, and how it was made.

        Args:
            seconds: That measuring took.
        """
        settings = {name: getattr(self, name) for name in ("data", "examples", "draws", "seed")}
        return {**self.to_record(), "settings": settings, "provenance": {**circumstances(), "seconds": seconds}}


@torch.no_grad()
def measure_information(path: Path, *, examples: int | None = None, draws: int = 1, seed: int = 0) -> InformationReport:
    """Return the information measures of a finished run.

    Where the posterior is no diagonal Gaussian every value is NaN with that reason.

    Args:
        path: Its folder.
        examples: The first so many of the test set; all if not given.
        draws: Of each example.
        seed: Of the draws.

    Raises:
        InputError: No finished run, fewer examples than asked for, or no draws.
    """
    check_seed(seed)
    if draws < 1:
        raise InputError(f"draws is {draws}; ask for at least 1")
    run = load_run(path)
    available = len(run.dataset.test)
    count = available if examples is None else examples
    if not 2 <= count <= available:
        raise InputError(f"examples is {count}; it must be 2 to {available}, what the run is measured on")
    mu, logvar, sampled, reason = _codes(run, count)
    what = (run.title, run.dataset.name, count, draws, seed)
    generator = torch.Generator().manual_seed(seed)
    if reason:
        nothing = MutualInformation.unknown(reason)
        return InformationReport(*what, KLSplit.unknown(reason, *mu.shape), nothing, None, None)
    p_z = run.vae.p_z()
    standard = isinstance(p_z, DiagGaussian) and not bool(p_z.mu.any()) and not bool(p_z.logvar.any())
    batch = min(BATCH, count)
    return InformationReport(
        *what,
        split=kl_split(mu, sampled, generator, prior=p_z, draws=draws),
        contrastive=contrastive_information(mu, sampled, generator, batch_size=batch, draws=draws),
        identity=mismatch_identity(mu, sampled, generator, draws=draws) if standard else None,
        gain=None
        if torch.equal(logvar, sampled)
        else measured_information_gain(mu, logvar, sampled, generator, draws=draws),
    )


def _codes(run: LoadedRun, count: int) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N D"], Float[Tensor, "N D"], str]:
    """Return mu, logvar of q_1 and of the law really sampled, and why they do not describe it."""
    found, seen = [], 0
    for x in run.measured:
        q = run.vae.encode(x[: count - seen])
        law = run.vae.sampled(q)
        if not isinstance(q, DiagGaussian) or not isinstance(law, DiagGaussian):
            reason = f"the posterior is a {type(law).__name__}; these estimates need a diagonal Gaussian"
            nothing = torch.full((count, run.vae.latent_dim), torch.nan)
            return nothing, nothing, nothing, reason
        found.append((q.mu, q.logvar, law.logvar))
        seen += len(q.mu)
        if seen >= count:
            break
    mu, logvar, sampled = (torch.cat(parts) for parts in zip(*found, strict=True))
    return mu, logvar, sampled, ""


def information_tables(report: InformationReport) -> tuple[Table, Table]:
    """Return the split and the dimensions for the terminal.

    Args:
        report: From `measure_information`.
    """
    draws = f"{report.draws} draw{'s' if report.draws > 1 else ''} of each of {report.examples} examples"
    whole = Table(title="What the KL is made of, and what z tells about x", caption=f"nats; {draws}")
    for heading, side in (("", "left"), ("value", "right"), ("±", "right"), ("note", "left")):
        whole.add_column(heading, justify=side)  # type: ignore[arg-type]
    for name, one, note in _rows(report):
        whole.add_row(name, _number(one.value), _number(one.stderr), note or one.reason)
    each = Table(title="Dimension by dimension", caption="the KL of a dimension is the sum of the two")
    for heading in ("dimension", "I(X;Z_i)", "±", "KL(q(z_i)‖p)", "±", ""):
        each.add_column(heading, justify="right")
    for i, (one, kl) in enumerate(zip(report.split.marginals, report.split.dimension_kl, strict=True)):
        numbers = map(_number, (one.value, one.stderr, kl.value, kl.stderr))
        each.add_row(str(i), *numbers, "saturated" if one.saturated else "")
    return whole, each


def _rows(report: InformationReport) -> Iterator[tuple[str, Estimate | MutualInformation, str]]:
    split, nce = report.split, report.contrastive
    information = split.information.lower
    yield "KL(q(z|x)‖p), mean over x", split.rate, f"in closed form {_number(split.rate_closed)}"
    yield "= I(X;Z)", information, _capped(information, "ln N")
    yield "+ total correlation", split.total_correlation, "an upper bound" if information.saturated else ""
    yield "+ KL(q(z_i)‖p), summed", split.dimension_wise_kl, ""
    yield "marginal mismatch KL(q(z)‖p)", split.mismatch, "an upper bound" if information.saturated else ""
    yield "I(X;Z) at most", split.information.upper, "own posterior left out"
    yield "", split.marginal_sum, "if no two dimensions said the same"
    yield "", split.gaussian, "if q(z) were Gaussian"
    yield "I(X;Z), InfoNCE", nce, _capped(nce, f"ln {min(BATCH, report.examples)}")
    yield "information gap ln N − I(X;Z)", information.gap, "Eq. 5"
    if report.identity is not None:
        yield "Eq. 8, left less right", report.identity.difference, "0 within its error"
    if report.gain is not None:
        yield from _gain_rows(report.gain)


def _gain_rows(gain: InformationGain) -> Iterator[tuple[str, Estimate, str]]:
    yield "H[Z]", gain.entropy.lower, f"at most {_number(gain.entropy.at_most.value)}"
    yield "H[Z_λ]", gain.entropy_sampled.lower, f"at most {_number(gain.entropy_sampled.at_most.value)}"
    yield (
        "H[Z_λ] − H[Z]",
        gain.entropy_change,
        f"at most {_number(gain.entropy_change_at_most.value)}; Eq. 12 assumes 0",
    )
    yield "I(X;Z_λ) − I(X;Z), Eq. 12", gain.predicted, "under that assumption"
    yield "I(X;Z_λ) − I(X;Z)", gain.gain, f"at most {_number(gain.gain_at_most.value)}"


def _capped(one: MutualInformation, cap: str) -> str:
    if one.reason:
        return one.reason
    said = f"{cap} is {one.cap:.2f}"
    return f"saturated, a lower bound: {said}" if one.saturated else f"its cap {said}"


def _number(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}" if value == value else "–"  # + 0.0: no minus before a zero
