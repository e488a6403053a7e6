import math

import pytest

from lambda_vae.diagnostics.states import history_states
from lambda_vae.equalization.theory import gradient_amplification, sampling_std


def history(**extra):
    columns = {
        "std_mean": [[0.9, 0.5], [0.95, 0.4], [0.99, 0.3]],
        "signal_power": [[0.2, 0.7], [0.02, 0.8], [0.001, 0.9]],
        "gradient_ratio": [[1.0, 1.0], [0.9, 1.0], [0.5, 1.0]],
        "decoder_capacity": [[2.0, 3.0], [1.0, 4.0], [0.3, 5.0]],
    }
    return {"epochs": [1, 2, 3], "dimensions": columns, **extra}


def test_states_are_by_dimension_oldest_first():
    states = history_states(history(), 2)
    assert [state.epoch for state in states[0]] == [1, 2, 3]
    assert [state.signal_power for state in states[1]] == [0.7, 0.8, 0.9]


def test_gradient_is_solved_from_the_ratio():
    exponent = [[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]]
    record = history()
    record["dimensions"]["exponent"] = exponent
    state = history_states(record, 2)[0][1]
    assert state.sampling_std == sampling_std(0.95, 2.0)
    pull = abs(state.gradient) * gradient_amplification(0.95, 2.0)
    assert pull / (1 / 0.95 - 0.95) == pytest.approx(0.9)
    assert state.gradient < 0.0


def test_kl_weight_is_the_lower_one_of_the_epoch():
    weights = [state.kl_weight for state in history_states(history(kl_weight=[0.1, 0.2, 0.05]), 2)[0]]
    assert weights == [0.1, 0.1, 0.05]
    assert [state.kl_weight for state in history_states(history(), 2)[0]] == [1.0, 1.0, 1.0]


def test_null_becomes_nan_and_no_history_is_none():
    record = history()
    record["dimensions"]["std_mean"][1][0] = None
    state = history_states(record, 2)[0][1]
    assert math.isnan(state.sampling_std)
    assert math.isnan(state.gradient)
    assert history_states(None, 2) is None
    assert history_states({"epochs": [], "dimensions": {}}, 2) is None
