"""Invented records of the paper's figures, small and plain, as `reproduce` writes them."""

from typing import Any

import numpy as np

__all__ = ["RECORDS", "figure_record"]

_EPOCHS = [1, 2, 5, 10, 20]


def _causes() -> dict[str, Any]:
    std = np.linspace(0.05, 0.98, 20)
    ratios = [
        {"alpha": alpha, "ratio": (2 * (1 - std) ** alpha / (1 / std - std)).tolist(), "at_collapse": at, "peak": 0.5,
         "crosses_one_at": 0.5 if alpha < 1 else None, "g0_of_an_active_state": 4.0 if alpha > 1 else None}
        for alpha, at in ((0.5, 100.0), (2.0, 1e-9))
    ]  # fmt: skip
    return {
        "std": std.tolist(), "g0": 2.0, "ratios": ratios, "signal_power": 1.5, "reference_std": 0.1, "encoded": 2.5,
        "channel_std": std.tolist(), "information": (2.5 - 2 * std).tolist(), "gap": (2 * std).tolist(),
        "attenuation": (1 - 0.8 * std).tolist(), "attenuation_matched": (1 - std).tolist(),
        "information_at_collapse": 0.458,
    }  # fmt: skip


def _equalization() -> dict[str, Any]:
    times, std = np.linspace(0, 6, 10), np.linspace(0.5, 0.99, 30)
    starts, critical = [0.1, 0.35, 0.9], [0.707, 0.816]
    return {
        "exponent": 2.0, "attractor": 0.5, "times": times.tolist(), "starts": starts,
        "paths": [(0.5 + (start - 0.5) * np.exp(-times)).tolist() for start in starts], "farthest_at_end": 0.001,
        "rates": [1.0, 1.0, 1.0], "pulls": [-0.5, -2.0], "balance": [0.7, 0.45], "std": std.tolist(),
        "deltas": [2.0, 3.0], "critical": critical,
        "curves": [np.maximum(1, np.log(c) / np.log(std)).tolist() for c in critical],
    }  # fmt: skip


def _mixture_run(method: str, awake: bool, components: int) -> dict[str, Any]:
    random, n = np.random.default_rng(0), 40
    steps = np.linspace(0, 1, len(_EPOCHS))
    asleep = (0.9 + 0.095 * steps) if not awake else (0.9 - 0.5 * steps)
    std = np.stack([0.9 - 0.6 * steps, asleep], 1)
    component = np.arange(n) % components
    x = random.normal(0, 0.3, (n, 2)) + component[:, None]
    information = 5.8 if awake else 2.0
    return {
        "label": "λ-VAE δ=1.001" if awake else "VAE", "method": method, "delta": 1.001 if awake else None, "beta": 1.0,
        "seed": 0, "epochs": _EPOCHS[-1], "epoch": _EPOCHS, "gradient_ratio": (0.02 + std**-1 - 1).tolist(),
        "reconstruction_gradient": (-np.maximum(0.98 - std, 0)).tolist(), "std_mean": std.tolist(),
        "signal_power": (1 - std**2).clip(0.001).tolist() if awake else [[0.7, 0.001]] * len(_EPOCHS),
        "exponent": [3.0, 4.0] if awake else None,
        "readings": [{"epoch": e, "information": information * (0.5 + i / 8), "stderr": 0.02, "cap": 5.86,
                      "saturated": awake, "identity": _sides(0.2 + i / 8)} for i, e in enumerate(_EPOCHS)],
        "noise": [0.03, 0.03], "rmse": [0.1, 0.2], "data_std": [1.0, 0.5],
        "agreement": {"latent": 0.9, "reconstruction": 0.95}, "component": component.tolist(), "x": x.tolist(),
        "z": (x - x.mean(0)).tolist(), "decoded": (0.9 * x).tolist(),
    }  # fmt: skip


def _sides(value: float) -> dict[str, Any]:
    apart = {"left": value, "right": value + 0.01, "difference": -0.01}
    return {name: {"value": one, "stderr": 0.01, "reason": ""} for name, one in apart.items()}


def _mixtures() -> dict[str, Any]:
    return {
        "panels": [
            {
                "data": f"gaussian-mixture-{k}",
                "runs": [_mixture_run(method, awake, k) for method, awake in (("vae", False), ("lambda-vae", True))],
            }
            for k in (2, 4)
        ]
    }


def _histograms() -> dict[str, Any]:
    runs = []
    for label, method, delta, beta, last in (
        ("VAE", "vae", None, 1.0, [1.0] * 16 + [0.3] * 14),
        ("β-VAE β=0.5", "beta-vae", None, 0.5, [1.0] * 8 + [0.3] * 22),
        ("λ-VAE δ=1.01", "lambda-vae", 1.01, 1.0, [0.4] * 30),
    ):
        std = np.linspace(np.full(30, 0.98), last, len(_EPOCHS))
        exponent = np.full(std.shape, 5.3 if delta else 1.0)
        runs.append({
            "label": label, "method": method, "delta": delta, "beta": beta, "seed": 0, "epochs": _EPOCHS[-1],
            "epoch": _EPOCHS, "std": std.tolist(), "exponent": exponent.tolist(),
        })  # fmt: skip
    return {"runs": runs}


def _pictures() -> dict[str, Any]:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (4, 8, 8)).tolist()
    runs = []
    for label, method, delta, cost, judged in (
        ("VAE", "vae", None, 90.0, -1900.0),
        ("λ-VAE δ=1.19", "lambda-vae", 1.19, 80.0, -1776.0),
        ("λ-VAE δ=1.01", "lambda-vae", 1.01, 60.0, -2167.0),
    ):
        runs.append({
            "label": label, "method": method, "delta": delta, "beta": 1.0, "seed": 0, "epochs": 20,
            "reconstructions": images, "samples": images, "reconstruction": cost, "nll_bound": cost + 25.0,
            "surrogate_nll": cost + 20.0, "prior_elbo": judged, "prior_elbo_stderr": 5.0, "prior_elbo_judge": "a judge",
        })  # fmt: skip
    return {"originals": images, "runs": runs}


def _pair(**of_method: Any) -> dict[str, Any]:
    """A panel with both runs; each keyword holds the plain run's value and ours."""
    runs = []
    for place, (label, method, delta) in enumerate((("VAE", "vae", None), ("λ-VAE δ=1.001", "lambda-vae", 1.001))):
        own = {name: values[place] for name, values in of_method.items()}
        runs.append({
            "label": label, "run": f"{method}-seed0", "method": method, "delta": delta, "beta": 1.0, "seed": 0,
            "epochs": _EPOCHS[-1], "latent_dim": 512, **own,
        })  # fmt: skip
    return {"data": "cifar10", "runs": runs}


def _capacities() -> dict[str, Any]:
    rising = np.array([0.1, 0.3, 0.7, 0.9, 1.0])
    panel = _pair(
        epoch=(_EPOCHS, _EPOCHS), ramp_epochs=(0, 8), active_units=(339, 512), snr_capacity=(628.0, 1760.0),
        snr_capacity_predicted=(None, 1768.0), decoder_capacity=(169.0, 361.0),
        snr_capacity_by_epoch=((600 * rising).tolist(), (1700 * rising).tolist()),
        decoder_capacity_by_epoch=((170 * rising).tolist(), (350 * rising).tolist()),
    )  # fmt: skip
    return {"panels": [panel]}


def _alignments() -> dict[str, Any]:
    std = np.linspace(0.1, 0.95, 30)
    exponent = np.minimum(20, np.log(1 - 1 / 1.001) / (2 * np.log(std))).clip(1)
    panel = _pair(
        std=(np.linspace(0.2, 0.99, 30).tolist(), (std - 0.001).tolist()), running_std=(None, std.tolist()),
        exponent=([1.0] * 30, exponent.tolist()), max_exponent=(20.0, 20.0), refresh_every=(5, 5), decay=(0.9, 0.9),
        ramp=(1.0, 1.0),
    )  # fmt: skip
    return {"panels": [panel]}


def _colours() -> dict[str, Any]:
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).tolist()
    wrong, right = np.linspace(0.03, 0.05, 16), np.linspace(0.01, 0.02, 16)
    panel = _pair(
        reconstructions=(images, images), squared_error=(wrong.tolist(), right.tolist()), detail=(0.2, 0.6),
        surrogate_bpd=(4.645, 4.314), nll_bound_bpd=(4.645, 4.6), decoder_capacity=(169.0, 361.0),
        snr_capacity=(628.0, 1760.0), active_units=(339, 512),
    )  # fmt: skip
    return {"panels": [{**panel, "originals": images}]}


def _by_pixel() -> dict[str, Any]:
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).tolist()
    wrong, right = np.linspace(0.03, 0.05, 16), np.linspace(0.01, 0.02, 16)

    def modes(own: Any, other: Any) -> dict[str, Any]:
        mode = {"reconstructions": images, "squared_error": own.tolist(), "squared_error_of_other_code": other.tolist()}
        return {"greedy": mode, "ancestral": dict(mode)}

    panel = _pair(
        modes=(modes(wrong, wrong), modes(right, wrong)), surrogate_bpd=(3.518, 3.494), nll_bound_bpd=(3.518, 3.6),
        decoder_capacity=(12.1, 75.0), snr_capacity=(100.0, 1700.0), active_units=(134, 512),
    )  # fmt: skip
    return {"panels": [{**panel, "originals": images}]}


RECORDS = {
    "figure1": _causes,
    "figure2": _equalization,
    "figure3": _mixtures,
    "figure4": _histograms,
    "figure5": _pictures,
    "figure6": _capacities,
    "figure7": _alignments,
    "figure8": _colours,
    "figure9": _by_pixel,
}


def figure_record(name: str) -> dict[str, Any]:
    """A whole record, fresh at each call."""
    provenance = {"command": f"lambda-vae reproduce {name}", "commit": "0123abc", "seeds": [0]}
    return {"figure": name, "numbers": RECORDS[name](), "provenance": provenance, "notes": ["A note."]}
