"""What a run is said to cost, beside what can be counted by hand."""

from itertools import accumulate

import numpy as np
import pytest
from flat_runs import run_of
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from lambda_vae.data import Dataset, Split
from lambda_vae.runs import Run
from lambda_vae.runs.cost import DEVICES, UTILISATION, cost_of, cost_table
from lambda_vae.runs.step_cost import TimedRun


def data(shape, n=40):
    x = np.zeros((n, int(np.prod(shape))), np.uint8)
    return Dataset("toy", "image", shape, Split(x, None), Split(x[:4], None), "0", "toy", None)


def cost(dataset, **values):
    return cost_of(Run.resolve(run_of(**values), dataset), limit=0.0)


def test_flops_of_an_mlp_are_those_of_its_products():
    found = cost(data((8, 8)), method="vae", hidden=(16,), latent_dim=4, batch_size=10, epochs=3)
    products = [(64, 16), (16, 8), (4, 16), (16, 64)]
    forward = sum(2 * a * b for a, b in products)
    backward = 2 * forward - 2 * 64 * 16  # x wants no gradient
    assert found.flops_per_example == forward + backward
    assert found.weights == sum(a * b + b for a, b in products)
    assert (found.examples, found.steps) == (120, 12)
    assert found.flops == 120 * found.flops_per_example
    device = DEVICES[0]
    assert found.hours(device, 4) == pytest.approx(found.flops / (UTILISATION * device.tf32 * 4) / 3600)


SMALL = {"network": "resnet", "likelihood": "logistic-mixture", "encoder_width": 4, "decoder_width": 8}


def test_memory_falls_with_parts_and_with_recomputing():
    whole, parts, again = (
        cost(data((8, 8, 3)), method="vae", latent_dim=4, batch_size=10, **SMALL, **more)
        for more in ({}, {"accumulate": 5}, {"recompute": True})
    )
    kept = whole.kept_per_example
    assert whole.memory - parts.memory == pytest.approx(kept * (10 - 2), rel=0.2)  # later parts find gradients there
    assert again.kept_per_example < kept
    assert again.memory < whole.memory
    assert again.flops_per_example > whole.flops_per_example


def real_step(config, dataset):
    """FLOPs of a true step, and the bytes that it has at once beside what it found, by torch's profiler."""
    timed = TimedRun(config, dataset, 1)
    timed.turn()
    with FlopCounterMode(display=False) as counter:
        timed.turn()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        timed.turn()
    events = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return counter.get_total_flops(), max(accumulate(event.nbytes() for event in events)), timed.trainer


@pytest.mark.parametrize("method", ["vae", "lambda-vae", "iwae", "semi-amortized", "aae", "wae", "vamp-prior"])
def test_a_step_is_counted_as_it_is(method):
    config = run_of(method=method, hidden=(64,), latent_dim=8, batch_size=40)
    found = cost_of(Run.resolve(config, data((12, 12), 200)), limit=0.0)
    flops, grown, trainer = real_step(config, data((12, 12), 200))
    assert found.flops_per_example * 40 == pytest.approx(flops)
    resting = [*trainer.vae.parameters(), *trainer.vae.buffers()]
    resting += [value for state in trainer.stepper.optimizer.state.values() for value in state.values()]
    if method == "aae":  # its discriminator and its optimiser
        resting += [*trainer.strategy.network.parameters()] * 3
    assert found.memory == pytest.approx(sum(one.nbytes for one in resting) + grown, rel=0.15)


def test_samples_and_an_encoder_that_leads_are_counted():
    small = {"hidden": (64,), "latent_dim": 8, "batch_size": 40, "epochs": 5}
    vae, iwae, lagging = (cost(data((12, 12), 200), method=name, **small) for name in ("vae", "iwae", "lagging"))
    encoder, decoder = 2 * (144 * 64 + 64 * 16), 2 * (8 * 64 + 64 * 144)
    assert vae.flops_per_example == 3 * (encoder + decoder) - 2 * 144 * 64  # x wants no gradient
    assert iwae.flops_per_example == 3 * (encoder + 50 * decoder) - 2 * 144 * 64
    assert iwae.memory > 3 * vae.memory
    assert lagging.flops_per_example == vae.flops_per_example
    assert vae.leads == iwae.leads == (1.0, 1.0)
    # Twenty steps of the encoder before each of the first epoch at least, a hundred before every one at most.
    assert lagging.leads == pytest.approx((1.0 + 20 / 5, 1.0 + 100))
    table = cost_table(lagging, "a run")
    assert "An encoder leads for as long as it takes" in table.caption
    assert " to " in list(table.columns[1].cells)[3]


def test_the_table_states_what_it_assumes():
    table = cost_table(cost(data((8, 8, 3), 200), method="vae", latent_dim=4, **SMALL), "a run")
    assert "a device reaches 30% of its dense peak (TF32)" in table.caption
    assert table.row_count == 6 + 2 * len(DEVICES)
