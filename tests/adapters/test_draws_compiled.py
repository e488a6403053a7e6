"""Draws under torch.compile, torch.func and gradient checkpointing; no step waits for the device."""

import pytest
import torch
from apart import run_apart
from drawn_hosts import D, Method, built
from test_draw_sites import EVERY, X, narrowed
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from lambda_vae.equalizing import equalize

COMPILED = """
import copy

import torch
from drawn_hosts import HOSTS, D, built

from lambda_vae.equalizing import equalize

x = torch.randn(50, 8)
for name in HOSTS:
    torch._dynamo.reset()
    model, told = built(name)
    equalizer = equalize(model, D, 1.05, **told)
    if name not in ("method", "keyword", "static", "layer"):  # these may be compiled before the first step
        for _ in range(90 if name == "inline" else 4):
            model(x)
    twin = copy.deepcopy(model)
    compiled = torch.compile(twin, backend="aot_eager", fullgraph=True)
    for exponent in (1.0, 3.0, 1.0):
        for one in (equalizer, twin.equalizer):
            one.exponent.fill_(exponent)
            _ = one.narrows
        torch.manual_seed(2)
        ours = compiled(x)
        torch.manual_seed(2)
        torch.testing.assert_close(ours, model(x), msg=name)
        ours.sum().backward()
    assert torch.equal(*(one.get_extra_state() for one in (equalizer, twin.equalizer))), name
"""


def test_under_torch_compile_every_host_is_one_graph():
    run_apart(COMPILED)


class NoLook(TorchDispatchMode):
    """Stops at the operation by which Python looks at a number, which on a GPU waits for the device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert "_local_scalar_dense" not in str(func)
        return func(*args, **(kwargs or {}))


@EVERY
def test_once_a_draw_is_clear_no_step_waits_for_the_device(name):
    model, _, equalizer = narrowed(name)
    for _ in range(90 if name == "inline" else 1):  # which reads 100,000 numbers of the draw first
        model(X)
    _ = equalizer.narrows
    for site in (*equalizer.sites, *filter(None, (one.of_later for one in equalizer.sites))):
        site._next_look = 10**9
    normal = torch.distributions.Distribution._validate_args
    torch.distributions.Distribution.set_default_validate_args(False)  # torch's own looks
    try:
        with NoLook():
            model(X).sum().backward()
    finally:
        torch.distributions.Distribution.set_default_validate_args(normal)


def test_a_wrapper_that_compiles_is_the_model():
    model, _ = built("method")
    equalizer = equalize(torch.compile(model, backend="aot_eager"), D, 1.05)
    assert equalizer is model.equalizer
    assert equalize(model, D, 1.05) is equalizer


def test_a_part_that_is_compiled_is_one_place():
    model = nn.Module()
    model.part = torch.compile(Method(), backend="aot_eager")
    equalizer = equalize(model, D, 1.05)
    assert equalize(model, D, 1.05, method="part.reparameterize") is equalizer
    assert repr(equalizer.sites[0]).startswith("Method.reparameterize: ")


def test_within_torch_func_it_is_measured_beforehand_and_observes_each_example():
    model, _ = built("method")
    equalizer = equalize(model, D, 1.05)
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    loss = lambda own, x: functional_call(model, own, (x[None],)).square().sum()  # noqa: E731
    slopes = vmap(grad(loss), in_dims=(None, 0), randomness="different")(parameters, X[:50])
    assert slopes["e.weight"].shape == (50, 2 * D, 8)
    equalizer.end_epoch()
    equalizer.end_epoch()
    torch.testing.assert_close(equalizer.running_std, torch.exp(0.5 * model.encode(X[:50])[1]).mean(0))


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_draw_that_checkpointing_repeats_is_one(reentrant):
    model, _, equalizer = narrowed("method")
    plain, _, other = narrowed("method")
    torch.manual_seed(0)
    checkpoint(model, X.clone().requires_grad_(), use_reentrant=reentrant).square().sum().backward()
    torch.manual_seed(0)
    plain(X).square().sum().backward()
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    for one in (equalizer, other):
        one.end_epoch()
        one.end_epoch()
    assert torch.equal(equalizer.running_std, other.running_std)
