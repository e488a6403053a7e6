"""What a run is said to cost, beside what can be counted by hand."""

import numpy as np
import pytest
from flat_runs import run_of

from lambda_vae.data import Dataset, Split
from lambda_vae.runs import Run
from lambda_vae.runs.cost import DEVICES, UTILISATION, cost_of, cost_table


def data(shape, n=40):
    x = np.zeros((n, int(np.prod(shape))), np.uint8)
    return Dataset("toy", "image", shape, Split(x, None), Split(x[:4], None), "0", "toy", None)


def test_flops_of_an_mlp_are_those_of_its_products():
    found = cost_of(
        Run.resolve(run_of(method="vae", hidden=(16,), latent_dim=4, batch_size=10, epochs=3), data((8, 8)))
    )
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
        cost_of(Run.resolve(run_of(method="vae", latent_dim=4, batch_size=10, **SMALL, **more), data((8, 8, 3))))
        for more in ({}, {"accumulate": 5}, {"recompute": True})
    )
    kept = whole.kept_per_example
    assert whole.memory - parts.memory == pytest.approx(kept * (10 - 2))
    assert again.kept_per_example < kept
    assert again.flops_per_example > whole.flops_per_example


def test_the_table_states_what_it_assumes():
    table = cost_table(cost_of(Run.resolve(run_of(method="vae", latent_dim=4, **SMALL), data((8, 8, 3), 200))), "a run")
    assert "a device reaches 30% of its dense peak (TF32)" in table.caption
    assert table.row_count == 6 + 2 * len(DEVICES)
