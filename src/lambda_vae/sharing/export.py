"""Encoder and decoder as programmes that run without this package, torch.export's or ONNX, compared with the model."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from lambda_vae.deprecated import old_lambda
from lambda_vae.distributions import Bernoulli, CausalLikelihood, DiagGaussian, LikelihoodDistribution
from lambda_vae.errors import InputError
from lambda_vae.files import replacing, write_json
from lambda_vae.model import VAE
from lambda_vae.runs.folder import is_empty
from lambda_vae.runs.load import load_run
from lambda_vae.runs.model_record import file_sha256, is_shared
from lambda_vae.runs.provenance import versions
from lambda_vae.sharing.share import from_pretrained

__all__ = ["ExportFormat", "export_model", "export_run"]

ExportFormat = Literal["onnx", "torch"]

_ENDINGS = {"onnx": ".onnx", "torch": ".pt2"}

#: An exported programme may differ from the model by so much, where numbers are about 1.
_TOLERANCE = 1e-4

_BATCHES = (3, 1, 8)
"""Sizes that programme and model are compared at; the first is the one that is traced."""


class _Encoder(nn.Module):
    """x -> mu, logvar."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.network, self.posterior = vae.encoder, vae.posterior

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        q = self.posterior(self.network(x))
        return q.mu, q.logvar


class _Decoder(nn.Module):
    """z -> the parameters of p(x|z); autoregressive: z, x -> those of each pixel given the ones before it."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.network, self.likelihood = vae.decoder, vae.likelihood

    def forward(self, z: Tensor, x: Tensor | None = None) -> tuple[Tensor, ...]:
        p_x = self.likelihood(self.network(z))
        return tuple(_parameters(p_x if x is None else p_x.given(x)).values())


def _parameters(p_x: LikelihoodDistribution) -> dict[str, Tensor]:
    """By name; the mean of a mixture is left out, for it looks at all 256 values of a few pixels at a time."""
    if isinstance(p_x, Bernoulli):
        return {"logits": p_x.logits, "mean": p_x.mean}
    if isinstance(p_x, DiagGaussian):
        return {"mean": p_x.mu, "logvar": p_x.logvar.expand_as(p_x.mu)}
    theta: Tensor = p_x.theta  # type: ignore[attr-defined]
    return {"theta": theta}


@dataclass(frozen=True, eq=False)
class _Half:
    """One half of a model with what it is called on.

    Args:
        name: Of its file.
        module: The half.
        outputs: Their names.
        inputs: Tensors by name, one row for each example in the largest batch.
    """

    name: str
    module: nn.Module
    outputs: tuple[str, ...]
    inputs: Mapping[str, Tensor]

    def batch(self, size: int) -> tuple[Tensor, ...]:
        return tuple(tensor[:size] for tensor in self.inputs.values())


def export_run(run: Path | str, out: Path | str, format: ExportFormat = "onnx") -> list[Path]:
    """Export the model of a run as `export_model` does.

    Args:
        run: Folder of a finished run, or of a shared model.
        out: As for `export_model`.
        format: onnx, or torch for torch.export's.

    Raises:
        InputError: As `load_run`, `from_pretrained` and `export_model`.
    """
    model = from_pretrained(run) if is_shared(Path(run)) else load_run(Path(run))
    return export_model(model.vae, out, format)


@old_lambda()
@torch.no_grad()
def export_model(vae: VAE, out: Path | str, format: ExportFormat = "onnx") -> list[Path]:
    """Write encoder and decoder as programmes for batches of any size, compared with the model, and return the files.

    The encoder maps x [N, F] to mu and logvar [N, D]; z is the caller's to draw (N(mu, sigma^2), or with lambda, which
    export.json holds, N(mu, sigma^(2 lambda))). The decoder maps z [N, D] to the parameters of p(x|z): logits and mean,
    mean and logvar, or theta of a mixture. An autoregressive decoder takes x as its second input, and gives the law of
    each pixel given those before it.

    Args:
        vae: The model.
        out: A new or empty folder, for encoder and decoder (.onnx or .pt2) and export.json, which describes them.
        format: "onnx" (needs the extra `export`), or "torch" for torch.export's.

    Raises:
        InputError: Another format, a posterior that is no Gaussian, a model of sequences, the extra is not installed,
            `out` is not empty, or a programme does not give the model's numbers.
    """
    out = Path(out)
    halves = _checked(vae.eval(), out, format)
    files, described = [], {}
    for half in halves:
        path = out / f"{half.name}{_ENDINGS[format]}"
        with _torch_quiet(), replacing(path) as temporary:
            program = _program(half)
            difference = (
                _save_onnx(program, half, temporary) if format == "onnx" else _save_torch(program, half, temporary)
            )
        files.append(path)
        described[path.name] = {
            "inputs": {name: ["batch", *tensor.shape[1:]] for name, tensor in half.inputs.items()},
            "outputs": list(half.outputs),
            "largest_difference": difference,
            "sha256": file_sha256(path),
        }
    exponent = vae.equalization.exponent
    record = {"format": "lambda-vae export 1", "exponent": None if exponent is None else exponent.tolist()}
    write_json(out / "export.json", {**record, "files": described, "versions": versions()})
    return [*files, out / "export.json"]


def _checked(vae: VAE, out: Path, format: str) -> tuple[_Half, _Half]:
    if format not in get_args(ExportFormat):
        raise InputError(f"format is {format!r}; it must be one of {', '.join(get_args(ExportFormat))}")
    for package in ("onnx", "onnxscript", "onnxruntime") if format == "onnx" else ():
        if find_spec(package) is None:
            raise InputError(f"format onnx needs the package {package}; pip install 'lambda-vae[export]'")
    if not is_empty(out):
        raise InputError(f"{out} is not empty; choose another `out`")
    if vae.likelihood.reads_tokens:
        raise InputError("a model of sequences has no programmes of one shape; share its run instead, as a folder")
    chance, most = torch.Generator().manual_seed(0), max(_BATCHES)
    like = next(vae.parameters())
    x = torch.rand(most, vae.likelihood.features, generator=chance).to(like)
    z = torch.randn(most, vae.latent_dim, generator=chance).to(like)
    if not isinstance(law := vae.encode(x), DiagGaussian):
        raise InputError(
            f"the encoder gives a {type(law).__name__}, which no mu and logvar describe; export a model whose "
            "posterior is Gaussian"
        )
    given = {"z": z, "x": x} if isinstance(vae.likelihood, CausalLikelihood) else {"z": z}
    p_x: Any = vae.likelihood(vae.decoder(z))
    outputs = tuple(_parameters(p_x.given(x) if "x" in given else p_x))
    return (
        _Half("encoder", _Encoder(vae), ("mu", "logvar"), {"x": x}),
        _Half("decoder", _Decoder(vae), outputs, given),
    )


def _program(half: _Half) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=1)
    return torch.export.export(
        half.module, half.batch(_BATCHES[0]), dynamic_shapes=tuple({0: batch} for _ in half.inputs)
    )


def _save_torch(program: torch.export.ExportedProgram, half: _Half, path: Path) -> float:
    torch.export.save(program, path)
    again = torch.export.load(path).module()
    return _compared(half, lambda inputs: list(again(*inputs)))


def _save_onnx(program: torch.export.ExportedProgram, half: _Half, path: Path) -> float:
    import onnxruntime

    onnx = torch.onnx.export(
        program,
        dynamo=True,
        verbose=False,
        input_names=list(half.inputs),
        output_names=list(half.outputs),
        dynamic_shapes=tuple({0: "batch"} for _ in half.inputs),
    )
    assert onnx is not None
    onnx.save(path, external_data=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return _compared(
        half,
        lambda inputs: [
            torch.from_numpy(found)
            for found in session.run(None, {name: x.numpy() for name, x in zip(half.inputs, inputs, strict=True)})
        ],
    )


def _compared(half: _Half, run: Any) -> float:  # noqa: ANN401 - tensors in, tensors out
    """The largest difference between programme and model, relative where numbers are above 1."""
    largest = 0.0
    for size in _BATCHES:
        inputs = half.batch(size)
        for ours, theirs in zip(half.module(*inputs), run(inputs), strict=True):
            off = (theirs - ours).abs() / ours.abs().clamp(min=1.0)
            largest = max(largest, float(off.max()) if theirs.shape == ours.shape else float("inf"))
    if not largest <= _TOLERANCE:
        raise InputError(
            f"the exported {half.name} differs from the model by {largest:.1e}; use another version of torch"
        )
    return largest


@contextmanager
def _torch_quiet() -> Iterator[None]:
    """Keep back what torch's exporters say of no use here.

    That packages are missing which are not needed, a deprecation inside them, that both inputs of a decoder share an
    axis.
    """
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="# The axis name: batch will not be used", category=UserWarning)
            warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)", category=FutureWarning)
            yield
    finally:
        log.setLevel(before)
