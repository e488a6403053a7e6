"""Train mode is refused where it changes an answer, and nowhere else; the model's modes are left as found."""

import sys

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from lambda_vae.any_vae import diagnose
from lambda_vae.any_vae.behind import device_of, dtype_of, modules_behind
from lambda_vae.errors import InputError
from lambda_vae.likelihoods import gaussian

X = torch.randn(60, 6, generator=torch.Generator().manual_seed(0))
encoder = nn.Linear(6, 4)  # a global that no lambda below calls; `net.encoder` is another


class Net(nn.Module):
    def __init__(self, *between):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(6, 8), *between, nn.Linear(8, 4))
        self.decoder = nn.Linear(2, 6)

    def encode(self, x):
        return self.encoder(x).chunk(2, 1)


class Own(nn.Module):
    """Drops in train mode, as people write it."""

    def forward(self, x):
        return nn.functional.dropout(x, 0.5, training=self.training)


class Recurrent(nn.Module):
    def __init__(self, layers, dropout):
        super().__init__()
        self.cell = nn.GRU(8, 8, layers, dropout=dropout, batch_first=True)

    def forward(self, x):
        return self.cell(x[:, None])[0][:, 0]


class Attending(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.heads = nn.MultiheadAttention(8, 2, dropout=dropout, batch_first=True)

    def forward(self, x):
        return self.heads(x[:, None], x[:, None], x[:, None])[0][:, 0]


class Transformer(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 1)

    def forward(self, x):
        return self.layers(x[:, None])[:, 0]


class Indifferent(nn.Module):
    """Its code knows of the mode where the data never come by."""

    def forward(self, x):
        return x.tanh()

    def training_step(self, x):
        return x if self.training else -x


def over_maps(norm):
    return nn.Sequential(nn.Unflatten(1, (2, 4)), norm, nn.Flatten())


HARMLESS = {
    "nothing of the kind": lambda: nn.Tanh(),
    "dropout of nothing": lambda: nn.Dropout(0.0),
    "batch norm without a memory": lambda: over_maps(nn.InstanceNorm1d(2)),
    "layer norm": lambda: nn.LayerNorm(8),
    "one recurrent layer": lambda: Recurrent(1, 0.0),
    "two without dropout": lambda: Recurrent(2, 0.0),
    "attention": lambda: Attending(0.0),
    "a transformer without dropout": lambda: Transformer(0.0),
    "another method that asks": Indifferent,
}

HARMFUL = {
    "dropout": (lambda: nn.Dropout(0.1), "its Dropout answers"),
    "alpha dropout": (lambda: nn.AlphaDropout(0.1), "its AlphaDropout answers"),
    "batch norm": (lambda: nn.BatchNorm1d(8), "its BatchNorm1d answers"),
    "instance norm with a memory": (
        lambda: over_maps(nn.InstanceNorm1d(2, track_running_stats=True)),
        "its InstanceNorm1d",
    ),
    "recurrent dropout": (lambda: Recurrent(2, 0.1), "its GRU answers"),
    "attention with dropout": (lambda: Attending(0.1), "its MultiheadAttention answers"),
    "a transformer": (lambda: Transformer(0.1), "its Dropout|its MultiheadAttention"),
    "of one's own": (Own, "its Own answers"),
    "a random slope": (nn.RReLU, "its RReLU answers"),
    "a spectral norm": (lambda: parametrizations.spectral_norm(nn.Linear(8, 8)), "its _SpectralNorm answers"),
    "scripted": (lambda: torch.jit.script(nn.Sequential(nn.Tanh(), nn.Dropout(0.1))), "its RecursiveScriptModule"),
}


def run(net, encode=None, decode=None):
    return diagnose(encode or net.encode, gaussian(decode or net.decoder), X, iw_samples=1)


@pytest.mark.parametrize("case", HARMLESS)
def test_train_mode_without_consequence_is_no_reason_to_refuse(case):
    net = Net(HARMLESS[case]())
    in_train_mode = run(net)
    assert all(module.training for module in net.modules())
    assert run(net.eval()).nll_bound == pytest.approx(in_train_mode.nll_bound, rel=1e-6)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("case", HARMFUL)
def test_train_mode_that_changes_an_answer_is_refused_and_nothing_is_left_behind(case):
    make, pattern = HARMFUL[case]
    net = Net(make())
    net.decoder.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state, modes = torch.get_rng_state(), [module.training for module in net.modules()]
    with pytest.raises(
        InputError, match=rf"encode uses Net in train mode, where ({pattern}).*call model\.eval\(\) before"
    ):
        run(net)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in net.modules()] == modes
    run(net.eval())


def test_what_is_tried_before_is_tried_in_eval_mode():
    net = Net(nn.BatchNorm1d(8))
    before = net.encoder[1].running_mean.clone()
    with pytest.raises(InputError, match="its BatchNorm1d answers"):
        diagnose(net.encode, gaussian(net.decoder), X.double(), iw_samples=1)
    assert torch.equal(net.encoder[1].running_mean, before)


def test_a_part_in_eval_mode_is_enough():
    net = Net(nn.Dropout(0.5))
    net.encoder.eval()
    run(net)
    net.eval().encoder[1].train()
    with pytest.raises(InputError, match="its Dropout answers"):
        run(net)


def test_what_the_callable_does_not_call_is_not_looked_at():
    net = Net(nn.Tanh()).eval()
    net.head = nn.Dropout(0.5)  # in train mode
    run(net)
    run(net, encode=lambda x: net.encoder(x).chunk(2, 1))
    with pytest.raises(InputError, match=r"its Dropout answers differently; call net\.eval"):
        run(net, encode=lambda x: net.head(net.encoder(x)).chunk(2, 1))


def test_the_decoder_is_looked_at_too():
    net = Net(nn.Tanh()).eval()
    drop = nn.Sequential(nn.Dropout(0.5), net.decoder)
    with pytest.raises(InputError, match=r"log_likelihood uses Sequential in train mode, where its Dropout"):
        run(net, decode=lambda z: drop(z))


def test_a_function_that_asks_for_a_mode():
    net = Net(nn.Tanh())
    with pytest.raises(
        InputError, match=r"encode uses Net in train mode, where it answers differently; call net\.eval"
    ):
        run(net, encode=lambda x: nn.functional.dropout(net.encoder(x), training=net.training).chunk(2, 1))


def test_an_attribute_is_no_global_of_the_same_name():
    net = Net(nn.Tanh()).eval()
    assert list(modules_behind(lambda x: net.encoder(x))) == ["net"]
    assert list(modules_behind(lambda x: [encoder(one) for one in x])) == ["encoder"]
    run(net, encode=lambda x: net.encoder(x).chunk(2, 1))


def test_beside_a_profiler_modules_are_judged_by_their_kind():
    sys.setprofile(lambda *event: None)
    try:
        run(Net(nn.Tanh()))
        with pytest.raises(InputError, match="its BatchNorm1d answers"):
            run(Net(nn.BatchNorm1d(8)))
    finally:
        sys.setprofile(None)


def test_device_and_precision_are_those_of_the_first_parameter():
    net = Net().to("meta", torch.bfloat16)
    assert device_of(lambda x: x, lambda x: net(x)) == torch.device("meta")
    assert dtype_of(lambda x: net(x)) == torch.bfloat16
    assert dtype_of(lambda x: x) is None
