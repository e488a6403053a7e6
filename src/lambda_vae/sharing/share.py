"""Sharing: a finished run becomes a folder to hand on, and such a folder, or one of the hub, a model again."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from lambda_vae.data import Vocabulary
from lambda_vae.errors import InputError
from lambda_vae.files import read_json, replacing, write_atomic, write_json
from lambda_vae.model import VAE
from lambda_vae.records.read import check_dimensions
from lambda_vae.records.run_row import RunRow
from lambda_vae.reports.card import model_card
from lambda_vae.runs.build import build_vae
from lambda_vae.runs.config import RunConfig
from lambda_vae.runs.folder import RunFolder, is_empty
from lambda_vae.runs.load import load_run
from lambda_vae.runs.model_record import (
    CARD,
    CONFIG,
    HISTORY,
    VOCABULARY,
    WEIGHTS,
    ModelRecord,
    file_sha256,
    is_shared,
    portable_config,
    read_record,
)
from lambda_vae.runs.weights import load_model
from lambda_vae.sharing.hub import fetch_model, is_hub_name

__all__ = ["SharedModel", "from_pretrained", "share_run"]


@dataclass(frozen=True, eq=False)
class SharedModel:
    """A model that was handed on, ready to be used.

    Args:
        vae: In evaluation mode, with the lambda that it was trained with.
        config: Of the run that trained it.
        shape: Of one example; the model takes them as float rows.
        diagnosis: What was measured of it, by the names of metrics.json.
        provenance: Command, commit, versions, data.
        folder: Where its files lie.
    """

    vae: VAE
    config: RunConfig
    shape: tuple[int, ...]
    diagnosis: Mapping[str, Any]
    provenance: Mapping[str, Any]
    folder: Path

    @property
    def exponent(self) -> torch.Tensor | None:
        """Lambda, or None."""
        return self.vae.equalization.exponent

    @property
    def vocabulary(self) -> Vocabulary | None:
        """Of a model of sequences, what turns their tokens into text; else None.

        Raises:
            InputError: The file is damaged.
        """
        return RunFolder(self.folder).read_vocabulary()


def share_run(run: Path | str, out: Path | str) -> Path:
    """Write a finished run as a folder to hand on, and return it: weights, config.json with the diagnosis, model card.

    The history goes with it where there is one, so that a diagnosis there finds the same causes, and the vocabulary of
    a model of sequences. Machine, folders and data stay behind.

    Args:
        run: Folder of a finished run.
        out: A new or empty folder.

    Raises:
        InputError: As `load_run`; or `out` is not empty.
    """
    run, out = Path(run), Path(out)
    if is_shared(run):
        raise InputError(f"{run} is a shared model already; copy it, or push it")
    if not is_empty(out):
        raise InputError(f"{out} is not empty; choose another `out`")
    record = _record_of(run)
    for name in record.sha256:
        with replacing(out / name) as temporary:
            shutil.copyfile(run / name, temporary)
    write_atomic(out / CARD, model_card(record.to_json()))
    write_json(out / CONFIG, record.to_json())  # comes last: with it the folder is whole
    return out


def _record_of(run: Path) -> ModelRecord:
    loaded, folder = load_run(run), RunFolder(run)
    metrics, provenance = read_json(folder.metrics), read_json(folder.provenance)
    row = RunRow.from_record(metrics, folder.metrics)
    check_dimensions(metrics.get("dimensions"), loaded.config.latent_dim, folder.metrics)
    if not row.done:
        raise InputError(f"{run} holds a run that failed ({row.failure}); share one that came through")
    files = [name for name in (WEIGHTS, HISTORY, VOCABULARY) if (run / name).is_file()]
    return ModelRecord(
        portable_config(loaded.config, loaded.likelihood),
        loaded.shape,
        metrics,
        _portable_provenance(provenance),
        {name: file_sha256(run / name) for name in files},
    )


def _portable_provenance(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Without the machine; of absolute paths in the command the last name."""
    command = re.sub(r"(?<!\S)((?:--\w+=)?)/\S*/(?=[^\s/])", r"\1", str(provenance.get("command", "")))
    return {**{name: value for name, value in provenance.items() if name != "machine"}, "command": command}


def from_pretrained(source: Path | str, *, revision: str | None = None) -> SharedModel:
    """Return a model that was shared; nothing that came with it is run.

    Args:
        source: A folder that `share_run` made, or OWNER/NAME of the hub (the extra `hub`). A folder of that name wins.
        revision: On the hub: a branch, tag or commit.

    Raises:
        InputError: Neither; or a file is missing, damaged, or not the one it should be.
    """
    folder = Path(source)
    if isinstance(source, str) and not folder.is_dir() and is_hub_name(source):
        folder = fetch_model(source, revision)
    elif not folder.is_dir():
        raise InputError(f"{source} is neither a folder nor OWNER/NAME of a model on the hub; give one of them")
    elif not is_shared(folder) and RunFolder(folder).config.exists():
        raise InputError(f"{folder} is a run, not a shared model; use load_run, or share it first")
    record = read_record(folder)
    _check_sizes(record, folder / WEIGHTS)
    vae = build_vae(record.config, record.shape, str(record.config.likelihood))
    load_model(folder / WEIGHTS, vae)
    return SharedModel(vae, record.config, record.shape, record.diagnosis, record.provenance, folder)


def _check_sizes(record: ModelRecord, weights: Path) -> None:
    """Raise where the networks that the config asks for are not those in the file, before any memory is taken."""
    config, name = record.config, str(record.config.likelihood)
    with torch.device("meta"):
        network, dim = config.network, config.latent_dim
        halves = network.encoder(record.shape, dim)[0], network.decoder(record.shape, dim, name)[0]
    asked = {
        f"{half}.{key}": list(tensor.shape)
        for half, network in zip(("encoder", "decoder"), halves, strict=True)
        for key, tensor in network.state_dict().items()
    }
    try:
        with safe_open(weights, framework="pt") as file:
            there = {key: file.get_slice(key).get_shape() for key in file.keys()}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{weights} is damaged ({error}); get it again") from None
    for key, shape in asked.items():
        if there.get(key) != shape:
            raise InputError(
                f"{weights} is not the model of {CONFIG}: {key} is {there.get(key)}, not {shape}; get it again"
            )
