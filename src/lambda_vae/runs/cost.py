"""The cost of a run before it starts: floating-point operations, memory and hours."""

from dataclasses import dataclass, replace

import torch
from rich.table import Table

from lambda_vae.runs.counted_step import alike, count_step
from lambda_vae.runs.resolve import Run
from lambda_vae.runs.step_cost import TimedRun
from lambda_vae.training import TrainOptions

__all__ = ["DEVICES", "Cost", "Device", "cost_of", "cost_table"]

#: What part of its peak a device is taken to reach on these networks.
UTILISATION = 0.3


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
        weights: Of the model.
        flops_per_example: Of a step, forward and backward, all that is trained; products and convolutions alone.
        memory: Bytes on one device: of all tensors that there are at once in a step, at most.
        kept_per_example: How much of it one more example in a pass would add.
        seconds_per_example: Measured here, of whole steps.
        examples: Seen in training, all epochs together.
        steps: Of one process.
        options: The numbers of training.
        leads: What an encoder's steps of its own multiply all this by, at least and at most; how long it leads shows
            in training alone.
    """

    weights: int
    flops_per_example: float
    memory: float
    kept_per_example: float
    seconds_per_example: float
    examples: int
    steps: int
    options: TrainOptions
    leads: tuple[float, float] = (1.0, 1.0)

    @property
    def flops(self) -> float:
        """Of the whole training, at least."""
        return self.flops_per_example * self.examples * self.leads[0]

    def hours(self, device: Device, count: int = 1) -> float:
        """Return the hours of training on so many devices, at `UTILISATION` of their peak, at least.

        Args:
            device: Which.
            count: How many; more of them see as many examples in fewer steps.
        """
        peak = device.bfloat16 if self.options.precision == "bfloat16" else device.tf32
        return self.flops / (UTILISATION * peak * count) / 3600

    @property
    def hours_here(self) -> float:
        """Hours on this machine, from the measured steps, at least."""
        return self.seconds_per_example * self.examples * self.leads[0] / 3600


def cost_of(run: Run, limit: float = 2.0) -> Cost:
    """Return what a run will cost, from a few steps of its own trainer, of which nothing is kept.

    Args:
        run: Which.
        limit: Seconds that the timed steps may take, by what a very small one took.

    Raises:
        InputError: As making the trainer does.
    """
    counted, options = count_step(run), run.options()
    steps = len(run.dataset.train) // options.batch_size * options.epochs
    examples, lead = steps * options.batch_size, counted.flops_of_a_lead / counted.flops
    least, most = counted.lead[0] / options.epochs, counted.lead[1]  # an encoder leads in one epoch, or in all
    return Cost(
        counted.weights,
        counted.flops / options.batch_size,
        counted.memory,
        counted.memory_an_example,
        _seconds(run, limit),
        examples,
        steps,
        options,
        (1.0 + lead * least, 1.0 + lead * most),
    )


def _seconds(run: Run, limit: float) -> float:
    """Seconds an example. A step of the true size, since a small one pays its fixed cost for few examples."""
    train = run.config.train
    few = min(2, train.batch_size)
    seconds = _seconds_of_a_step(run, few)
    size = min(train.batch_size // train.accumulate, max(few, int(limit * few / seconds)))
    return _seconds_of_a_step(run, size) / size


def _seconds_of_a_step(run: Run, size: int) -> float:
    train = replace(run.config.train, batch_size=size, accumulate=1)
    timed = TimedRun(replace(run.config, train=train), alike(run).dataset, 1)
    timed.turn()  # makes the state of the optimiser
    return min(timed.turn() for _ in range(2))


def cost_table(found: Cost, title: str, counts: tuple[int, ...] = (1, 8)) -> Table:
    """Return a cost for the terminal, with what it assumes.

    Args:
        found: The cost.
        title: Which run.
        counts: Numbers of devices to give hours for.
    """
    options, more = found.options, found.leads[1] / found.leads[0]
    led = " An encoder leads for as long as it takes, so there is a least and a most." if more > 1.0 else ""
    table = Table(
        title=f"Before it starts: {title}",
        caption=(
            f"Counted: products and convolutions of {found.examples:,} examples, in the run's own steps. Memory: all "
            "tensors of a step; libraries and allocators take some more. Assumed: a device reaches "
            f"{UTILISATION:.0%} of its dense peak ({'bfloat16' if options.precision == 'bfloat16' else 'TF32'}), and "
            "several divide the work evenly. Measuring the finished run comes on top." + led
        ),
    )
    table.add_column("what")
    table.add_column("how much", justify="right")

    def between(least: float, form: str) -> str:
        return f"{least:{form}}" + (f" to {least * more:{form}}" if more > 1.0 else "")

    rows = [
        ("weights", f"{found.weights / 1e6:.2f} million"),
        ("FLOPs an example", f"{found.flops_per_example / 1e9:.3g} GFLOP"),
        (f"FLOPs a step of {options.batch_size}", f"{found.flops_per_example * options.batch_size / 1e12:.3g} TFLOP"),
        ("FLOPs in all", f"{between(found.flops / 1e15, '.3g')} PFLOP"),
        ("memory of a device", f"{found.memory / 2**30:.2f} GiB"),
        (f"hours here ({torch.get_num_threads()} threads, measured)", between(found.hours_here, ",.1f")),
    ]
    rows += [(f"hours on {n} {d.name}", between(found.hours(d, n), ",.1f")) for d in DEVICES for n in counts]
    for what, much in rows:
        table.add_row(what, much)
    return table
