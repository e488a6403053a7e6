"""Whether a likelihood could have another noise decides what a direction below its own is called."""

import pytest
import torch
import torch.nn.functional as F

from lambda_vae.any_vae import diagnose
from lambda_vae.likelihoods import bernoulli, categorical, gaussian, laplace, mixed

N, K = 2000, 3


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def silent(x):
    return torch.zeros(len(x), K), torch.zeros(len(x), K)


def constant(theta):
    return lambda z: theta.expand(len(z), -1) + 0.0 * z[:, :1]


def factors(features, noise, strength=1.0):
    """Two shared factors in `features` numbers."""
    loadings = torch.linalg.qr(torch.randn(features, 2, generator=generator(1))).Q * features**0.5 * strength
    return torch.randn(N, 2, generator=generator()) @ loadings.T + noise * torch.randn(
        N, features, generator=generator(2)
    )


def counts(report):
    return [str(cause) for cause in report.causes]


def test_grey_values_under_a_bernoulli_vary_less_than_it_assumes():
    grey = 0.5 + factors(40, 0.01, 0.02)
    report = diagnose(silent, bernoulli(constant(torch.zeros(40)), logits=True), grey.clamp(0, 1), iw_samples=1)
    assert counts(report) == ["decoder noise", "decoder noise", "no signal"]
    assert "their own noise is" in report.findings[0].explanation


def test_binary_data_that_share_nothing_hold_no_signal():
    x = (torch.rand(N, 40, generator=generator()) < 0.3).float()
    report = diagnose(silent, bernoulli(constant(torch.full((40,), 0.3).logit()), logits=True), x, iw_samples=1)
    assert counts(report) == ["no signal"] * 3


def test_classes_that_are_all_explained_are_no_decoder_noise():
    classes = torch.randint(0, 5, (N, 4), generator=generator())
    x = F.one_hot(classes, 5).flatten(1).float()
    codes = torch.linspace(-2, 2, 5)

    def encode(x):
        mu = torch.cat((x.view(-1, 4, 5) @ codes, torch.zeros(len(x), 2)), 1)
        return mu, torch.cat((torch.full((len(x), 4), -6.0), torch.zeros(len(x), 2)), 1)

    def decode(z):
        return (-4.0 * (z[:, :4, None] - codes).square()).flatten(1)

    def part(i):
        return slice(5 * i, 5 * i + 5), categorical(lambda theta: theta[:, 5 * i : 5 * i + 5], logits=True)

    report = diagnose(encode, mixed({f"c{i}": part(i) for i in range(4)}, decode=decode), x, iw_samples=1)
    assert report.causes[4:] == ["no signal"] * 2


def test_columns_of_several_kinds_below_the_models_noise_are_undetermined():
    numbers = factors(10, 0.05, 0.2)
    x = torch.cat((numbers, torch.randint(0, 2, (N, 2), generator=generator()).float()), 1)
    table = mixed(
        {
            "numbers": (slice(0, 10), gaussian(lambda theta: theta[:, :10], std=1.0)),
            "flags": (slice(10, 12), bernoulli(lambda theta: theta[:, 10:], logits=True)),
        },
        decode=constant(torch.zeros(12)),
    )
    report = diagnose(silent, table, x, iw_samples=1)
    assert "undetermined" in counts(report)
    assert "no signal" not in counts(report)[:2]
    assert "features of several kinds" in " ".join(finding.explanation for finding in report.findings)


@pytest.mark.parametrize(("scale", "cause"), [(0.05, "gradient imbalance"), (500.0, "decoder noise")])
def test_absolute_errors_that_assume_far_too_wide_a_noise(scale, cause):
    x = factors(40, 0.05, 0.2)
    report = diagnose(silent, laplace(constant(torch.zeros(40)), scale=scale), x, iw_samples=1)
    assert counts(report)[:2] == [cause] * 2
