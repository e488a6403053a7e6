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
        meaning: One sentence for the reader.
        better: "lower", "higher", or empty where neither is.
        priority: Terminals show the lowest numbers first, as many as fit.
        scale: Multiplies the value before it is written.
        narrow: The heading in a terminal, broken into lines; `heading` if empty.
        everywhere: Shown only where every run has it, for older records do not, and a gap would say something else.
    """

    key: str
    heading: str
    digits: int
    meaning: str
    better: str = ""
    priority: int = 99
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
        "active_units",
        "AU",
        1,
        "Active units: latent dimensions whose mean moves with the input (variance over 0.01).",
        "higher",
        1,
    ),
    Column(
        "active_directions",
        "active directions",
        1,
        "Directions of the code that carry something; fewer than active units where a rotation hides collapse.",
        "higher",
        7,
        narrow="active\ndirections",
        everywhere=True,
    ),
    Column(
        "nll_bound",
        "NLL bound",
        2,
        "A valid upper bound on -log p(x), nats per example: reconstruction + rate.",
        "lower",
        2,
    ),
    Column(
        "nll_iw",
        "NLL, importance-weighted",
        2,
        "Importance-weighted estimate of -log p(x), nats; its proposal is named.",
        "lower",
        3,
        narrow="NLL, importance-\nweighted",
    ),
    Column(
        "surrogate_nll",
        SURROGATE,
        2,
        'What the paper trains on and reports as "NLL". It leaves the excess KL out, so it is not a bound.',
        "",
        4,
        narrow='surrogate\n(paper\'s "NLL",\nnot a bound)',
    ),
    Column(
        "nll_bound_bpd",
        "BPD bound",
        3,
        "NLL bound in bits per dimension: nats / (ln 2 x numbers of an image).",
        "lower",
        8,
    ),
    Column("nll_iw_bpd", "BPD, importance-weighted", 3, "The same of the importance-weighted NLL.", "lower", 9),
    Column(
        "surrogate_bpd",
        SURROGATE_BPD,
        3,
        'The same of the surrogate: what the paper reports as "BPD".',
        "",
        9,
        narrow="surrogate BPD\n(paper's, not\na bound)",
    ),
    Column("excess_kl", "excess KL", 2, "NLL bound minus surrogate, nats: what the surrogate leaves out.", "", 9),
    Column("rate", "rate", 2, "KL of the law really sampled from the prior, nats.", "", 11),
    Column("reconstruction", "reconstruction", 2, "Expected -log p(x|z), nats.", "lower", 10),
    Column(
        "snr_capacity",
        "SNR capacity",
        1,
        "Information the noisy latent channel can carry, nats.",
        "higher",
        5,
        narrow="SNR\ncapacity",
    ),
    Column(
        "snr_capacity_joint",
        "SNR capacity, joint",
        1,
        "The same of all dimensions together: what two of them both say is counted once, nats.",
        "higher",
        10,
        narrow="SNR capacity,\njoint",
        everywhere=True,
    ),
    Column(
        "snr_capacity_predicted",
        "SNR capacity, predicted",
        1,
        "What δ implies for the SNR capacity at the measured signal, nats; none where λ is 1.",
        "",
        6,
        narrow="capacity,\npredicted",
    ),
    Column(
        "decoder_capacity",
        "decoder capacity",
        1,
        "How strongly the decoder listens: summed RMS gradient.",
        "higher",
        12,
    ),
    Column("mean_std", "mean σ", 3, "Mean posterior standard deviation over dimensions; 1 is the prior's.", "", 13),
    Column(
        "near_prior",
        "σ > 0.9",
        1,
        "Dimensions whose σ averages above 0.9: what the paper counts as collapsed on images (Section 6.2).",
        "lower",
        15,
    ),
    Column("mean_exponent", "mean λ", 2, "Mean noise exponent; 1 is the plain VAE.", "", 14),
    Column(
        "linear_probe_accuracy",
        "linear probe %",
        1,
        "Accuracy of a linear classifier on μ, per cent.",
        "higher",
        7,
        100.0,
        narrow="linear\nprobe %",
    ),
    Column(
        "knn_accuracy", "kNN %", 1, "Accuracy of a nearest-neighbour classifier on μ, per cent.", "higher", 8, 100.0
    ),
    Column("seconds", "seconds", 0, "Wall-clock time of one run.", "lower", 15),
    Column(
        "step_cost",
        "step's cost",
        2,
        "Time per training step, of the plain VAE's, both timed side by side when the runs were done.",
        "lower",
        19,
    ),
    Column("paper:active_units", "paper: AU", 0, "The paper's Table 1.", "", 16),
    Column(
        "paper:surrogate_nll",
        'paper: "NLL" (surrogate)',
        2,
        "The paper's Table 1; compare with the surrogate only.",
        "",
        17,
    ),
    Column(
        "paper:surrogate_bpd",
        'paper: "BPD" (surrogate)',
        3,
        "The paper's Tables 2 and 3; compare with the surrogate only.",
        "",
        17,
    ),
    Column("paper:decoder_capacity", "paper: decoder capacity", 1, "The paper's Tables 2 and 3.", "", 20),
    Column("paper:mean_exponent", "paper: mean λ", 2, "The paper's Tables 2 and 3.", "", 21),
    Column("paper:snr_capacity", "paper: capacity", 1, "The paper's Table 1.", "", 18),
)
