"""What a diagnosis costs: CPU time and peak memory over those of one ELBO pass of the same data, side by side.

An ELBO pass is encoder, sample, decoder and losses of every example without gradients, as an evaluation has it. Time:
both in one process, in turns, the median of the rounds' ratios. Memory: each in a process of its own. Needs MNIST.

    LAMBDA_VAE_DATA=data python benchmarks/diagnose.py
"""

import argparse
import cProfile
import json
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from facts import facts, facts_lines
from lambda_vae.any_vae import diagnose
from lambda_vae.diagnostics import CollapseReport
from lambda_vae.files import write_atomic
from lambda_vae.likelihoods import bernoulli
from lambda_vae.model import VAE
from lambda_vae.runs import MLP, Run, RunConfig, load_run, train
from lambda_vae.training import TrainOptions
from single_core import on_one_core

__all__ = ["Case", "page"]

HERE = Path(__file__).parent
_BATCH = 500
_IMAGE = (3, 256, 256)

#: Functions whose share of the time is told, by the words of the table.
_PARTS = {
    "first look at callables": ("any_vae/validation.py", "validated"),
    "encoder": ("any_vae/external.py|lambda_vae/model.py", "encode"),
    "mirrored draws, there and back": ("diagnostics/gradients.py", "mirrored_draws|gradient_features"),
    "importance samples": ("estimation/likelihood.py", "likelihood_features"),
    "moments": ("estimation/moments.py", "moments_of"),
    "what the data hold besides": ("diagnostics/residual.py", "residual_signal"),
    "its eigenvalues": ("diagnostics/spectrum.py", "eigenvalues"),
    "its covariances": ("diagnostics/covariance.py", "add"),
    "each dimension taken away": ("diagnostics/ablation.py", "ablated"),
}


@dataclass(frozen=True)
class Case:
    """One model and its data.

    Args:
        elbo: One ELBO pass.
        diagnose: A diagnosis.
    """

    elbo: Callable[[], float]
    diagnose: Callable[[], CollapseReport]


@torch.no_grad()
def _elbo(encode: Callable[[Tensor], tuple[Tensor, Tensor]], log_p: Callable[..., Tensor], x: Tensor, at: int) -> float:
    total = 0.0
    for part in x.split(at):
        mu, logvar = encode(part)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        kl = 0.5 * (mu.square() + logvar.exp() - logvar - 1.0).sum(1)
        total += float((log_p(part, z) - kl).sum())
    return total / len(x)


def _own(folder: Path) -> Case:
    run = load_run(folder)
    vae, x = run.model, _mnist(run)

    def encode(part: Tensor) -> tuple[Tensor, Tensor]:
        q = vae.encode(part).marginals()
        return q.mu, q.logvar

    return Case(partial(_elbo, encode, lambda x, z: vae.decode(z).log_prob(x), x, _BATCH), partial(diagnose, vae, x))


def _mnist(run: Run) -> Tensor:
    return torch.cat([part.float() for part in run.measured])


class _Foreign(nn.Module):
    """The same networks as anybody would write them."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.encoder = nn.Sequential(vae.encoder, *vae.posterior.children())
        self.decoder = vae.decoder

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = self.encoder(x).chunk(2, -1)
        return mu, logvar

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        return -nn.functional.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="none").sum(-1)


def _foreign(folder: Path) -> Case:
    run = load_run(folder)
    net, x = _Foreign(run.model).eval(), _mnist(run)
    return Case(
        partial(_elbo, net.encode, net.log_likelihood, x, _BATCH),
        partial(diagnose, net.encode, net.log_likelihood, x),
    )


def _pictures(_: Path) -> Case:
    """60 pictures of 256 x 256 x 3, a network of two layers on each side."""
    torch.manual_seed(0)
    size = _IMAGE[0] * _IMAGE[1] * _IMAGE[2]
    first, last = nn.Linear(size, 32), nn.Linear(32, size)
    encoder = nn.Sequential(nn.Flatten(), first, nn.Tanh(), nn.Linear(32, 16)).eval()
    decoder = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), last, nn.Unflatten(1, _IMAGE)).eval()
    x = torch.rand(60, *_IMAGE).round_()

    def encode(part: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = encoder(part).chunk(2, -1)
        return mu, logvar

    log_p = bernoulli(decoder, logits=True)
    return Case(partial(_elbo, encode, log_p, x, 60), partial(diagnose, encode, log_p, x))


CASES: Mapping[str, tuple[str, Callable[[Path], Case]]] = {
    "own": ("`lambda_vae.VAE`, MNIST", _own),
    "foreign": ("an `nn.Module` of others, MNIST", _foreign),
    "pictures": ("60 pictures of 256x256x3", _pictures),
}


def _trained(folder: Path, epochs: int) -> Path:
    config = RunConfig(
        data="mnist",
        network=MLP((300, 300, 300)),
        latent_dim=30,
        iw_samples=1,
        evaluate_every=0,
        trackers=(),
        train=TrainOptions(epochs=epochs),
    )
    train(config, folder)
    return folder


def _cpu(call: Callable[[], object]) -> float:
    begun = time.process_time()
    call()
    return time.process_time() - begun


def _parts(case: Case, unit: float) -> list[str]:
    profile = cProfile.Profile()
    profile.runcall(case.diagnose)
    found = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    lines = []
    for words, (files, function) in _PARTS.items():
        keys = [
            key for key in found if key[2] in function.split("|") and any(name in key[0] for name in files.split("|"))
        ]
        seconds = sum(found[key][3] for key in keys)
        calls = sum(found[key][1] for key in keys)
        lines.append(f"| {words} | {calls} | {seconds:.2f} | {seconds / unit:.2f} |")
    return lines


def _peaks(name: str, folder: Path) -> dict[str, float]:
    """MiB by what was done: nothing but loading, an ELBO pass, a diagnosis."""
    peaks = {}
    for what in ("nothing", "elbo", "diagnose"):
        command = [sys.executable, str(HERE / "diagnose.py"), "--one", name, "--what", what, "--folder", str(folder)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        peaks[what] = float(json.loads(done.stdout.splitlines()[-1]))
    return peaks


def page(folder: Path, rounds: int, names: list[str]) -> str:
    """Return the page, Markdown.

    Args:
        folder: The trained run.
        rounds: Of each timing.
        names: Of the cases.
    """
    head = ["# What a diagnosis costs", "", *facts_lines(facts()), ""]
    rows = ["| model and data | ELBO pass, s | diagnosis, s | ratio | peak over ELBO pass's | above loading |"]
    rows.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    tables = []
    for name in names:
        title, make = CASES[name]
        case = make(folder)
        case.elbo()
        pairs = [(_cpu(case.elbo), _cpu(case.diagnose)) for _ in range(rounds)]
        elbo, whole = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        peaks = _peaks(name, folder)
        over = peaks["diagnose"] / peaks["elbo"]
        above = (peaks["diagnose"] - peaks["nothing"]) / max(peaks["elbo"] - peaks["nothing"], 1.0)
        rows.append(
            f"| {title} | {elbo:.3f} | {whole:.2f} | {ratio:.1f} | {over:.2f} ({peaks['diagnose']:.0f} / "
            f"{peaks['elbo']:.0f} MiB) | {above:.2f} |"
        )
        print(rows[-1], flush=True)
        parts = _parts(case, elbo)
        tables += [
            "",
            f"## {title}",
            "",
            "| part | calls | s, under a profiler | ELBO passes |",
            "| --- | ---: | ---: | ---: |",
        ]
        tables += [*parts, "", "```text", str(case.diagnose()), "```"]
    return "\n".join([*head, *rows, *tables]) + "\n"


def _one(name: str, what: str, folder: Path) -> None:
    case = CASES[name][1](folder)
    if what != "nothing":
        getattr(case, what)()
    # getrusage's peak is at least the parent's, which it inherits
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(json.dumps(int(peak.split()[1]) / 1024))


def main() -> None:
    """Train, measure, write results/diagnose.md; or, with --one, be the process whose memory is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10, help="of the model on MNIST")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--out", type=Path, default=HERE.parent / "results" / "diagnose.md")
    parser.add_argument("--folder", type=Path, default=None, help="of the trained run; kept and used again if given")
    for hidden in ("--one", "--what"):
        parser.add_argument(hidden, default=None, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    on_one_core()
    if asked.one is not None:
        _one(asked.one, asked.what, asked.folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary) / "run"
        if not folder.exists():
            _trained(folder, asked.epochs)
        text = page(folder, asked.rounds, asked.cases)
    write_atomic(asked.out, text)
    print(text)


if __name__ == "__main__":
    main()
