"""The terms of a report, for somebody who has not read the paper."""

from lambda_vae.reports.causes import CAUSES

__all__ = ["GLOSSARY"]

GLOSSARY: tuple[tuple[str, str], ...] = (
    (
        "Latent dimension",
        "One of the numbers that encode an input. For each of them the encoder gives a mean μ and a standard deviation "
        "σ; the decoder receives the mean plus noise of that size.",
    ),
    (
        "Collapse",
        "A dimension has collapsed when the encoder gives it the prior (μ = 0, σ = 1) whatever the input is. "
        "It then carries noise only, and the decoder learns to ignore it.",
    ),
    (
        "Active units (AU)",
        "How many dimensions carry something: the variance of their mean μ over the test set is above 0.01.",
    ),
    (
        "Active directions",
        "How many directions in latent space carry something, whatever the axes. Where they are fewer than the active "
        "units, the encoder has spread few signals over many dimensions, and counting units hides the collapse.",
    ),
    (
        "NLL bound",
        "How badly the model predicts unseen data, in nats per example; lower is better. It is a valid upper "
        "bound on the negative log-likelihood, so it may be compared between methods and with published "
        "figures.",
    ),
    (
        "Importance-weighted NLL",
        "The same quantity, estimated more tightly from many samples per example; the proposal distribution that "
        "they were drawn from stands next to it.",
    ),
    (
        "Surrogate",
        'What λ-VAE is trained on and its paper calls "NLL". Its KL is that of a wider distribution than the one z is '
        "sampled from, so it is not a bound on the likelihood, and may be compared with the paper's figures only.",
    ),
    (
        "λ and δ",
        "λ-VAE shrinks the noise of a dimension from σ to σ^λ. λ follows from σ and from the one setting, δ > 1: a δ "
        "close to 1 means little noise and many active dimensions, a large one nearly a plain VAE.",
    ),
    (
        "Release",
        "λ is brought back to 1 over the last epochs, so that the finished model is an ordinary VAE.",
    ),
    (
        "Under-dispersed",
        "An active dimension whose σ is too small: widening its noise alone would lower the valid bound. Records on "
        "disk call it over-sharp.",
    ),
    (
        "Gradient ratio ρ",
        "How hard the reconstruction pulls a dimension's σ down, relative to how hard the KL term pushes it up to 1. "
        "Well below 1, the dimension drifts into collapse: gradient imbalance.",
    ),
    (
        "Decoder noise",
        "The variance that the likelihood takes for noise. A squared error without a scale assumes 1/2 or 1, whatever "
        "the data's own noise; what varies by less than that is not worth the KL of a latent dimension.",
    ),
    (
        "Causes",
        "Why a dimension collapsed: " + "; ".join(f"{name}: {meaning}" for name, meaning in CAUSES.items()) + ".",
    ),
    (
        "Information gap",
        "What the encoder knows about an input, but sampling noise hides from the decoder.",
    ),
    (
        "SNR capacity",
        "How much information the dimensions can carry through their noise, in nats, from signal power and noise "
        "variance. Jointly: what two of them share is counted once.",
    ),
)
"""Term and meaning, in the order in which a reader meets them."""
