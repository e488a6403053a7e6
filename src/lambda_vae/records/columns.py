"""The columns of a comparison table: what each is called, how it is written, which way is better."""

from dataclasses import dataclass

__all__ = ["COLUMNS", "SURROGATE", "SURROGATE_BPD", "Column"]

SURROGATE = 'surrogate (paper\'s "NLL", not a bound)'
"""The only heading under which the paper's quantity is printed."""

SURROGATE_BPD = 'surrogate BPD (paper\'s "BPD", not a bound)'
"""The same in bits per dimension."""


@dataclass(frozen=True)
class Column:
    """One quantity of a table.

    Args:
        key: Name in the records; `paper:` before it takes the paper's figure instead of ours.
        heading: What stands over it.
        digits: Places after the point.
        better: "lower", "higher", or empty where neither is.
        priority: Terminals show the lowest numbers first, as many as fit.
        meaning: One sentence for the reader.
        scale: Multiplies the value before it is written.
        narrow: The heading in a terminal, broken into lines; `heading` if empty.
        everywhere: Shown only where every run has it, for older records do not, and a gap would say something else.
    """

    key: str
    heading: str
    digits: int
    better: str
    priority: int
    meaning: str
    scale: float = 1.0
    narrow: str = ""
    everywhere: bool = False

    @property
    def arrow(self) -> str:
        """An arrow for the direction that is better."""
        return {"lower": "↓", "higher": "↑", "": ""}[self.better]

    def write(self, value: float | None) -> str:
        """Return `value` as text, a dash for None.

        Args:
            value: In the record's unit.
        """
        return "–" if value is None else f"{value * self.scale:,.{self.digits}f}"


COLUMNS: tuple[Column, ...] = (
    Column(
        "active_units", "AU", 1, "higher", 1,
        "Active units: latent dimensions whose posterior mean varies with the input (variance over 0.01).",
    ),
    Column(
        "active_directions", "active directions", 1, "higher", 7,
        "Directions along which the posterior means vary; fewer than active units where a rotation hides collapse.",
        narrow="active\ndirections", everywhere=True,
    ),
    Column(
        "nll_bound", "NLL bound", 2, "lower", 2,
        "A valid upper bound on -log p(x), nats per example: reconstruction + rate.",
    ),
    Column(
        "nll_iw", "NLL, importance-weighted", 2, "lower", 3,
        "Importance-weighted estimate of -log p(x), nats; its proposal is named.", narrow="NLL, importance-\nweighted",
    ),
    Column(
        "surrogate_nll", SURROGATE, 2, "", 4,
        'What the paper trains on and reports as "NLL". It leaves the excess KL out, so it is not a bound.',
        narrow='surrogate\n(paper\'s "NLL",\nnot a bound)',
    ),
    Column(
        "nll_bound_bpd", "BPD bound", 3, "lower", 8,
        "NLL bound in bits per dimension: nats / (ln 2 · number of values in an example).",
    ),
    Column("nll_iw_bpd", "BPD, importance-weighted", 3, "lower", 9, "Importance-weighted NLL in bits per dimension."),
    Column(
        "surrogate_bpd", SURROGATE_BPD, 3, "", 9,
        'The surrogate in bits per dimension: what the paper reports as "BPD".',
        narrow="surrogate BPD\n(paper's, not\na bound)",
    ),
    Column(
        "nll_iw_perplexity", "perplexity, importance-weighted", 2, "lower", 8,
        "e to the importance-weighted NLL of all sequences over the number of all their tokens, ends counted.",
        narrow="perplexity,\nimportance-\nweighted",
    ),
    Column("nll_bound_perplexity", "perplexity, bound", 2, "lower", 9, "The same by the NLL bound."),
    Column(
        "nll_iw_token_bits", "bits per token, importance-weighted", 3, "lower", 9,
        "Importance-weighted NLL in bits per token, ends counted.", narrow="bits per token,\nimportance-\nweighted",
    ),
    Column("nll_bound_token_bits", "bits per token, bound", 3, "lower", 9, "NLL bound in bits per token."),
    Column("excess_kl", "excess KL", 2, "", 9, "NLL bound minus surrogate, nats: what the surrogate leaves out."),
    Column("rate", "rate", 2, "", 11, "KL from the prior of the distribution really sampled from, nats."),
    Column("reconstruction", "reconstruction", 2, "lower", 10, "Expected -log p(x|z), nats."),
    Column(
        "snr_capacity", "SNR capacity", 1, "higher", 5,
        "Information that the latent dimensions can carry through their noise, nats.", narrow="SNR\ncapacity",
    ),
    Column(
        "snr_capacity_joint", "SNR capacity, joint", 1, "higher", 10,
        "SNR capacity of all dimensions jointly, nats: what two of them share counts once.",
        narrow="SNR capacity,\njoint", everywhere=True,
    ),
    Column(
        "snr_capacity_predicted", "SNR capacity, predicted", 1, "", 6,
        "What δ implies for the SNR capacity at the measured signal, nats; none where λ is 1.",
        narrow="capacity,\npredicted",
    ),
    Column(
        "decoder_capacity", "decoder capacity", 1, "higher", 12,
        "How strongly the decoder reacts to the code: RMS gradient, summed over dimensions.",
    ),
    Column("mean_std", "mean σ", 3, "", 13, "Mean posterior standard deviation over dimensions; 1 is the prior's."),
    Column(
        "near_prior", "σ > 0.9", 1, "lower", 15,
        "Dimensions whose σ averages above 0.9: what the paper counts as collapsed on images (Section 6.2).",
    ),
    Column("mean_exponent", "mean λ", 2, "", 14, "Mean noise exponent; 1 is the plain VAE."),
    Column(
        "linear_probe_accuracy", "linear probe %", 1, "higher", 7,
        "Accuracy of a linear classifier on μ, per cent.", scale=100.0, narrow="linear\nprobe %",
    ),
    Column(
        "knn_accuracy", "kNN %", 1, "higher", 8,
        "Accuracy of a nearest-neighbour classifier on μ, per cent.", scale=100.0,
    ),
    Column("seconds", "seconds", 0, "lower", 15, "Wall-clock time of one run."),
    Column(
        "step_cost", "step's cost", 2, "lower", 19,
        "Time of a training step relative to the plain VAE's, both timed in turn after the runs.",
    ),
    Column("paper:active_units", "paper: AU", 0, "", 16, "The paper's Table 1."),
    Column(
        "paper:surrogate_nll", 'paper: "NLL" (surrogate)', 2, "", 17,
        "The paper's Table 1; compare with the surrogate only.",
    ),
    Column(
        "paper:surrogate_bpd", 'paper: "BPD" (surrogate)', 3, "", 17,
        "The paper's Tables 2 and 3; compare with the surrogate only.",
    ),
    Column("paper:decoder_capacity", "paper: decoder capacity", 1, "", 20, "The paper's Tables 2 and 3."),
    Column("paper:mean_exponent", "paper: mean λ", 2, "", 21, "The paper's Tables 2 and 3."),
    Column("paper:snr_capacity", "paper: capacity", 1, "", 18, "The paper's Table 1."),
)  # fmt: skip
"""Every column, in the order of the table."""
