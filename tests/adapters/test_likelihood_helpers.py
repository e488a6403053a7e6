"""The helpers against torch.distributions, scipy, and their own draws; what they refuse."""

import re

import numpy as np
import pytest
import scipy.stats
import torch
from torch import distributions as td
from torch import nn

from lambda_vae.any_vae import diagnose
from lambda_vae.distributions import DiagGaussian
from lambda_vae.errors import InputError
from lambda_vae.likelihoods import (
    bernoulli,
    categorical,
    density,
    gaussian,
    laplace,
    mixed,
    multinomial,
    negative_binomial,
    poisson,
    std_of_kl_weight,
)

DRAW = torch.Generator().manual_seed(0)
THETA = torch.randn(7, 6, generator=DRAW)
WIDE = torch.randn(7, 6, 3, generator=DRAW)
REAL = torch.randn(7, 6, generator=DRAW)
BITS = (REAL > 0).float()
COUNTS = torch.poisson(torch.full((7, 6), 2.5), generator=DRAW)
INDICES = torch.randint(0, 3, (7, 6), generator=DRAW)
HOT = nn.functional.one_hot(INDICES, 3).float()
STD = torch.linspace(0.3, 2.0, 6)


def out(theta):
    return lambda z: theta


def multinomials():
    rows = [
        td.Multinomial(int(x.sum()), logits=row).log_prob(x)
        for x, row in zip(COUNTS.double(), THETA.double(), strict=True)
    ]
    return torch.stack(rows)


#: name: (helper, x, what torch.distributions says)
HELPERS = {
    "gaussian": (gaussian(out(THETA), std=0.7), REAL, td.Normal(THETA, 0.7)),
    "gaussian, one std a feature": (gaussian(out(THETA), std=STD), REAL, td.Normal(THETA, STD)),
    "laplace": (laplace(out(THETA), scale=0.7), REAL, td.Laplace(THETA, 0.7)),
    "bernoulli of logits": (bernoulli(out(THETA), logits=True), BITS, td.Bernoulli(logits=THETA)),
    "bernoulli": (bernoulli(out(THETA.sigmoid())), BITS, td.Bernoulli(logits=THETA)),
    "poisson": (poisson(out(THETA.exp())), COUNTS, td.Poisson(THETA.exp())),
    "poisson of log rates": (poisson(out(THETA), log_rates=True), COUNTS, td.Poisson(THETA.exp())),
    "negative binomial": (
        negative_binomial(out(THETA.exp()), dispersion=STD),
        COUNTS,
        td.NegativeBinomial(STD, logits=THETA - STD.log()),
    ),
    "categories": (categorical(out(WIDE), logits=True), INDICES, td.Categorical(logits=WIDE)),
    "categories, classes first": (
        categorical(out(WIDE.mT), logits=True, dim=1),
        INDICES.float(),
        td.Categorical(logits=WIDE),
    ),
    "categories by probability": (categorical(out(WIDE.softmax(-1))), INDICES, td.Categorical(logits=WIDE)),
    "one-hot categories": (categorical(out(WIDE), logits=True), HOT, td.OneHotCategorical(logits=WIDE)),
    "one-hot categories, classes first": (
        categorical(out(WIDE.mT), logits=True, dim=1),
        HOT.mT,
        td.Categorical(logits=WIDE).log_prob(INDICES).sum(1),
    ),
    "one category": (categorical(out(THETA), logits=True), INDICES[:, :1], td.Categorical(logits=THETA[:, None])),
    "multinomial": (multinomial(out(THETA), logits=True), COUNTS, multinomials()),
    "multinomial by probability": (multinomial(out(THETA.softmax(1))), COUNTS, multinomials()),
    "multinomial without its coefficient": (
        multinomial(out(THETA), logits=True, coefficient=False),
        COUNTS,
        (COUNTS * THETA.log_softmax(1)).sum(1),
    ),
}
Z = torch.zeros(7, 2)


@pytest.mark.parametrize("name", HELPERS)
def test_value_is_that_of_torch_distributions(name):
    helper, x, truth = HELPERS[name]
    expected = truth if isinstance(truth, torch.Tensor) else truth.log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(helper(x, Z), expected.float(), rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("name", HELPERS)
def test_what_a_helper_says_of_itself_gives_the_same_value(name):
    helper, x, _ = HELPERS[name]
    theta = helper.parameters(x, Z).flatten(1)
    torch.testing.assert_close(helper.unpacked(x, Z)(theta).log_prob(x.flatten(1)), helper(x, Z), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", HELPERS)
def test_draws_have_the_law_that_the_value_is_of(name):
    """The score has mean 0 under its own law, whatever the law is: six standard errors."""
    helper, x, _ = HELPERS[name]
    copies, generator = 4000, torch.Generator().manual_seed(1)
    theta = helper.parameters(x, Z).flatten(1)[:1].expand(copies, -1).clone().requires_grad_()
    law = helper.unpacked(x, Z)(theta)
    drawn = law.sample(generator).detach()
    assert drawn.shape == (copies, x[0].numel())
    score = torch.autograd.grad(law.log_prob(drawn).sum(), theta)[0]
    off = score.mean(0) / (score.std(0) / copies**0.5).clamp(min=1e-9)
    assert float(off.abs().max()) < 6.0
    assert float(score.std(0).min()) > 0.0


@pytest.mark.parametrize(
    ("helper", "x", "truth"),
    [
        (HELPERS["poisson"][0], COUNTS, scipy.stats.poisson.logpmf(COUNTS, THETA.exp())),
        (HELPERS["laplace"][0], REAL, scipy.stats.laplace.logpdf(REAL, THETA, 0.7)),
        (
            HELPERS["negative binomial"][0],
            COUNTS,
            scipy.stats.nbinom.logpmf(COUNTS, STD, STD / (STD + THETA.exp())),
        ),
        (
            HELPERS["multinomial"][0],
            COUNTS,
            np.array(
                [
                    [scipy.stats.multinomial.logpmf(x, int(x.sum()), p / p.sum())]
                    for x, p in zip(COUNTS.double().numpy(), THETA.double().softmax(1).numpy(), strict=True)
                ]
            ),
        ),
    ],
)
def test_value_is_that_of_scipy(helper, x, truth):
    np.testing.assert_allclose(helper(x, Z), np.asarray(truth).sum(1), rtol=2e-5)


@pytest.mark.parametrize("name", HELPERS)
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_values_are_computed_in_float32_at_least_whatever_the_decoder_answers(name, kind):
    helper, x, _ = HELPERS[name]
    rounded = helper.decode(Z).to(kind)
    low, high = (type(helper).__new__(type(helper)) for _ in range(2))
    for one, theta in ((low, rounded), (high, rounded.double())):
        one.__dict__.update(vars(helper) | {"decode": out(theta)})
    if kind is not torch.float64 and name in ("categories by probability", "multinomial by probability"):
        low.decode, high.decode = out(rounded), out(rounded.float())  # sums to 1 but for rounding
    assert low(x, Z).dtype == (torch.float64 if kind == torch.float64 else torch.float32)
    torch.testing.assert_close(low(x, Z).double(), high(x, Z).double(), rtol=1e-5, atol=1e-4)


def test_a_gaussian_gives_its_noise_away():
    law = gaussian(lambda z: z, std=0.5).observation(torch.zeros(2, 3))
    assert isinstance(law, DiagGaussian)
    assert law.std.tolist() == [0.5] * 3


def table():
    heads = nn.Linear(2, 9).eval()
    helper = mixed(
        {
            "sizes": (slice(0, 2), gaussian(lambda o: o[:, :2], std=0.5)),
            "flags": ([4, 2], bernoulli(lambda o: o[:, 2:4], logits=True)),
            "colour": (-1, categorical(lambda o: o[:, 4:7], logits=True)),
            "shape": (slice(5, 7), categorical(lambda o: o[:, 7:9], logits=True)),
        },
        decode=heads,
    )
    bits = torch.randint(0, 2, (50, 2), generator=DRAW).float()
    hot = nn.functional.one_hot(torch.randint(0, 2, (50,), generator=DRAW), 2).float()
    colour = torch.randint(0, 3, (50, 1), generator=DRAW).float()
    sizes = torch.randn(50, 2, generator=DRAW)
    return heads, helper, torch.cat((sizes, bits[:, :1], torch.zeros(50, 1), bits[:, 1:], hot, colour), 1)


def test_mixed_columns_add_up():
    heads, helper, x = table()
    z = torch.randn(50, 2, generator=DRAW)
    o = heads(z)
    expected = (
        td.Normal(o[:, :2], 0.5).log_prob(x[:, :2]).sum(1)
        + td.Bernoulli(logits=o[:, 2:4]).log_prob(x[:, [4, 2]]).sum(1)
        + td.Categorical(logits=o[:, 4:7]).log_prob(x[:, 7])
        + td.Categorical(logits=o[:, 7:9]).log_prob(x[:, 6])
    )
    torch.testing.assert_close(helper(x, z), expected)
    law = helper.unpacked(x, z)(helper.parameters(x, z))
    torch.testing.assert_close(law.log_prob(x), expected)
    drawn = law.sample(torch.Generator().manual_seed(0))
    assert drawn.shape == x.shape
    assert helper(drawn, z).isfinite().all()
    assert helper.notes(x) == ("No part of mixed holds column 3 of x: log p(x|z) is that of the others.",)


@pytest.mark.parametrize("name", [*HELPERS, "mixed"])
def test_diagnose_searches_what_is_left_with_every_helper(name):
    generator = torch.Generator().manual_seed(2)
    if name == "mixed":
        _, helper, x = table()
        theta = None
    else:
        helper, x, _ = HELPERS[name]
        theta = helper.decode(Z)
        x = torch.cat([x] * 8)
    if theta is not None:
        theta = theta[:1]
        by = type(helper).__new__(type(helper))
        by.__dict__.update(vars(helper) | {"decode": lambda z: theta.expand(len(z), *theta.shape[1:]) + 0 * z.sum()})
        helper = by
    codes = torch.randn(len(x), 2, generator=generator)

    def encode(x):
        return codes[: len(x)] * 0 + 0.1, torch.full((len(x), 2), -0.5)

    report = diagnose(encode, helper, x, iw_samples=1)
    assert report.residual is not None
    assert np.isfinite(report.nll_bound)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("half", [True, False])
def test_noise_of_a_weighted_squared_error_is_the_one_of_its_elbo(reduction, half):
    weight, features = 0.3, 5
    std = std_of_kl_weight(weight, features, reduction, half=half)
    mean, x, kl = (torch.randn(3, features, generator=DRAW) for _ in range(3))
    error = (x - mean).square() / (2 if half else 1)
    loss = (error.mean(1) if reduction == "mean" else error.sum(1)) + weight * kl[:, 0]
    elbo = -gaussian(out(mean), std=std)(x, torch.zeros(3, 1)) + kl[:, 0]
    # A constant apart, the one is a multiple of the other.
    slope = (elbo[1:] - elbo[:1]) / (loss[1:] - loss[:1])
    torch.testing.assert_close(slope, torch.full((2,), 1 / weight))


OF = torch.zeros(4, 1)
WRONG = {
    "axes in another order": (
        gaussian(out(torch.zeros(4, 8, 5, 3))),
        torch.zeros(4, 3, 8, 5),
        r"another order; return decode\(z\)\.permute\(0, 3, 1, 2\)",
    ),
    "time and features": (gaussian(out(torch.zeros(4, 8, 5))), torch.zeros(4, 5, 8), r"permute\(0, 2, 1\)"),
    "another shape": (gaussian(out(torch.zeros(4, 4, 6))), torch.zeros(4, 8, 3), r"bring it into x's shape"),
    "a std for other features": (gaussian(out(torch.zeros(4, 3)), std=torch.ones(2)), torch.zeros(4, 3), "std has 2"),
    "whole numbers": (gaussian(out(torch.zeros(4, 3).long())), torch.zeros(4, 3), "decode gave torch.int64"),
    "rates below 0": (poisson(out(-torch.ones(4, 3))), torch.zeros(4, 3), "-1 for a rate.*log_rates=True"),
    "no counts": (poisson(out(torch.ones(4, 3))), torch.full((4, 3), 0.5), "x holds 0.5.*whole numbers from 0"),
    "weights of a multinomial": (
        multinomial(out(torch.zeros(4, 3)), logits=True),
        torch.full((4, 3), 0.5),
        "coefficient=False takes weights",
    ),
    "logits for probabilities": (multinomial(out(torch.zeros(4, 3))), torch.zeros(4, 3), "sum to 0.*logits=True"),
    "probabilities for logits": (
        multinomial(out(torch.full((4, 4), 0.25)), logits=True),
        torch.zeros(4, 4),
        "second softmax",
    ),
    "an index beyond the classes": (
        categorical(out(torch.zeros(4, 2, 3)), logits=True),
        torch.full((4, 2), 3),
        "between 3 and 3.*from 0 to 2",
    ),
    "classes on another axis": (categorical(out(torch.zeros(4, 3, 2)), logits=True), torch.zeros(4, 2), "say dim=1"),
    "no one-hot": (categorical(out(torch.zeros(4, 3)), logits=True), torch.ones(4, 3), "must be one-hot"),
    "a column in two parts": (
        mixed({"a": (0, gaussian(out(OF))), "b": ([0], gaussian(out(OF)))}),
        OF,
        "column 0 is in two parts of mixed, 'a' and 'b'",
    ),
    "a column that is not there": (mixed({"a": (1, gaussian(out(OF)))}), OF, "columns 1 of x, which has 1"),
    "images in a table": (mixed({"a": (0, gaussian(out(OF)))}), torch.zeros(4, 1, 1), "takes a table"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_a_family_cannot_be_is_said(case):
    helper, x, pattern = WRONG[case]
    with pytest.raises(InputError) as caught:
        helper(x, torch.zeros(4, 1))
    assert re.search(pattern, str(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    ("call", "pattern"),
    [
        (lambda: mixed({}), "no parts"),
        (lambda: mixed({"a": (0, lambda x, z: x)}), r"'a' of mixed is \(int, function\)"),
        (lambda: gaussian(out(OF), std=-1.0), "std is -1.0"),
        (lambda: laplace(out(OF), scale=0.0), "scale is 0.0"),
        (lambda: negative_binomial(out(OF), dispersion=0.0), "dispersion is 0.0"),
        (lambda: std_of_kl_weight(1.0), "wants features="),
        (lambda: std_of_kl_weight(0.0, 4), "kl_weight is 0.0"),
        (lambda: std_of_kl_weight(1.0, 0), "features is 0"),
        (lambda: std_of_kl_weight(1.0, 4, "none"), "reduction is 'none'"),
        (
            lambda: density(lambda z: td.Multinomial(1, logits=z))(torch.full((4, 3), 2.0), torch.zeros(4, 3)),
            "outside the support of decode's Multinomial.*`multinomial`",
        ),
        (
            lambda: density(lambda z: td.Normal(z.bfloat16(), 1.0))(torch.zeros(4, 1).bfloat16(), OF),
            r"density in torch.bfloat16.*\.float\(\)",
        ),
    ],
)
def test_arguments(call, pattern):
    with pytest.raises(InputError, match=pattern):
        call()


def test_shapes_that_are_only_flattened_pass():
    for theta, x in (((4, 24), (4, 2, 3, 4)), ((4, 2, 12), (4, 2, 3, 4)), ((4, 1, 3, 4), (4, 3, 4)), ((4, 1), (4,))):
        assert gaussian(out(torch.zeros(theta)))(torch.zeros(x), OF).shape == (4,)
