"""The card of a model that is handed on: what it is, what was found wrong with it, how to load it."""

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from lambda_vae.records.run_row import RunRow
from lambda_vae.reports.markdown import code_block, escape_markdown, markdown_table
from lambda_vae.reports.measured import examples_word
from lambda_vae.reports.provenance import provenance_lines

__all__ = ["model_card"]

_TAGS = ("variational-autoencoder", "posterior-collapse", "lambda-vae")

_BOUND = (
    "`nll_bound` is a valid upper bound on −log p(x), in nats per example; `nll_iw` is the importance-weighted "
    "estimate of the same. Both may be compared with other models' on the same data."
)
_DIMENSIONS = ("verdict", "cause", "kl", "signal_power", "sampling_std", "exponent")


def model_card(record: Mapping[str, Any]) -> str:
    """Return a model card in Markdown, its head in YAML; nothing in the record can act as either.

    Args:
        record: What config.json says of the model: config, shape, diagnosis, provenance, sha256.
    """
    config, row = record["config"], RunRow.from_record(record["diagnosis"], Path("config.json"))
    title = f"{row.label} on {_data_name(record)}"
    head = "\n".join(["---", "library_name: lambda-vae", "tags:", *(f"- {tag}" for tag in _TAGS), "---"])
    parts = [
        f"{head}\n\n# {escape_markdown(title)}",
        f"A variational autoencoder with {row.latent_dim} latent dimensions, trained and measured by "
        f"lambda-vae. **{escape_markdown(str(row.verdict))}**",
        "## Diagnosis",
        markdown_table(["", ""], _measures(row)),
        _BOUND,
        "### Dimension by dimension",
        markdown_table(
            ["", "verdict", "cause", "KL", "S", "noise", "λ", "why"],
            _dimensions(row, record["diagnosis"]["dimensions"]),
        ),
        "## How to load it",
        code_block(_loading(record["shape"]), "python"),
        "Nothing in the folder is run: the weights are safetensors, the rest is JSON, and hashes are checked.",
        "## How it was made",
        code_block(" ".join(str(record["provenance"].get("command", "")).split()) or "not recorded"),
        markdown_table(["", ""], _origin(record)),
        f"All settings stand in `config.json` (method {escape_markdown(str(config['method']))}).",
    ]
    return "\n\n".join(parts) + "\n"


def _data_name(record: Mapping[str, Any]) -> str:
    data = record["provenance"].get("data")
    return str(data["name"] if isinstance(data, Mapping) and "name" in data else record["config"]["data"])


def _number(value: object, digits: int = 2) -> str:
    return f"{value:.{digits}f}" if isinstance(value, int | float) else "not measured"


def _measures(row: RunRow) -> list[list[str]]:
    samples = f"{row.nll_iw_samples} samples from {row.nll_iw_proposal}"
    measures = [
        ["active units (AU)", f"{_number(row.active_units, 0)} of {row.latent_dim}"],
        ["nll_bound", f"{_number(row.nll_bound)} ± {_number(row.nll_bound_stderr)} nats"],
        ["nll_iw", f"{_number(row.nll_iw)} ± {_number(row.nll_iw_stderr)} nats, {samples}"],
        ["excess KL, within nll_bound", f"{_number(row.excess_kl)} nats"],
        ["SNR capacity", f"{_number(row.snr_capacity)} nats"],
        ["measured on", f"{examples_word([row])} examples"],
    ]
    probes = (("linear probe", row.linear_probe_accuracy), ("nearest neighbours", row.knn_accuracy))
    return measures + [[name, _number(value, 3)] for name, value in probes if value is not None]


def _dimensions(row: RunRow, columns: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for i, why in enumerate(row.explanations or [""] * (row.latent_dim or 0)):
        verdict, cause, *numbers = (columns[name][i] for name in _DIMENSIONS)
        rows.append([str(i), str(verdict), str(cause or ""), *(_number(value, 3) for value in numbers), str(why)])
    return rows


def _loading(shape: Sequence[int]) -> str:
    size = "x".join(map(str, shape))
    return (
        "from lambda_vae import from_pretrained\n\n"
        'model = from_pretrained("PATH OR OWNER/NAME")\n'
        f"q = model.vae.encode(x)  # x: float32 [N, {prod(shape)}], one example of {size} a row; q.mu, q.logvar\n"
        "p = model.vae.decode(z)  # z: float32 [N, D]; p.log_prob(x)\n"
        'print(model.diagnosis["verdict"])'
    )


def _origin(record: Mapping[str, Any]) -> list[list[str]]:
    lines = provenance_lines(record["provenance"])
    hashes = [(f"SHA-256 of {name}", digest) for name, digest in record["sha256"].items()]
    return [[label, text] for label, text in (*lines, *hashes) if label != "command"]
