"""Conditional models: what a batch holds besides x reaches the callables that ask for it, and no others."""

import functools

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal, Normal
from torch.utils.data import DataLoader, TensorDataset

from lambda_vae.any_vae import diagnose
from lambda_vae.any_vae.named import named_batches
from lambda_vae.errors import InputError
from lambda_vae.likelihoods import gaussian

NOISE, CLASSES = 0.5, 3


class Conditional(nn.Module):
    """A linear-Gaussian p(x|z, y), whose exact posterior is diagonal: the bound is -log p(x|y)."""

    def __init__(self):
        super().__init__()
        chance = torch.Generator().manual_seed(0)
        rows, _ = torch.linalg.qr(torch.randn(6, 2, generator=chance))
        self.weights = nn.Parameter((rows * torch.tensor([2.0, 1.0])).T)
        self.shift = nn.Parameter(3.0 * torch.randn(CLASSES, 6, generator=chance))
        self.variance = 1.0 / (1.0 + self.weights.detach().square().sum(1) / NOISE**2)
        self.eval()

    def encode(self, x, y):
        mu = (x - self.shift[y]) @ self.weights.T * self.variance / NOISE**2
        return mu, self.variance.log().expand(len(x), 2)

    def decode(self, z, y):
        return z @ self.weights + self.shift[y]

    def log_likelihood(self, x, z, y):
        return Normal(self.decode(z, y), NOISE).log_prob(x).sum(1)


MODEL = Conditional()
CHANCE = torch.Generator().manual_seed(1)
Y = torch.randint(0, CLASSES, (900,), generator=CHANCE)
with torch.no_grad():
    X = (
        torch.randn(900, 2, generator=CHANCE) @ MODEL.weights
        + MODEL.shift[Y]
        + NOISE * torch.randn(900, 6, generator=CHANCE)
    )
    JOINT = MultivariateNormal(torch.zeros(6), MODEL.weights.T @ MODEL.weights + NOISE**2 * torch.eye(6))
    TRUE = -float(JOINT.log_prob(X - MODEL.shift[Y]).mean())
NAMES = [f"class {int(label)}" for label in Y]


def run(encode=MODEL.encode, log_likelihood=MODEL.log_likelihood, data=None, **options):
    data = DataLoader(TensorDataset(X, Y), batch_size=200) if data is None else data
    return diagnose(encode, log_likelihood, data, iw_samples=options.pop("iw_samples", 64), **options)


def of_names(names):
    return torch.tensor([int(name[-1]) for name in names])


def by_name(batches=3):
    return [{"x": X[i::batches], "y": Y[i::batches], "names": NAMES[i::batches]} for i in range(batches)]


class Called(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        self.eval()

    def forward(self, *given, **named):
        return self.function(*given, **named)


CASES = {
    "a loader of pairs": {},
    "numpy": {"data": [(X[:400].numpy(), Y[:400].numpy()), (X[400:].numpy(), Y[400:].numpy())]},
    "lambdas": {
        "encode": lambda x, y: MODEL.encode(x, y),
        "log_likelihood": lambda x, z, y: MODEL.log_likelihood(x, z, y),
    },
    "a partial": {"encode": functools.partial(MODEL.encode), "data": by_name()},
    "dicts": {"data": by_name()},
    "dicts, x by another name": {"data": [{"pixels": X, "y": Y}], "x_key": "pixels"},
    "dicts, x by encode's name": {"data": [{"v": X, "y": Y}], "encode": lambda v, y: MODEL.encode(v, y)},
    "by keyword alone": {"data": by_name(), "encode": lambda x, *, y: MODEL.encode(x, y)},
    "named and optional": {"data": by_name(), "encode": lambda x, other=None, y=None: MODEL.encode(x, y)},
    "strings": {
        "data": [(X[:500], NAMES[:500]), (X[500:], tuple(NAMES[500:]))],
        "encode": lambda x, names: MODEL.encode(x, of_names(names)),
        "log_likelihood": lambda x, z, names: MODEL.log_likelihood(x, z, of_names(names)),
    },
    "strings in an array": {
        "data": [(X, np.array(NAMES))],
        "encode": lambda x, names: MODEL.encode(x, of_names(names)),
        "log_likelihood": lambda x, z, names: MODEL.log_likelihood(x, z, of_names(names)),
    },
    "nested": {
        "data": [(X, {"deep": (Y, None, 7)})],
        "encode": lambda x, c: MODEL.encode(x, c["deep"][0]),
        "log_likelihood": lambda x, z, c: MODEL.log_likelihood(x, z, c["deep"][0]),
    },
    "nested, for a helper": {
        "data": [(X, {"deep": (Y, None, 7)})],
        "encode": lambda x, c: MODEL.encode(x, c["deep"][0]),
        "log_likelihood": gaussian(lambda z, c: MODEL.decode(z, c["deep"][0]), std=NOISE),
    },
    "two, and a label that nobody wants": {
        "data": [(X, Y // 2, Y % 2, object())],
        "encode": lambda x, high, low: MODEL.encode(x, 2 * high + low),
        "log_likelihood": lambda x, z, high, low: MODEL.log_likelihood(x, z, 2 * high + low),
    },
    "a signature that says nothing": {
        "encode": lambda *given: MODEL.encode(*given),
        "log_likelihood": lambda *given, **named: MODEL.log_likelihood(*given, **named),
    },
    "a signature that says nothing, names": {
        "data": [{"x": X, "y": Y}],
        "encode": lambda *given, **named: MODEL.encode(*given, **named),
    },
    "modules": {"encode": Called(MODEL.encode), "log_likelihood": Called(MODEL.log_likelihood)},
}


@pytest.mark.parametrize("case", CASES)
def test_the_bound_is_that_of_x_given_its_condition(case):
    report = run(**CASES[case])
    assert report.nll_bound == pytest.approx(TRUE, abs=0.02)
    assert report.importance["q"].nll.value == pytest.approx(TRUE, abs=0.02)
    assert report.active_units == 2


def test_the_conditions_go_along_with_repeated_examples():
    """The exact posterior makes every weight the same; the conditions of others would spread them."""
    report = run(data=[(X[:7], Y[:7]), (X[7:], Y[7:])], iw_samples=300)
    assert report.importance["q"].ess.value == pytest.approx(300, rel=1e-3)


def test_a_label_is_ignored_where_nobody_asks_for_it():
    def encode(x):
        return MODEL.encode(x, torch.zeros(len(x), dtype=torch.long))

    def log_likelihood(x, z):
        return MODEL.log_likelihood(x, z, torch.zeros(len(x), dtype=torch.long))

    plain = run(encode, log_likelihood, X, batch_size=200).nll_bound
    assert run(encode, log_likelihood).nll_bound == plain
    assert run(encode, log_likelihood, [(part, object()) for part in X.split(200)]).nll_bound == plain
    assert run(encode, log_likelihood, [{"x": part, "y": object()} for part in X.split(200)]).nll_bound == plain
    assert run(lambda *given: encode(*given), log_likelihood).nll_bound == plain


def test_one_of_the_two_alone_may_ask():
    narrow = MODEL.variance.log()
    report = run(encode=lambda x: (torch.zeros(len(x), 2), narrow.expand(len(x), 2)))
    assert report.nll_bound > TRUE


def test_an_optional_parameter_gets_nothing_from_a_tuple_and_the_report_says_so():
    def encode(x, y=None):
        return MODEL.encode(x, torch.zeros(len(x), dtype=torch.long) if y is None else y)

    report = run(encode)
    assert report.nll_bound > TRUE + 1
    assert any("encode's optional 'y' was not given" in note for note in report.notes)
    named = run(encode, data=by_name())
    assert named.nll_bound == pytest.approx(TRUE, abs=0.02)
    assert not any("optional" in note for note in named.notes)


def test_what_a_partial_has_bound_is_not_replaced():
    right = run(data=[(X, Y)], iw_samples=1).rate
    others = [{"x": X, "y": Y, "bound": (Y + 1) % CLASSES}]
    fixed = functools.partial(lambda x, bound: MODEL.encode(x, bound[: len(x)]), bound=Y)
    assert run(fixed, data=others, iw_samples=1).rate == pytest.approx(right)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_conditions_of_floats_come_in_the_precision_of_x(kind):
    """As one-hot numbers of another precision than the model's, numpy's float64 for instance."""
    encoder, decoder = nn.Linear(9, 4).to(kind).eval(), nn.Linear(5, 6).to(kind).eval()
    onehot, seen = np.eye(3)[Y.numpy()], set()

    def decode(z, c):
        return decoder(torch.cat((z, c), 1))

    def log_likelihood(x, z, c):
        seen.add(x.dtype)
        return gaussian(decode)(x, z, c)

    def of(c):
        return diagnose(
            lambda x, c: encoder(torch.cat((x, c), 1)).chunk(2, 1),
            log_likelihood,
            [(X, c)],
            iw_samples=2,
        ).nll_bound

    assert of(onehot) == of(torch.tensor(onehot, dtype=torch.float32)) == of(onehot.astype("f2"))
    assert seen == {torch.float32 if kind == torch.bfloat16 else kind}


def test_named_sets_hand_their_labels_on():
    seen = set()

    def log_likelihood(x, z, y):
        seen.update(y.tolist())
        return Normal(z[:, :1, None, None].expand_as(x), 1.0).log_prob(x).flatten(1).sum(1)

    digits = named_batches("digits")
    report = diagnose(lambda x: (x.flatten(1)[:, :2], -torch.ones(len(x), 2)), log_likelihood, digits, iw_samples=1)
    assert seen == set(range(10))
    assert report.examples == sum(len(x) for x, _ in digits)


WRONG = {
    "no condition": ({"data": X}, r"encode wants y besides x, and a batch holds x alone; give batches of \(x, y\)"),
    "one too few": (
        {"log_likelihood": lambda x, z, y, other: 0},
        "log_likelihood wants y, other besides x and z, and a batch holds x and 1 more",
    ),
    "by another name": (
        {"data": [{"x": X, "label": Y}]},
        "encode wants y besides x, and a batch holds the keys 'label'",
    ),
    "by keyword, of a tuple": ({"encode": lambda x, *, y: MODEL.encode(x, y)}, r"encode wants y .*\{'x': x, 'y': y\}"),
    "no x of that name": ({"data": [{"pixels": X}], "x_key": "image"}, "dict of 'pixels', and which .*x_key='pixels'"),
    "no x": ({"data": [{"pixels": X, "y": Y}]}, "dict of 'pixels', 'y', and which of them is x .*say x_key='pixels'"),
    "of another length": ({"data": [(X, Y[:5])]}, r"a condition has the shape \[5\] for a batch of 900"),
    "an object": ({"data": [(X, object())]}, "a condition has type .* one entry an example"),
    "lost on the way": ({"data": [(X, Y), (X,)]}, "a later batch holds 1 things"),
    "a name lost on the way": ({"data": [{"x": X, "y": Y}, {"x": X}]}, "a later batch has no 'y'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_missing_is_said(case):
    given, pattern = WRONG[case]
    with pytest.raises(InputError, match=pattern) as caught:
        run(**given, iw_samples=1)
    assert "\n" not in str(caught.value)


class Handing:
    """As the likelihood helpers are: what stands behind z is handed on to the decoder, by place."""

    def __init__(self, decode):
        self.decode = decode

    def __call__(self, x, z, *conditions):
        return Normal(self.decode(z, *conditions), NOISE).log_prob(x).sum(1)


@pytest.mark.parametrize("data", [[(X, Y, object())], [{"y": Y, "other": 3, "x": X}]])
def test_a_likelihood_that_hands_conditions_on_takes_those_of_its_decoder(data):
    assert run(log_likelihood=Handing(MODEL.decode), data=data).nll_bound == pytest.approx(TRUE, abs=0.02)


def test_causes_are_judged_given_the_conditions():
    """What a condition explains is no signal that a dimension leaves: a third of these dimensions has nothing to do."""

    def encode(x, y):
        mu, logvar = MODEL.encode(x, y)
        return torch.cat((mu, torch.zeros(len(x), 1)), 1), torch.cat((logvar, torch.zeros(len(x), 1)), 1)

    helper = gaussian(lambda z, y: MODEL.decode(z[:, :2], y), std=NOISE)
    for data in ([(X[:700], Y[:700], object()), (X[700:], Y[700:], object())], by_name()):
        report = run(encode, helper, data)
        assert report.nll_bound == pytest.approx(TRUE, abs=0.02)
        assert report.causes == [None, None, "no signal"]
    deaf = gaussian(lambda z, y: MODEL.decode(z[:, :2], torch.zeros_like(y)), std=NOISE)
    assert run(encode, deaf).causes[2] not in (None, "no signal")


def test_a_callable_that_hands_no_condition_on_is_told_how():
    pattern = (
        r"decode\(\) missing 1 required positional argument: 'y'; "
        r"what a batch holds besides x .*`lambda x, z, y: \.\.\.`"
    )
    with pytest.raises(InputError, match=pattern):
        run(log_likelihood=lambda x, z: gaussian(MODEL.decode)(x, z))


def test_conditions_stay_with_their_examples_wherever_x_is_asked_of():
    asked = set()

    def encode(x, first):
        assert torch.equal(x[:, 0], first)
        asked.add(len(x))
        return MODEL.encode(x, torch.zeros(len(x), dtype=torch.long))

    def log_likelihood(x, z, first):
        if not torch.equal(x[:, 0], first):  # x of others may be asked of, as when a likelihood is read off
            assert torch.equal(x.sort(0).values[:, 0], first.sort().values) or x.requires_grad
        asked.add(-len(x))
        return MODEL.log_likelihood(x, z, torch.zeros(len(x), dtype=torch.long))

    run(encode, log_likelihood, [(part, part[:, 0]) for part in X.split(300)])
    assert asked >= {300, 150, -64, -32, -128}
