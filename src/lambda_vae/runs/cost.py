"""What a run will cost, before it starts: floating-point operations, memory and hours."""

import time
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from rich.table import Table
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from lambda_vae.model import VAE
from lambda_vae.networks import allow_recomputing
from lambda_vae.objectives import ELBO
from lambda_vae.runs.resolve import Run
from lambda_vae.training import TrainOptions
from lambda_vae.training.optimizer import FusedAdam

__all__ = ["DEVICES", "Cost", "Device", "cost_of", "cost_table"]

#: What part of its peak a device is taken to reach on these networks.
UTILISATION = 0.3

#: Bytes a weight takes in training: itself, its gradient and Adam's two moments; 2 more for a copy in bfloat16.
_BYTES_A_WEIGHT, _BYTES_A_COPY = 16, 2


@dataclass(frozen=True)
class Device:
    """An accelerator by its data sheet.

    Args:
        name: As sold.
        tf32: Dense operations a second in TF32, which convolutions in float32 take.
        bfloat16: The same in bfloat16.
    """

    name: str
    tf32: float
    bfloat16: float


#: Dense peaks of the makers' data sheets.
DEVICES = (Device("A100", 156e12, 312e12), Device("H100", 495e12, 989e12), Device("RTX 4090", 82.6e12, 165e12))


@dataclass(frozen=True)
class Cost:
    """The cost of one run.

    Args:
        weights: How many.
        flops_per_example: Forward and backward; products and convolutions alone.
        kept_per_example: Bytes that autograd keeps from forward to backward.
        seconds_per_example: Measured here: a pass of a batch, or of what the time allowed, and Adam's share.
        examples: Seen in training, all epochs together.
        steps: Of one process.
        options: The numbers of training.
    """

    weights: int
    flops_per_example: float
    kept_per_example: float
    seconds_per_example: float
    examples: int
    steps: int
    options: TrainOptions

    @property
    def flops(self) -> float:
        """Of the whole training."""
        return self.flops_per_example * self.examples

    @property
    def memory(self) -> float:
        """Bytes on one device: weights with what belongs to them, and what a pass keeps."""
        half = self.options.precision == "bfloat16"
        together = self.options.batch_size // self.options.accumulate
        return self.weights * (_BYTES_A_WEIGHT + half * _BYTES_A_COPY) + self.kept_per_example * together

    def hours(self, device: Device, count: int = 1) -> float:
        """Return the hours of training on so many devices, at `UTILISATION` of their peak.

        Args:
            device: Which.
            count: How many; more of them see as many examples in fewer steps.
        """
        peak = device.bfloat16 if self.options.precision == "bfloat16" else device.tf32
        return self.flops / (UTILISATION * peak * count) / 3600

    @property
    def hours_here(self) -> float:
        """Hours on this machine's processor, from the measured pass."""
        return self.seconds_per_example * self.examples / 3600


def cost_of(run: Run, limit: float = 2.0) -> Cost:
    """Return what a run will cost; the network is built and passed through, nothing is trained.

    Args:
        run: Which.
        limit: Seconds that the timed pass may take, by what a very small one took.

    Raises:
        InputError: As building the model does.
    """
    vae, options = run.build_vae(), run.options()
    allow_recomputing(vae, options.recompute)
    x = torch.zeros(options.batch_size // options.accumulate, prod(run.dataset.shape))
    flops = _flops(vae, x[:1], options)
    kept = _kept(vae, x[:1], options)
    seconds = _seconds(vae, x, options, limit)
    steps = len(run.dataset.train) // options.batch_size * options.epochs
    weights = sum(weight.numel() for weight in vae.parameters())
    return Cost(weights, flops, kept, seconds, steps * options.batch_size, steps, options)


def _pass(vae: VAE, x: Tensor, options: TrainOptions) -> Tensor:
    trace = vae(x, torch.zeros(options.samples, len(x), vae.latent_dim))
    return ELBO()(trace).loss.mean()


def _seconds(vae: VAE, x: Tensor, options: TrainOptions, limit: float) -> float:
    """Seconds an example. A batch of its true size, since a small one pays a step's fixed cost for few examples."""

    def passed(count: int) -> float:
        started = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bfloat16"):
            loss = _pass(vae, x[:count], options)
        torch.autograd.backward(loss)
        return time.perf_counter() - started

    few = min(2, len(x))
    most = min(len(x), max(few, int(limit * few / passed(few))))
    passes = min(passed(most) for _ in range(2)) / most
    adam = FusedAdam(vae.parameters(), lr=0.0)
    adam.step()  # makes its state
    started = time.perf_counter()
    adam.step()
    return passes + (time.perf_counter() - started) / options.batch_size


def _flops(vae: VAE, x: Tensor, options: TrainOptions) -> float:
    with FlopCounterMode(display=False) as counter:
        torch.autograd.backward(_pass(vae, x, options))
    vae.zero_grad()
    return float(counter.get_total_flops())


def _kept(vae: VAE, x: Tensor, options: TrainOptions) -> float:
    """Bytes of everything that autograd holds on to and that is no weight, each piece of memory once."""
    weights = {weight.untyped_storage().data_ptr() for weight in vae.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Any) -> Any:  # noqa: ANN401 - torch's own protocol
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bfloat16"):
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = _pass(vae, x, options)
    del loss
    return float(sum(kept.values()))


def cost_table(found: Cost, title: str, counts: tuple[int, ...] = (1, 8)) -> Table:
    """Return a cost for the terminal, with what it assumes.

    Args:
        found: The cost.
        title: Which run.
        counts: Numbers of devices to give hours for.
    """
    options = found.options
    table = Table(
        title=f"Before it starts: {title}",
        caption=(
            f"Counted: products and convolutions, forward and backward, of {found.examples:,} examples. Memory: "
            "weights, gradients, Adam, and what autograd keeps. Assumed: a device reaches "
            f"{UTILISATION:.0%} of its dense peak ({'bfloat16' if options.precision == 'bfloat16' else 'TF32'}), and "
            "several divide the work evenly. Measuring the finished run comes on top."
        ),
    )
    table.add_column("what")
    table.add_column("how much", justify="right")
    rows = [
        ("weights", f"{found.weights / 1e6:.2f} million"),
        ("FLOPs an example", f"{found.flops_per_example / 1e9:.3g} GFLOP"),
        (f"FLOPs a step of {options.batch_size}", f"{found.flops_per_example * options.batch_size / 1e12:.3g} TFLOP"),
        ("FLOPs in all", f"{found.flops / 1e15:.3g} PFLOP"),
        ("memory of a device", f"{found.memory / 2**30:.2f} GiB"),
        (f"hours here ({torch.get_num_threads()} threads, measured)", f"{found.hours_here:,.1f}"),
    ]
    rows += [(f"hours on {n} {d.name}", f"{found.hours(d, n):,.1f}") for d in DEVICES for n in counts]
    for what, much in rows:
        table.add_row(what, much)
    return table
