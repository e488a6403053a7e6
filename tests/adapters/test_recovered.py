"""Hand-written log-likelihoods: which law is read off, its divisor, what it leaves out, and what is left alone."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import distributions as td
from torch import nn

from lambda_vae.any_vae.recovered import recovered_law

FEATURES = 24
SHAPE = (2, 3, 4)
DRAW = torch.Generator().manual_seed(3)
torch.manual_seed(3)
NET = nn.Linear(3, FEATURES).eval().requires_grad_(False)
Z = torch.randn(32, 3, generator=DRAW)
THETA = NET(Z)
REAL = THETA + 0.7 * torch.randn(32, FEATURES, generator=DRAW)
BITS = torch.bernoulli(THETA.sigmoid(), generator=DRAW)
GREY = torch.rand(32, FEATURES, generator=DRAW)
COUNTS = torch.poisson(THETA.exp(), generator=DRAW)
ROWS = torch.poisson(4 * FEATURES * THETA.softmax(1), generator=DRAW)
HOT = F.one_hot(torch.randint(0, 4, (32, 2, 3), generator=DRAW), 4).float().flatten(1)


def gaussian(x, z, std=0.7):
    return td.Normal(NET(z), std).log_prob(x)


def squared(x, z):
    return -(NET(z) - x).square()


def bernoulli(x, z):
    return -F.binary_cross_entropy_with_logits(NET(z), x, reduction="none")


def softmaxed(x, z):
    return x * NET(z).log_softmax(1)


def poisson(x, z):
    return td.Poisson(NET(z).exp()).log_prob(x)


def clicks(x, z):
    """With its coefficient, spread over the features so that it can be summed and averaged like the others."""
    ways = torch.lgamma(x.sum(1, keepdim=True) + 1) / FEATURES - torch.lgamma(x + 1)
    return ways + softmaxed(x, z)


def poisson_loss(x, z):
    return -F.poisson_nll_loss(NET(z), x, reduction="none")


def letters(x, z):
    return x.view(-1, *SHAPE) * NET(z).view(-1, *SHAPE).log_softmax(-1)


#: name: (value of each feature, x, family, what is left out of the sum: the value lacks so many nats)
READ = {
    "gaussian": (gaussian, REAL, "Gaussian", 0.0),
    "sharp gaussian": (lambda x, z: gaussian(x, z, 0.01), REAL, "Gaussian", 0.0),
    "wide gaussian": (lambda x, z: gaussian(x, z, 30.0), REAL, "Gaussian", 0.0),
    "gaussian, a noise a feature": (
        lambda x, z: gaussian(x, z, torch.linspace(0.2, 2, FEATURES)),
        REAL,
        "Gaussian",
        0.0,
    ),
    "gaussian_nll_loss": (
        lambda x, z: -F.gaussian_nll_loss(NET(z), x, torch.full_like(x, 0.5), full=True, reduction="none"),
        REAL,
        "Gaussian",
        0.0,
    ),
    "gaussian_nll_loss without its constant": (
        lambda x, z: -F.gaussian_nll_loss(NET(z), x, torch.full_like(x, 0.5), reduction="none"),
        REAL,
        "Gaussian",
        -0.5 * FEATURES * math.log(2 * math.pi),
    ),
    "squared error": (squared, REAL, "Gaussian", -0.5 * FEATURES * math.log(math.pi)),
    "half a squared error": (
        lambda x, z: 0.5 * squared(x, z),
        REAL,
        "Gaussian",
        -0.5 * FEATURES * math.log(2 * math.pi),
    ),
    "a weighted squared error": (
        lambda x, z: 50 * squared(x, z),
        REAL,
        "Gaussian",
        0.5 * FEATURES * math.log(50 / math.pi),
    ),
    "bernoulli": (bernoulli, BITS, "Bernoulli", 0.0),
    "bernoulli by probability": (
        lambda x, z: -F.binary_cross_entropy(NET(z).sigmoid(), x, reduction="none"),
        BITS,
        "Bernoulli",
        0.0,
    ),
    "bernoulli by probability, some of them 1": (
        lambda x, z: -F.binary_cross_entropy((12 * NET(z)).sigmoid(), x, reduction="none"),
        BITS,
        "Bernoulli",
        0.0,
    ),
    "bernoulli of a half": (lambda x, z: bernoulli(x, z) * 0 - math.log(2), BITS, "Bernoulli", 0.0),
    "cross-entropy of grey values": (bernoulli, GREY, "Bernoulli", 0.0),
    "poisson": (poisson, COUNTS, "Poisson", 0.0),
    "poisson_nll_loss": (poisson_loss, COUNTS, "Poisson", -float(torch.lgamma(COUNTS + 1).sum(1).mean())),
    "multinomial": (clicks, ROWS, "multinomial", 0.0),
    "multinomial without its coefficient": (
        softmaxed,
        ROWS,
        "multinomial",
        float((torch.lgamma(ROWS.sum(1) + 1) - torch.lgamma(ROWS + 1).sum(1)).mean()),
    ),
    "multinomial of zeros and ones": (
        softmaxed,
        BITS,
        "multinomial",
        float(torch.lgamma(BITS.sum(1) + 1).mean()),
    ),
    "one-hot letters": (letters, HOT, "multinomial", 0.0),
}


def read(function, x):
    return recovered_law(lambda x, z: function(x, z), x, Z, lambda rows: rows)


@pytest.mark.parametrize("name", READ)
def test_sums_are_read(name):
    each, x, family, lost = READ[name]
    x = x.view(-1, *SHAPE) if name == "one-hot letters" else x
    law = read(lambda x, z: each(x, z).flatten(1).sum(1), x)
    assert (law.family, law.averaged_over) == (family, 1)
    # As what it was taken for, it has the value that was given, and what is said to be left out of it.
    found = law.likelihood(law.decoder(Z)).log_prob(x.flatten(1))
    value = each(x, Z).flatten(1).sum(1)
    counted = value + (lost if family in ("Gaussian",) else 0.0)
    if "multinomial without" in name or "zeros and ones" in name or "letters" in name:
        counted = value
    if name == "poisson_nll_loss":
        counted = value - torch.lgamma(x + 1).sum(1)
    torch.testing.assert_close(found, counted, rtol=1e-4, atol=1e-2)
    if abs(lost) < 1e-3:
        assert law.notes == ()
    else:
        assert f"{abs(lost):.4g} nats" in law.notes[0]
        assert ("too low" in law.notes[0]) == (lost < 0)


@pytest.mark.parametrize("name", READ)
def test_means_are_found(name):
    each, x, family, lost = READ[name]
    if lost and family == "Gaussian" and name not in ("squared error", "half a squared error"):
        pytest.skip("a weight on a squared error is a noise like any other")
    x = x.view(-1, *SHAPE) if name == "one-hot letters" else x
    law = read(lambda x, z: each(x, z).flatten(1).mean(1), x)
    assert (law.family, law.averaged_over) == (family, FEATURES)


@pytest.mark.parametrize("weight", [0.1, 0.5, 2.0, 20.0])
@pytest.mark.parametrize("name", [name for name in READ if READ[name][2] != "Gaussian"])
def test_weights_are_found(name, weight):
    each, x, family, _ = READ[name]
    x = x.view(-1, *SHAPE) if name == "one-hot letters" else x
    law = read(lambda x, z: weight * each(x, z).flatten(1).sum(1), x)
    assert law.family == family
    assert law.averaged_over == pytest.approx(1 / weight, rel=1e-4)


@pytest.mark.parametrize("name", ["cross-entropy of grey values", "multinomial without its coefficient"])
def test_of_examples_that_are_alike_no_weight_is_claimed(name):
    each, x, family, _ = READ[name]

    def alike(x, z):
        return each(x, Z[:1].expand(len(x), -1)).sum(1)

    assert read(alike, x).family == family
    assert read(lambda x, z: 2.345 * alike(x, z), x) is None
    assert read(lambda x, z: 2.0 * alike(x, z), x).averaged_over == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["gaussian", "bernoulli", "poisson", "squared error"])
def test_means_over_some_axes_are_found(name):
    each, x, family, _ = READ[name]
    law = read(lambda x, z: each(x.flatten(1), z).view(-1, *SHAPE).mean((2, 3)).sum(1), x.view(-1, *SHAPE))
    assert (law.family, law.averaged_over) == (family, 12)


def laplace(x, z, scale=0.5):
    return td.Laplace(NET(z), scale).log_prob(x)


@pytest.mark.parametrize("scale", [0.01, 0.5, 1.0, float(FEATURES), torch.linspace(0.2, 3.0, FEATURES)])
def test_a_laplace_is_told_by_what_it_is_far_out(scale):
    law = read(lambda x, z: laplace(x, z, scale).sum(1), REAL)
    assert (law.family, law.averaged_over, law.decoder, law.notes) == ("Laplace", 1, None, ())
    assert read(lambda x, z: laplace(x, z, scale).mean(1), REAL).averaged_over == FEATURES


def test_absolute_errors_have_no_constant():
    law = read(lambda x, z: -F.l1_loss(NET(z), x, reduction="none").mean(1), REAL)
    assert (law.family, law.averaged_over) == ("Laplace", FEATURES)
    law = read(lambda x, z: -3 * F.l1_loss(NET(z), x, reduction="none").sum(1), REAL)
    assert law.averaged_over == 1
    assert f"{FEATURES * math.log(1.5):.4g} nats too high" in law.notes[0]
    assert "laplace(decode, scale=0.333)" in law.notes[0]


TABLE = torch.cat((REAL[:, :5], torch.randint(0, 4, (32, 1), generator=DRAW).float()), 1)
EMBED = nn.Embedding(4, FEATURES).requires_grad_(False)


def only_these(x, z):
    if not torch.equal(x, REAL):
        raise KeyError("no such example")
    return gaussian(x, z).sum(1)


ALONE = {
    "a laplace of some columns": (
        lambda x, z: td.Laplace(NET(z)[:, :5], 0.5).log_prob(x[:, :5]).sum(1) + EMBED(x[:, 5].long()).sum(1),
        TABLE,
    ),
    "student": (lambda x, z: td.StudentT(4.0, NET(z)).log_prob(x).sum(1), REAL),
    "a full covariance": (
        lambda x, z: td.MultivariateNormal(NET(z), 0.3 * torch.eye(FEATURES) + 0.2).log_prob(x),
        REAL,
    ),
    "an index among numbers": (
        lambda x, z: (
            td.Normal(NET(z)[:, :5], 0.7).log_prob(x[:, :5]).sum(1)
            - F.cross_entropy(NET(z)[:, 5:9], x[:, 5].long(), reduction="none")
        ),
        TABLE,
    ),
    "a label glued to x": (
        lambda x, z: td.Normal(NET(z)[:, :5] + EMBED(x[:, 5].long())[:, :5], 0.7).log_prob(x[:, :5]).sum(1),
        TABLE,
    ),
    "whole numbers": (lambda x, z: bernoulli(x.float(), z).sum(1), BITS.long()),
    "x cut off": (lambda x, z: gaussian(x.detach(), z).sum(1), REAL),
    "a number of x": (lambda x, z: td.StudentT(4.0, NET(z) + float(x.min() * 0)).log_prob(x).sum(1), REAL),
    "numpy": (lambda x, z: torch.as_tensor(gaussian(x, z).sum(1).numpy()), REAL),
    "one that knows these very examples alone": (only_these, REAL),
    "a continuous Bernoulli": (lambda x, z: td.ContinuousBernoulli(logits=NET(z)).log_prob(x).sum(1), GREY),
}


@pytest.mark.parametrize("name", ALONE)
def test_other_laws_are_left_alone(name):
    function, x = ALONE[name]
    assert read(function, x) is None


def test_a_noise_that_hangs_on_z_is_read_for_its_scale_alone():
    def each(x, z):
        return td.Normal(NET(z), (0.1 * z[:, :1]).exp()).log_prob(x)

    assert read(lambda x, z: each(x, z).sum(1), REAL).averaged_over == 1
    assert read(lambda x, z: each(x, z).mean(1), REAL).averaged_over == FEATURES
    assert read(lambda x, z: each(x, z).sum(1), REAL).decoder is None
    for weight in (0.1, 2.0):
        assert read(lambda x, z, w=weight: w * each(x, z).sum(1), REAL).averaged_over == pytest.approx(1 / weight)


@pytest.mark.parametrize(("features", "ones"), [(50, 5), (200, 5), (1000, 80), (1656, 85), (20000, 50)])
def test_a_multinomial_of_many_items_is_no_bernoulli_and_no_average(features, ones):
    net = nn.Linear(4, features).requires_grad_(False)
    x = (torch.rand(64, features, generator=torch.Generator().manual_seed(0)) < ones / features).float()
    z = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
    law = recovered_law(lambda x, z: (x * net(z).log_softmax(1)).sum(1), x, z, lambda rows: rows)
    assert (law.family, law.averaged_over) == ("multinomial", 1)
    law = recovered_law(
        lambda x, z: -F.binary_cross_entropy(net(z).softmax(1), x, reduction="none").sum(1), x, z, lambda rows: rows
    )
    assert (law.family, law.averaged_over) == ("Bernoulli", 1)
