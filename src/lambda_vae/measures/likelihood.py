"""`likelihood`: -ln p(x) of a finished run by every estimator there is, side by side and from two sides."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Shaped
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.estimation.annealed import Annealing, anneal_down, anneal_up, simulate
from lambda_vae.estimation.annealed_reading import annealed_columns
from lambda_vae.estimation.batching import ROWS_PER_PASS
from lambda_vae.estimation.importance import importance_weights
from lambda_vae.estimation.likelihood import likelihood_features
from lambda_vae.estimation.proposals import PROPOSALS, check_proposals, proposal_laws
from lambda_vae.files import read_json, write_json
from lambda_vae.measures.likelihood_record import Columns, likelihood_record
from lambda_vae.rng import generator_for
from lambda_vae.runs.config import check_seed
from lambda_vae.runs.load import LoadedRun, load_run
from lambda_vae.runs.provenance import circumstances
from lambda_vae.training.precision import matmul_route

__all__ = ["LikelihoodChoice", "measure_likelihood"]

#: Draws an example behind the reconstruction term of bound and surrogate.
_BOUND_SAMPLES = 64

#: k-hat below this is written as this: JSON has no infinity.
_LEAST_KHAT = -10.0

Tick = Callable[[], None]


@dataclass(frozen=True)
class LikelihoodChoice:
    """What to estimate, and at what cost.

    Args:
        examples: the first so many test examples
        iw_samples: importance samples an example and proposal
        proposals: distributions that they are drawn from: q, q_sampled, wide, defensive
        widening: what σ is multiplied by in wide and in half of defensive
        temperatures: steps of annealed importance sampling; 0 leaves it out
        chains: chains of annealing an example
        leapfrog: steps of a Hamiltonian move
        simulated: examples drawn from the model, annealed from both sides; 0 leaves them out
        seed: of all random numbers
        matmul: route of float32 products: highest, high or medium; auto: the faster one that is as exact

    Raises:
        InputError: A number out of its range, or an unknown proposal.
    """

    examples: int = 100
    iw_samples: int = 5000
    proposals: tuple[str, ...] = PROPOSALS
    widening: float = 1.2
    temperatures: int = 1000
    chains: int = 10
    leapfrog: int = 10
    simulated: int = 20
    seed: int = 0
    matmul: str = "auto"

    def __post_init__(self) -> None:
        for name, least in (("examples", 1), ("iw_samples", 1), ("temperatures", 0), ("simulated", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        check_proposals(self.proposals, self.widening)
        check_seed(self.seed)
        _ = self.annealing

    @property
    def annealing(self) -> Annealing:
        """How to anneal, where it is asked for."""
        return Annealing(self.temperatures or 1, self.chains, self.leapfrog)


@dataclass(frozen=True)
class _Block:
    """Some examples that go through the estimators together, with chance of their own.

    Args:
        part: "test" or "simulated".
        start: First example.
        stop: Behind the last.
    """

    part: str
    start: int
    stop: int

    def generator(self, seed: int) -> torch.Generator:
        return generator_for(f"lambda-vae likelihood {seed} {self.part} {self.start}")


def measure_likelihood(
    run: Path,
    choice: LikelihoodChoice,
    out: Path | None = None,
    *,
    data: str | None = None,
    resume: bool = False,
    console: Console | None = None,
) -> dict[str, Any]:
    """Return the record of every estimate, written to a file block by block, so that an interruption costs little.

    Args:
        run: Folder of a finished run.
        choice: What to estimate.
        out: A .json file; RUN/likelihood.json if None.
        data: Other data than the run's own.
        resume: Go on with what the file holds.
        console: Where progress is shown.

    Raises:
        InputError: No finished run, a file that is there already or holds something else, a decoder without gradients,
            or a likelihood that cannot be drawn from.
    """
    loaded = load_run(run, data)
    path = out or loaded.folder.path / "likelihood.json"
    x = loaded.measured.head(choice.examples)
    route = matmul_route(_begun_by(path, resume=resume) if choice.matmul == "auto" else choice.matmul)
    settings = {
        **asdict(choice),
        "matmul": route.name,
        "proposals": list(choice.proposals),
        "examples": len(x),
        "data": loaded.dataset.name,
        "model": hashlib.sha256(loaded.folder.model.read_bytes()).hexdigest()[:16],
    }
    there = _taken_up(path, settings, resume=resume)
    columns, made = there["columns"], there["provenance"]
    blocks = list(_blocks(choice, len(x)))
    with route, _progress(choice, blocks, console) as (tick, finished):
        for block in blocks:
            done = len(next(iter(columns[block.part].values()), []))
            if done < block.stop:
                begun, measure = time.monotonic(), _test_columns if block.part == "test" else _simulated_columns
                _append(columns[block.part], measure(loaded, choice, block, x, tick))
                made = {**circumstances(), "seconds": made.get("seconds", 0.0) + time.monotonic() - begun}
                record = {"run": loaded.title, **likelihood_record(settings, columns), "provenance": made}
                write_json(path, {"complete": block == blocks[-1], **record})
            finished(block)
    return {"run": loaded.title, **likelihood_record(settings, columns), "provenance": made}


def _begun_by(path: Path, *, resume: bool) -> str:
    """The route of products that a file was begun by, where it is gone on with."""
    there = read_json(path) if resume and path.exists() else {}
    settings = there.get("settings") if isinstance(there, dict) else None
    return str(settings.get("matmul", "auto")) if isinstance(settings, dict) else "auto"


def _taken_up(path: Path, settings: dict[str, Any], *, resume: bool) -> dict[str, Any]:
    """Columns and provenance that an earlier call left in the file."""
    if path.suffix != ".json":
        raise InputError(f"{path} ends in {path.suffix!r}; use .json")
    if not path.exists():
        return {"columns": {"test": {}, "simulated": {}}, "provenance": {}}
    if not resume:
        raise InputError(f"{path} is there already; add `resume=True` to go on with it, or choose another `out`")
    there = read_json(path)
    if not isinstance(there, dict) or not {"settings", "columns"} <= there.keys():
        raise InputError(f"{path} holds no likelihoods; choose another `out`")
    for name, value in settings.items():
        if there["settings"].get(name) != value:
            old = there["settings"].get(name)
            raise InputError(
                f"{path} was made otherwise: its {name} is {old!r}, here it is {value!r}; choose another `out`"
            )
    return {"columns": there["columns"], "provenance": there.get("provenance", {})}


def _blocks(choice: LikelihoodChoice, examples: int) -> Iterator[_Block]:
    size = max(1, ROWS_PER_PASS // choice.chains)
    simulated = choice.simulated if choice.temperatures else 0
    for part, count in (("test", examples), ("simulated", simulated)):
        yield from (_Block(part, start, min(start + size, count)) for start in range(0, count, size))


def _test_columns(
    run: LoadedRun, choice: LikelihoodChoice, block: _Block, data: Shaped[Tensor, "N F"], tick: Tick
) -> dict[str, Tensor]:
    vae, generator, x = run.vae, block.generator(choice.seed), data[block.start : block.stop]
    with torch.no_grad():
        q = vae.encode(x)
    terms = likelihood_features(vae, x, q, _BOUND_SAMPLES, generator, importance=False)
    columns = {name: term[:, 0] for name, term in terms.items()}
    for name, law in proposal_laws(vae, q, choice.proposals, factor=choice.widening).items():
        found = importance_weights(vae, x, law, choice.iw_samples, generator)
        columns[f"nll_iw.{name}"] = found.weights.nll
        columns[f"ess.{name}"] = found.weights.effective_samples
        columns[f"khat.{name}"] = found.khat.clamp(min=_LEAST_KHAT)
    if choice.temperatures:
        up = anneal_up(vae, x, choice.annealing, generator, tick)
        columns |= _named("up", annealed_columns(up))
    return columns


def _simulated_columns(
    run: LoadedRun, choice: LikelihoodChoice, block: _Block, _data: Shaped[Tensor, "N F"], tick: Tick
) -> dict[str, Tensor]:
    generator = block.generator(choice.seed)
    x, z = simulate(run.vae, block.stop - block.start, generator)
    up = anneal_up(run.vae, x, choice.annealing, generator, tick)
    down = anneal_down(run.vae, x, z, choice.annealing, up.step, generator, tick)
    return _named("up", annealed_columns(up)) | _named("down", annealed_columns(down, down=True))


def _named(prefix: str, columns: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": column for name, column in columns.items()}


def _append(columns: Columns, block: dict[str, Tensor]) -> None:
    for name, values in block.items():
        columns.setdefault(name, []).extend(values.double().tolist())


@contextmanager
def _progress(
    choice: LikelihoodChoice, blocks: Sequence[_Block], console: Console | None
) -> Iterator[tuple[Tick, Callable[[_Block], None]]]:
    """A bar over all temperatures of all blocks; one line a block where there is no terminal."""
    shown = console or Console(quiet=True)
    passes = {block: choice.temperatures * (1 if block.part == "test" else 2) for block in blocks}
    with Progress(console=shown, disable=not shown.is_terminal, transient=True) as bar:
        task = bar.add_task("annealing", total=sum(passes.values()))

        def finished(block: _Block) -> None:
            bar.update(task, completed=sum(passes[one] for one in blocks[: blocks.index(block) + 1]))
            if not shown.is_terminal:
                shown.print(f"{block.part} examples: {block.stop} done", markup=False, highlight=False)

        yield lambda: bar.advance(task), finished
