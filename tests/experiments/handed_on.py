"""Shared models made by hand: no training, the record of a real one beside other weights."""

import json
from pathlib import Path

import torch

from lambda_vae.equalization import Equalization
from lambda_vae.files import write_json
from lambda_vae.runs import RunConfig
from lambda_vae.runs.build import build_vae
from lambda_vae.runs.flat import flat
from lambda_vae.runs.model_record import CONFIG, WEIGHTS, file_sha256
from lambda_vae.runs.weights import save_model

__all__ = ["SMALL", "hand_made", "rehash"]

#: Sizes that take next to no time.
SMALL = {
    "latent_dim": 3, "hidden": (8,), "encoder_width": 4, "decoder_width": 4, "decoder_blocks": 1, "pixelcnn_layers": 1,
    "multipliers": (1, 2), "pseudo_inputs": 4, "flow_hidden": (4,),
}  # fmt: skip


def hand_made(folder: Path, config: RunConfig, shape: tuple[int, ...], exponent: torch.Tensor | None = None) -> Path:
    """Write an untrained model as a shared one."""
    folder.mkdir()
    vae = build_vae(config, shape, str(config.likelihood))
    vae.equalization = Equalization(exponent)
    save_model(folder / WEIGHTS, vae)
    numbers = [0.0] * config.latent_dim
    names = ("kl", "signal_power", "sampling_std", "exponent")
    diagnosis = {
        "run": "a", "method": config.method.name, "label": config.method.label,
        "status": "done", "verdict": "Untrained.",
        "latent_dim": config.latent_dim,
        "dimensions": dict.fromkeys(names, numbers),
    }  # fmt: skip
    record = {"shape": shape, "config": flat(config), "diagnosis": diagnosis, "provenance": {}, "sha256": {}}
    write_json(folder / CONFIG, {"format": "lambda-vae shared model 1", **record})
    return rehash(folder)


def rehash(folder: Path, **changes: object) -> Path:
    """Make a record agree with the weights beside it again, and change other parts of it."""
    record = json.loads((folder / CONFIG).read_text())
    record["sha256"][WEIGHTS] = file_sha256(folder / WEIGHTS)
    write_json(folder / CONFIG, {**record, **changes})
    return folder
