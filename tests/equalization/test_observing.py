"""What counts as observed: masks, transforms of torch.func, recomputation, compiled code, steps that end an epoch."""

import math

import pytest
import torch
from apart import run_apart
from torch import Tensor, nn
from torch.func import functional_call, grad, hessian, jacrev, jvp, vmap
from torch.utils.checkpoint import checkpoint

from lambda_vae.equalization import VarianceEqualizer, optimal_exponent, sampling_std
from lambda_vae.errors import InputError

CHANCE = torch.Generator().manual_seed(4)
X = torch.randn(20, 4, generator=CHANCE)


class Model(nn.Module):
    """Somebody's VAE that draws through an equalizer."""

    def __init__(self, **options: int) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(4, 6), nn.Linear(3, 4)
        self.equalizer = VarianceEqualizer(3, 1.05, refresh_every=1, **options)

    def std(self, x: Tensor) -> Tensor:
        return self.encoder(x)[..., 3:].sigmoid()

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        mu, std = self.encoder(x)[..., :3], self.std(x)
        return self.decoder(self.equalizer(mu, std, torch.zeros_like(std), mask))


def loss(model: Model):
    """A loss of the weights and one example, as per-sample gradients want it."""
    return lambda weights, x, mask=None: functional_call(model, weights, (x, mask)).square().sum()


def sums(model: Model) -> tuple[list[float], float]:
    seen = model.equalizer.get_extra_state()
    assert len(set(seen[3].tolist())) == 1
    return seen[0].tolist(), seen[3, 0].item()


MASK = torch.arange(20) % 3 == 0
TRANSFORMS = {
    "none": (lambda f, w: f(w, X), range(20)),
    "grad": (lambda f, w: grad(f)(w, X), range(20)),
    "vmap": (lambda f, w: vmap(f, in_dims=(None, 0))(w, X), range(20)),
    "vmap of grad": (lambda f, w: vmap(grad(f), in_dims=(None, 0))(w, X), range(20)),
    "vmap of grad of batches": (lambda f, w: vmap(grad(f), in_dims=(None, 0))(w, X.view(5, 4, 4)), range(20)),
    "vmap along the last axis": (lambda f, w: vmap(grad(f), in_dims=(None, 1))(w, X.T), range(20)),
    "vmap of vmap of grad": (
        lambda f, w: vmap(vmap(grad(f), in_dims=(None, 0)), in_dims=(None, 0))(w, X.view(4, 5, 4)),
        range(20),
    ),
    "jacrev": (lambda f, w: jacrev(f)(w, X), range(20)),
    "jvp": (lambda f, w: jvp(lambda x: f(w, x), (X,), (X,)), range(20)),
    "hessian": (lambda f, w: hessian(lambda x: f(w, x))(X[0]), range(1)),
    "mask": (lambda f, w: f(w, X, MASK), range(0, 20, 3)),
    "grad with a mask": (lambda f, w: grad(f)(w, X, MASK), range(0, 20, 3)),
    "vmap of grad with masks": (lambda f, w: vmap(grad(f), in_dims=(None, 0, 0))(w, X, MASK), range(0, 20, 3)),
    "vmap of grad, one mask for all": (
        lambda f, w: vmap(grad(f), in_dims=(None, 0, None))(w, X.view(5, 4, 4), torch.arange(4) < 1),
        range(0, 20, 4),
    ),
}


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # torch's own way to a jvp
@pytest.mark.parametrize("name", TRANSFORMS)
def test_each_example_counts_once_whatever_transform_of_torch_func_it_is_under(name: str) -> None:
    transform, counted = TRANSFORMS[name]
    model = Model()
    transform(loss(model), {key: value.detach() for key, value in model.named_parameters()})
    total, count = sums(model)
    assert count == len(counted)
    assert total == pytest.approx(model.std(X)[list(counted)].double().sum(0).tolist(), rel=1e-6)


def test_per_sample_gradients_are_those_of_the_plain_model() -> None:
    model = Model()
    weights = {key: value.detach() for key, value in model.named_parameters()}
    each = vmap(grad(loss(model)), in_dims=(None, 0))(weights, X)["encoder.weight"].sum(0)
    model(X).square().sum().backward()
    torch.testing.assert_close(each, model.encoder.weight.grad)


def test_a_functional_call_takes_a_whole_state_dict() -> None:
    model, other = Model(), Model()
    other(X)
    other.equalizer.end_epoch()
    called = functional_call(model, other.state_dict(), (X,))
    torch.testing.assert_close(called, other(X))
    assert not model.equalizer.narrows
    assert sums(model)[1] == 20


@pytest.mark.parametrize(
    ("shape", "dim", "mask_shape"),
    [
        ((20, 3), -1, (20,)),
        ((20, 3), -1, (1,)),
        ((5, 4, 3), -1, (5, 4)),
        ((5, 4, 3), -1, (4,)),
        ((5, 4, 3), -1, (5, 1)),
        ((2, 5, 4, 3), -1, (5, 4)),
        ((5, 3, 2, 4), 1, (5, 1, 1)),
        ((5, 3, 2, 4), 1, (2, 4)),
        ((3,), -1, ()),
    ],
)
@pytest.mark.parametrize("release_capacity", [None, 0.5])
def test_a_mask_leaves_out_what_is_padding(
    shape: tuple[int, ...], dim: int, mask_shape: tuple[int, ...], release_capacity: float | None
) -> None:
    std, mu = torch.rand(shape, generator=CHANCE) + 0.1, torch.randn(shape, generator=CHANCE)
    mask = torch.rand(mask_shape, generator=CHANCE) < 0.6
    rows = mask.expand(std.movedim(dim, -1).shape[:-1])
    masked, chosen = (VarianceEqualizer(3, 1.05, dim=axis, release_capacity=release_capacity) for axis in (dim, -1))
    hidden = ~rows.unsqueeze(dim)
    masked.observe(std.masked_fill(hidden, math.nan), mu.masked_fill(hidden, math.inf), mask)
    chosen.observe(std.movedim(dim, -1)[rows], mu.movedim(dim, -1)[rows])
    torch.testing.assert_close(masked.get_extra_state(), chosen.get_extra_state(), rtol=1e-6, atol=1e-9)


def test_padding_does_not_raise_lambda() -> None:
    equalizer, mask = VarianceEqualizer(2, 1.1), torch.arange(10) < 3
    for _ in range(2):
        std = torch.full((50, 10, 2), 0.2)
        std[:, 3:] = 1.0
        equalizer(torch.zeros_like(std), std, mask=mask)
        equalizer.observe(std, mask=torch.tensor(False))  # a batch of padding alone adds nothing
        equalizer.end_epoch()
    assert equalizer.exponent.tolist() == [optimal_exponent(0.2, 1.1)] * 2 == [1.0, 1.0]


@pytest.mark.parametrize(
    ("give", "message"),
    [
        ({"mask": torch.ones(20, 3, dtype=torch.bool)}, r"of shape \(20, 3\); .* broadcast against \(20,\)"),
        ({"mask": torch.ones(19, dtype=torch.bool)}, r"of shape \(19,\); .* broadcast against \(20,\)"),
        ({"std": torch.tensor(0.5)}, r"std has shape \(\); axis -1 must have length 3"),
        ({"std": torch.rand(20, 2)}, r"std has shape \(20, 2\); axis -1 must have length 3"),
        ({"mu": torch.rand(20, 1)}, r"needs mu too of shape \(20, 3\), not \(20, 1\)"),
        ({"mu": None}, r"needs mu too; call observe\(std, mu\)"),
    ],
)
def test_what_does_not_fit_is_refused(give: dict[str, Tensor | None], message: str) -> None:
    equalizer = VarianceEqualizer(3, 1.05, release_capacity=0.5)
    with pytest.raises(InputError, match=message):
        equalizer.observe(**({"std": torch.rand(20, 3), "mu": torch.rand(20, 3)} | give))
    assert not equalizer.get_extra_state().any()


def test_a_mask_of_numbers_is_refused() -> None:
    # In the code itself, for the run-time checks of types, which tests may switch on, are there first.
    with pytest.raises(InputError, match=r"mask is torch.float32 of shape \(20,\); it must be torch.bool, True where"):
        VarianceEqualizer(3, 1.05)._check(torch.rand(20, 3), None, torch.ones(20))


def test_one_noise_for_several_examples_is_refused() -> None:
    equalizer = VarianceEqualizer(3, 1.05)
    with pytest.raises(InputError, match=r"std has shape \(3,\) and mu \(20, 3\), so that examples would share"):
        equalizer.sample(torch.zeros(20, 3), torch.full((3,), 0.5))
    assert equalizer.sample(torch.zeros(20, 3), torch.full((3,), 0.5), torch.zeros(20, 3)).shape == (20, 3)
    assert equalizer.sample(torch.zeros(20, 3), torch.full((7, 20, 3), 0.5)).shape == (7, 20, 3)


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_what_checkpointing_computes_anew_is_observed_once(use_reentrant: bool) -> None:
    model = Model()
    for batch in X.split(5):
        x = batch.clone().requires_grad_()
        checkpoint(model, x, use_reentrant=use_reentrant).sum().backward()
        assert x.grad is not None
    assert sums(model)[1] == 20


def test_an_epoch_may_end_between_a_forward_and_its_backward_pass() -> None:
    model = Model()
    for _ in range(3):
        exponent = model.equalizer.exponent.clone()
        mu, std, eps = X[:, :3], model.std(X), torch.ones(20, 3)
        z = model.equalizer(mu, std, eps)
        model.equalizer.end_epoch()
        (gradient,) = torch.autograd.grad(z.sum(), std)
        leaf = std.detach().requires_grad_()
        (expected,) = torch.autograd.grad(sampling_std(leaf, exponent).sum(), leaf)
        assert torch.equal(gradient, expected)
    assert model.equalizer.narrows


def test_an_epoch_that_ends_in_inference_mode_is_trained_with() -> None:
    model = Model()
    model(X)
    with torch.inference_mode():
        model.equalizer.end_epoch()
        model.equalizer.plan_release(9)
    model(X).sum().backward()
    assert model.equalizer.narrows


def test_steps_end_the_epoch_when_the_next_begins() -> None:
    by_itself, by_hand = Model(steps_per_epoch=3), Model()
    by_hand.load_state_dict(by_itself.state_dict())
    for step, batch in enumerate(X.split(2)):
        if step and step % 3 == 0:
            by_hand.equalizer.end_epoch()
        assert torch.equal(by_itself(batch), by_hand(batch))
        assert torch.equal(by_itself.equalizer.exponent, by_hand.equalizer.exponent)
        assert int(by_itself.equalizer.epoch) == step // 3
    by_itself.eval()(X)
    assert int(by_itself.equalizer.epoch) == 3
    with pytest.raises(InputError, match=r"steps_per_epoch is 3, so that epochs end by themselves; leave out"):
        by_itself.equalizer.end_epoch()
    with pytest.raises(InputError, match="steps_per_epoch is 0; it must be at least 1"):
        VarianceEqualizer(3, 1.05, steps_per_epoch=0)


def test_steps_count_what_is_trained_once() -> None:
    model = Model(steps_per_epoch=2)
    for batch in X.split(5):
        checkpoint(model, batch.clone().requires_grad_(), use_reentrant=False).sum().backward()
    assert int(model.equalizer.epoch) == 1
    vmap(grad(loss(model)), in_dims=(None, 0))({key: one.detach() for key, one in model.named_parameters()}, X)
    assert int(model.equalizer.epoch) == 2


COMPILED = """
import torch
from test_observing import Model, X, loss
from torch._dynamo.utils import counters
from torch.func import grad, vmap

class Narrowing(Model):
    def forward(self, x):
        mu, std = self.encoder(x)[..., :3], self.std(x)
        self.equalizer.observe(std, mu, torch.ones(len(x), dtype=torch.bool))
        return self.decoder(mu + std * 0.5 if self.equalizer.narrows else mu + std)

for kind in (Model, Narrowing):
    torch._dynamo.reset()
    torch.manual_seed(1)
    model = kind(release_epochs=1, total_epochs=4)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    narrows = []
    for epoch in range(5):
        narrows.append(model.equalizer.narrows)
        for batch in X.split(10):
            compiled(batch).sum().backward()
        assert model.equalizer.get_extra_state()[3, 0] == 20
        model.equalizer.end_epoch()
    assert narrows == [False, True, True, False, False], narrows
    assert not counters["graph_break"], counters["graph_break"]
    assert counters["stats"]["unique_graphs"] == (1 if kind is Model else 2), counters["stats"]
    counters.clear()

model = Model(steps_per_epoch=2)
compiled = torch.compile(model, backend="aot_eager")
for _ in range(5):
    compiled(X).sum().backward()
assert int(model.equalizer.epoch) == 2

model = Model()
weights = {key: value.detach() for key, value in model.named_parameters()}
torch.compile(vmap(grad(loss(model)), in_dims=(None, 0)), backend="aot_eager")(weights, X)
assert model.equalizer.get_extra_state()[3, 0] == 20
"""


def test_compiled_models_are_one_graph_and_observe_the_same() -> None:
    run_apart(COMPILED)
