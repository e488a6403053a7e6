"""The words of a report, for somebody who has not read the paper."""

from lambda_vae.reports.causes import CAUSES

__all__ = ["GLOSSARY"]

GLOSSARY: tuple[tuple[str, str], ...] = (
    (
        "Latent dimension",
        "One of the numbers into which the encoder squeezes an input. For each it gives a mean μ and a "
        "standard deviation σ; the decoder receives the mean plus noise of that size.",
    ),
    (
        "Collapse",
        "A dimension has collapsed when the encoder gives it the prior (μ = 0, σ = 1) whatever the input is. "
        "It then carries noise only, and the decoder learns to ignore it.",
    ),
    (
        "Active units (AU)",
        "How many dimensions still say something: their mean varies over the test set by more than 0.01.",
    ),
    (
        "Active directions",
        "How many directions of the code carry something, whatever its axes are. Fewer than active units: the encoder "
        "has spread few signals over many dimensions, and the collapse is hidden from their count.",
    ),
    (
        "NLL bound",
        "How badly the model predicts unseen data, in nats per example; lower is better. It is a valid upper "
        "bound on the negative log-likelihood, so it may be compared between methods and with published "
        "figures.",
    ),
    (
        "Importance-weighted NLL",
        "The same quantity, estimated more tightly from several samples a point; the distribution that they "
        "were drawn from is named with it.",
    ),
    (
        "Surrogate",
        'What λ-VAE trains on and its paper calls "NLL". It charges the KL of a wider distribution than '
        "the one that is sampled, so it is not a bound on the likelihood and may be compared with the paper's figure "
        "only.",
    ),
    (
        "λ and δ",
        "λ-VAE shrinks the noise of a dimension from σ to σ^λ. λ is worked out from σ; δ > 1 is the one "
        "setting: close to 1 means little noise and many active dimensions, large means nearly a plain VAE.",
    ),
    (
        "Release",
        "λ is brought back to 1 over the last epochs, so that the finished model is an ordinary VAE.",
    ),
    (
        "Under-dispersed",
        "An active dimension with so much less noise than suits it that widening its noise alone would lower the valid "
        "bound. Records call it over-sharp.",
    ),
    (
        "Gradient ratio ρ",
        "How hard the reconstruction pulls a dimension's σ down against how hard the KL term pushes it up to "
        "1. Well below 1, the dimension drifts into collapse: gradient imbalance.",
    ),
    (
        "Decoder noise",
        "The variance that the likelihood takes for noise. A squared error without a scale assumes 1/2 or 1, whatever "
        "the data's own noise; what varies by less than that cannot pay for a latent dimension.",
    ),
    (
        "Causes",
        "Why a dimension collapsed: " + "; ".join(f"{name}: {meaning}" for name, meaning in CAUSES.items()) + ".",
    ),
    (
        "Information gap",
        "What the encoder knows about an input and the noise hides from the decoder.",
    ),
    (
        "SNR capacity",
        "How much information the noisy dimensions can carry, in nats, from signal power and noise. Jointly: what two "
        "of them both say is counted once.",
    ),
)
"""Term and meaning, in the order in which a reader meets them."""
