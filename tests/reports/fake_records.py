"""Invented but realistic records on disk, so that reports can be tested without training anything."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from lambda_vae.files import write_atomic, write_json

HOSTILE = "</script><img src=x onerror=alert(1)>"
CAUSES = ("gradient imbalance", "information gap", "no signal")
# label, delta, how many of 30 dimensions stay awake, bound, surrogate
METHODS: dict[str, tuple[str, float | None, int, float, float]] = {
    "vae": ("VAE", None, 7, 104.60, 104.60),
    "warm-up": ("VAE, warm-up", None, 19, 94.67, 94.67),
    "lambda-1.01": ("λ-VAE δ=1.01", 1.01, 27, 123.78, 69.02),
    "lambda-1.19": ("λ-VAE δ=1.19", 1.19, 17, 102.21, 96.31),
}


def exponent(std: np.ndarray, delta: float | None) -> np.ndarray:
    """Eq. 16, clipped as NOTES.md says; written here a second time so that the fakes need no other room."""
    if delta is None:
        return np.ones_like(std)
    ratio = math.log(1 - 1 / delta) / (2 * np.log(np.minimum(std, 1 - 1e-6)))
    return np.clip(ratio, 1, 20)


def _trajectories(rng: np.random.Generator, awake: int, dims: int, epochs: int, delta: float | None) -> np.ndarray:
    """Mean σ per epoch and dimension, [E, D]: everything starts near 1, sleepers stay there."""
    low, high = (0.25, 0.62) if delta is None else (0.50, 0.62)
    final = np.concatenate([np.sort(rng.uniform(low, high, awake)), 1 - rng.uniform(0.0005, 0.004, dims - awake)])
    progress = 1 - np.exp(-np.arange(1, epochs + 1)[:, None] / rng.uniform(2, 8, dims)[None])
    return np.clip(0.98 + (final - 0.98) * progress + rng.normal(0, 0.003, (epochs, dims)), 0.01, 1.0)


def _images(rng: np.random.Generator, size: int = 28) -> dict[str, np.ndarray]:
    y, x = np.mgrid[0:size, 0:size] / (size - 1) - 0.5

    def ring(a: float, b: float) -> np.ndarray:
        r = np.hypot(x / (0.25 + 0.12 * a), y / (0.32 + 0.1 * b))
        return (255 * np.exp(-(((r - 1) / 0.22) ** 2))).astype(np.uint8)

    codes = rng.uniform(-1, 1, (60, 2))
    values = np.linspace(-2.5, 2.5, 9)
    dims = np.arange(6)
    return {
        "originals": np.stack([ring(a, b) for a, b in codes[:12]]),
        "reconstructions": np.stack([ring(0.8 * a, 0.8 * b) for a, b in codes[:12]]),
        "prior_samples": np.stack([ring(a, b) for a, b in codes[12:44]]),
        "traversal_dims": dims,
        "traversal_values": values,
        "traversals": np.stack([np.stack([ring(v / 3, (d - 3) / 3) for v in values]) for d in dims]),
    }


def _provenance(name: str, seeds: list[int], data: str) -> dict[str, Any]:
    return {
        "command": f"lambda-vae compare --data {data} --epochs 40 --out runs/{name}",
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "dirty": False,
        "versions": {"lambda_vae": "0.1.0", "torch": "2.13.0", "python": "3.11.2", "numpy": "2.4.6"},
        "data": {"name": data, "sha256": "ab" * 32, "source": "four IDX files", "train": 60000, "test": 10000,
                 "binarisation": "stochastic per view in training; test set drawn once, seed 0"},
        "seeds": seeds,
        "started": "2026-01-02T03:04:05+00:00",
        "finished": "2026-01-02T03:08:05+00:00",
        "seconds": 240.0,
        "machine": {"cpu": "a processor", "cores": 2, "threads": 1},
        "options": {"precision": "float32", "matmul": "highest"},
    }  # fmt: skip


def _dimensions(rng: np.random.Generator, std: np.ndarray, lam: np.ndarray, awake: int) -> dict[str, list[Any]]:
    dims = len(std)
    active = np.arange(dims) < awake
    noise = std**lam
    signal = np.where(active, 1 - std**2 * rng.uniform(0.8, 1.0, dims), rng.uniform(1e-6, 2e-3, dims))
    snr = 0.5 * np.log1p(signal / noise**2)
    ratio = np.where(active, rng.uniform(0.7, 1.2, dims), rng.uniform(0.0, 0.2, dims))
    cause = [None if a else (CAUSES[0], *CAUSES)[i % 4]
             for i, a in enumerate(active)]  # fmt: skip
    verdict = ["active" if a else "collapsed" for a in active]
    if awake > 20:
        verdict[0] = "over-sharp"
    return {
        "kl": (0.5 * (std**2 + signal - 1 - 2 * np.log(std)) * active + 1e-4).tolist(),
        "std_mean": std.tolist(), "std_spread": (0.1 * std * active).tolist(), "exponent": lam.tolist(),
        "sampling_std": noise.tolist(), "signal_power": signal.tolist(), "active": active.tolist(),
        "reconstruction_gradient": (-ratio * (1 / std - std)).tolist(), "gradient_ratio": ratio.tolist(),
        "gradient_ratio_stderr": (0.05 * ratio).tolist(), "snr_capacity": snr.tolist(),
        "snr_capacity_predicted": (0.5 * np.log1p(1 / noise**2)).tolist(),
        "decoder_capacity": (12 * signal + 0.01).tolist(), "capacity_lost": (0.3 * (1 - active)).tolist(),
        "verdict": verdict, "cause": cause,
    }  # fmt: skip


def write_run(
    folder: Path,
    kind: str = "vae",
    seed: int = 0,
    dims: int = 30,
    epochs: int = 40,
    *,
    data: str = "mnist",
    label: str | None = None,
    images: bool = True,
    failure: str | None = None,
) -> dict[str, Any]:
    """Write one run's folder and return its row for table.json."""
    rng = np.random.default_rng([seed, dims, sorted(METHODS).index(kind)])
    name, delta, awake30, bound, surrogate = METHODS[kind]
    awake = round((awake30 + (seed % 2) * 1) * dims / 30)
    std = _trajectories(rng, awake, dims, epochs, delta)
    lam = exponent(std, delta)
    detail = _dimensions(rng, std[-1], lam[-1], awake)
    bound, surrogate = (value + rng.normal(0, 0.3) for value in (bound, surrogate))
    if delta is None:
        surrogate = bound
    run = f"{kind}-seed{seed}"
    row: dict[str, Any] = {
        "schema": 1, "run": run, "method": "lambda-vae" if delta else kind, "label": label or name, "delta": delta,
        "beta": 1.0, "release_epochs": 0, "seed": seed, "epochs": epochs, "latent_dim": dims,
        "status": "failed" if failure else "done", "failure": failure, "seconds": 210.3 + seed, "ms_per_step": 10.1,
    }  # fmt: skip
    if not failure:
        row |= {
            "nll_bound": bound, "nll_bound_stderr": 0.21, "surrogate_nll": surrogate, "excess_kl": bound - surrogate,
            "nll_iw": bound + 2, "nll_iw_stderr": 0.2, "nll_iw_samples": 64,
            "nll_iw_proposal": "q" if delta else "q_sampled", "nll_iw_ess": 9.5,
            "nll_iw_by_proposal": {"q": {"value": bound + 2, "stderr": 0.2, "ess": 9.5}},
            "reconstruction": bound - 25.0, "rate": 25.0, "rate_q": 25.0 - bound + surrogate, "active_units": awake,
            "snr_capacity": sum(detail["snr_capacity"]),
            "snr_capacity_predicted": dims / 2 * math.log1p(1 / (1 - 1 / delta)) if delta else None,
            "decoder_capacity": sum(detail["decoder_capacity"]), "mean_std": float(std[-1].mean()),
            "mean_exponent": float(lam[-1].mean()), "linear_probe_accuracy": 0.91, "knn_accuracy": 0.95,
            "verdict": f"{awake} of {dims} latent dimensions are in use.",
            "verdict_counts": {v: detail["verdict"].count(v) for v in ("active", "collapsed", "over-sharp")},
            "cause_counts": {c: detail["cause"].count(c) for c in CAUSES},
        }  # fmt: skip
    write_json(folder / "metrics.json", row | ({} if failure else {"dimensions": detail}))
    write_json(folder / "provenance.json", _provenance(run, [seed], data))
    write_atomic(folder / "config.yaml", f"method: {kind}\nepochs: {epochs}\n")
    _write_history(folder, rng, std, lam, bound, awake, epochs)
    if images and not failure:
        np.savez(folder / "images.npz", **_images(rng))
    return row


def _write_history(
    folder: Path, rng: np.random.Generator, std: np.ndarray, lam: np.ndarray, bound: float, awake: int, epochs: int
) -> None:
    t = np.arange(1, epochs + 1)
    loss = bound + 90 * np.exp(-t / 4) + rng.normal(0, 0.2, epochs)
    active = np.minimum(awake, (awake * (1 - np.exp(-t / 3)) + 0.5).astype(int))
    tests = [{"epoch": int(e), "nll_bound": float(loss[e - 1] + 1), "surrogate_nll": float(loss[e - 1]),
              "active_units": int(active[e - 1])} for e in t if e % 10 == 0]  # fmt: skip
    write_json(folder / "history.json", {
        "epochs": t.tolist(), "loss": loss.tolist(), "reconstruction": (loss - 25).tolist(),
        "rate_q": np.full(epochs, 25.0).tolist(), "kl_weight": np.ones(epochs).tolist(),
        "active_units": active.tolist(), "seconds": np.full(epochs, 5.0).tolist(), "test": tests,
        "dimensions": {
            "std_mean": std.tolist(), "std_spread": (0.1 * std).tolist(), "exponent": lam.tolist(),
            "signal_power": (1 - std**2).tolist(), "kl": (-np.log(std)).tolist(),
            "reconstruction_gradient": (std - 1).tolist(),
            "gradient_ratio": (1 - std).tolist(), "decoder_capacity": (12 * (1 - std)).tolist(),
        },
    })  # fmt: skip


def write_comparison(
    folder: Path,
    kinds: tuple[str, ...] = tuple(METHODS),
    seeds: int = 2,
    dims: int = 30,
    epochs: int = 40,
    *,
    data: str = "mnist",
    label: str | None = None,
    images: bool = True,
    failed: str | None = None,
) -> Path:
    """Write a comparison; `label` renames the last method, `failed` makes its last run fail with that sentence."""
    rows = []
    for kind in kinds:
        for seed in range(seeds):
            last = kind == kinds[-1]
            row = write_run(
                folder / "runs" / f"{kind}-seed{seed}", kind, seed, dims, epochs, data=data, images=images,
                label=label if last else None, failure=failed if last and seed == seeds - 1 else None,
            )  # fmt: skip
            rows.append(row | {"path": f"runs/{kind}-seed{seed}"})
    write_json(folder / "table.json", rows)
    write_json(folder / "provenance.json", _provenance(folder.name, list(range(seeds)), data))
    write_atomic(folder / "config.yaml", "data: mnist\nepochs: 40\n")
    return folder
