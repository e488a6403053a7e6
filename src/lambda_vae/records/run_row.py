"""One run's numbers, typed: metrics.json without its dimensions, and what a comparison's table adds to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_type_hints

from lambda_vae.checked import fits, kind
from lambda_vae.deprecated import old_name
from lambda_vae.equalization import NEAR_PRIOR_STD
from lambda_vae.errors import InputError

__all__ = ["RunRow", "damaged"]


def damaged(source: Path, what: str) -> InputError:
    """Return the error for a damaged record."""
    return InputError(f"{source} is damaged: {what}; measure the run again or remove the file")


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """The scalars of one run; None where something was not measured.

    Likelihoods, rates and capacities are in nats per example; a lower negative log-likelihood is better.

    Args:
        run: Name of the run's folder.
        method: Name of its method, such as "lambda-vae".
        label: The method with its settings, as people read it; runs that differ only in their seed share it.
        status: "done", "failed", or "waiting" for a run of an unfinished comparison that has left nothing yet.
        failure: Why it failed.
        schema: Version of the record.
        delta: δ of λ-VAE; None for methods without it.
        beta: Weight of the KL.
        release_epochs: Epochs at the end over which λ goes back to 1.
        settings: Other settings of the method that are shown.
        seed: Of the run's random numbers.
        epochs: Passes over the training data.
        latent_dim: Latent dimensions, D.
        measured_on: "test" or "validation".
        examples: Examples measured on, where that is recorded.
        seconds: Wall-clock time of the training.
        ms_per_step: Milliseconds of a training step.
        step_cost: Time of a step in steps of the plain VAE.
        inner_steps: Steps of the encoder alone for each step of the whole model.
        nll_bound: Upper bound on -log p(x): reconstruction + rate.
        nll_bound_stderr: Its standard error over examples.
        nll_bound_train: The bound on training data.
        surrogate_nll: What λ-VAE trains on and its paper calls "NLL"; no bound.
        excess_kl: nll_bound - surrogate_nll.
        reconstruction: Expected -log p(x|z).
        rate: KL from the prior of the distribution that z is sampled from.
        rate_q: KL from the prior of q(z|x) itself.
        nll_iw: Importance-weighted estimate of -log p(x).
        nll_iw_stderr: Its standard error over examples.
        nll_iw_samples: Importance samples an example.
        nll_iw_proposal: The proposal they are drawn from: "q" or "q_sampled".
        nll_iw_ess: Effective samples an example.
        nll_iw_by_proposal: value, stderr and ess for each proposal.
        nll_bound_bpd: nll_bound in bits per dimension.
        nll_iw_bpd: nll_iw in bits per dimension.
        surrogate_bpd: surrogate_nll in bits per dimension.
        tokens: Tokens of a sequence on average, its end counted.
        nll_bound_token_bits: nll_bound in bits per token.
        nll_iw_token_bits: nll_iw in bits per token.
        nll_bound_perplexity: Perplexity per token by nll_bound.
        nll_iw_perplexity: Perplexity per token by nll_iw.
        active_units: Dimensions whose mean has a variance above 0.01 over examples.
        near_prior: Dimensions whose σ averages above 0.9.
        active_directions: Directions of the code that carry something, whatever its axes are.
        snr_capacity: What the noisy dimensions can carry, each by itself.
        snr_capacity_joint: The same of all together.
        snr_capacity_predicted: What δ implies for snr_capacity; None where λ is 1.
        decoder_capacity: RMS gradient of the decoder, summed over dimensions.
        mean_std: σ, mean over examples and dimensions.
        mean_exponent: λ, mean over dimensions.
        linear_probe_accuracy: Of a linear classifier on μ, 0 to 1.
        knn_accuracy: Of a nearest-neighbour classifier on μ, 0 to 1.
        residual_directions: Directions that the used dimensions leave in the data.
        verdict: The outcome in a sentence or two.
        verdict_counts: Dimensions by verdict.
        cause_counts: Collapsed dimensions by cause.
        explanations: A sentence for each dimension.
        caveats: What a reader must know of how this was measured.
        path: The run's folder, below that of its comparison.
        title: The method without its length, within a block.
        block: The part of a table that it belongs to.
        recipe: The row of a reproduced table.
        paper: The line of the paper's tables that it is compared with; None for none, absent where the settings decide.
        elsewhere: Figures published elsewhere: data, quantity, value and source.
        note: What the reader must know of the recipe.
        cpu: The processor that it ran on, where runs of several were put together.
        other: What the record has under names that are none of these.
        order: Every name of the record, in its order.
    """

    run: str
    method: str
    label: str
    status: str
    failure: str | None = None
    schema: int | None = None
    delta: float | None = None
    beta: float | None = None
    release_epochs: int | None = None
    settings: Mapping[str, Any] | None = None
    seed: int | None = None
    epochs: int | None = None
    latent_dim: int | None = None
    measured_on: str | None = None
    examples: int | None = None
    seconds: float | None = None
    ms_per_step: float | None = None
    step_cost: float | None = None
    inner_steps: float | None = None
    nll_bound: float | None = None
    nll_bound_stderr: float | None = None
    nll_bound_train: float | None = None
    surrogate_nll: float | None = None
    excess_kl: float | None = None
    reconstruction: float | None = None
    rate: float | None = None
    rate_q: float | None = None
    nll_iw: float | None = None
    nll_iw_stderr: float | None = None
    nll_iw_samples: int | None = None
    nll_iw_proposal: str | None = None
    nll_iw_ess: float | None = None
    nll_iw_by_proposal: Mapping[str, Any] | None = None
    nll_bound_bpd: float | None = None
    nll_iw_bpd: float | None = None
    surrogate_bpd: float | None = None
    tokens: float | None = None
    nll_bound_token_bits: float | None = None
    nll_iw_token_bits: float | None = None
    nll_bound_perplexity: float | None = None
    nll_iw_perplexity: float | None = None
    active_units: float | None = None
    near_prior: float | None = None
    active_directions: float | None = None
    snr_capacity: float | None = None
    snr_capacity_joint: float | None = None
    snr_capacity_predicted: float | None = None
    decoder_capacity: float | None = None
    mean_std: float | None = None
    mean_exponent: float | None = None
    linear_probe_accuracy: float | None = None
    knn_accuracy: float | None = None
    residual_directions: int | None = None
    verdict: str | None = None
    verdict_counts: Mapping[str, Any] | None = None
    cause_counts: Mapping[str, Any] | None = None
    explanations: list[str] | None = None
    caveats: list[str] | None = None
    path: str | None = None
    title: str | None = None
    block: str | None = None
    recipe: str | None = None
    paper: str | None = None
    elsewhere: list[Mapping[str, Any]] | None = None
    note: str | None = None
    cpu: str | None = None
    other: Mapping[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()

    @classmethod
    def from_record(cls, values: object, source: Path) -> "RunRow":
        """Return the row that a line of table.json, or metrics.json, describes.

        Args:
            values: From outside; names that are not known are kept in `other`.
            source: The file, for the message.

        Raises:
            InputError: A name is missing, or a value is of another kind than its field.
        """
        if not isinstance(values, Mapping):
            raise damaged(source, "a run must be an object with named values")
        values = {key: value for key, value in values.items() if key != "dimensions"}
        for name, hint in _HINTS.items():
            if not fits(value := values.get(name), hint):
                raise damaged(source, f"{name!r} must be {kind(hint)}, not {value!r}")
        known = {name: value for name, value in values.items() if name in _HINTS}
        other = {name: value for name, value in values.items() if name not in _HINTS}
        return cls(**known, other=other, order=tuple(values))

    def as_measured_today(self, dimensions: Mapping[str, Any] | None) -> "RunRow":
        """Return the row of an older record with what is counted today.

        Dimensions near the prior are counted where the record does not. The capacity that it predicts where lambda is
        1, so that delta implies nothing, is None.

        Args:
            dimensions: Of the same metrics.json, by name.
        """
        std = (dimensions or {}).get("std_mean") or ()
        row = self if self.mean_exponent != 1.0 else self.updated(snr_capacity_predicted=None)
        if "near_prior" in self.order or not std or None in std:
            return row
        return row.updated(near_prior=sum(value > NEAR_PRIOR_STD for value in std))

    def to_record(self) -> dict[str, Any]:
        """Return the record that the row was read from, name by name; what was set since follows at its end."""
        fields = {name: value for name in _HINTS if (value := getattr(self, name)) is not None}
        return {name: fields.get(name, self.other.get(name)) for name in dict.fromkeys((*self.order, *fields))}

    def updated(self, **values: Any) -> "RunRow":  # noqa: ANN401 - of any field
        """Return the row with other values; a None that is given stands in the record too.

        Args:
            values: By field.
        """
        return replace(self, **values, order=tuple(dict.fromkeys((*self.order, *values))))

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - of any field
        """Return a value by its name in the record, as rows of the last release gave them; attributes have them now."""
        old_name(f"row[{name!r}]", f"row.{name}")
        return self.to_record()[name]

    @property
    def done(self) -> bool:
        """Whether the run came through."""
        return self.status == "done"

    @property
    def waiting(self) -> bool:
        """Whether it is still to come."""
        return self.status == "waiting"

    @property
    def failed(self) -> bool:
        """Whether it was given up; the failure says why."""
        return not (self.done or self.waiting)


_HINTS = {name: hint for name, hint in get_type_hints(RunRow).items() if name not in ("other", "order")}
