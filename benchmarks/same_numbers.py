"""Five methods x two seeds, trained and measured to the last bit: what a change of the code must leave as it is.

By torch's most exact products, which no choice of this package decides.

    python benchmarks/same_numbers.py --against results/same-numbers.json

Another processor, or another release of torch, has numbers of its own; there, write a file before the change.
"""

import argparse
import json
import platform
import subprocess
import sys
from contextlib import redirect_stdout
from hashlib import sha256
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import yaml
from safetensors.torch import load_file

import lambda_vae
from lambda_vae.cli import main as command_line

#: As config.yaml has them, which every release must read.
_COMMON = {
    "data": "digits", "hidden": [32, 32], "latent_dim": 6, "epochs": 3, "iw_samples": 8, "evaluate_every": 1,
    "trackers": [], "matmul": "highest",
}  # fmt: skip

#: Between them they take every way through a training step.
_METHODS: dict[str, dict[str, Any]] = {
    "vae": {"accumulate": 4, "average_decay": 0.99, "clip_norm": 5.0},
    "lambda-vae": {"delta": 1.1, "release_epochs": 1, "ramp_epochs": 2, "learning_rate_schedule": "cosine"},
    "lagging": {"aggressive_steps": 6, "aggressive_window": 2},
    "semi-amortized": {"refine_steps": 2, "samples": 2, "learning_rate_warm_up_epochs": 1.0},
    "aae": {"adversary_hidden": [16], "precision": "bfloat16"},
}
_SEEDS = (0, 1)

#: Times are never the same twice.
_TIMES = ("seconds", "ms_per_step")


def numbers(record: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return each number of a record as a hexadecimal float, each list of numbers as one hash, and no words."""
    found: dict[str, str] = {}
    for name, value in record.items():
        if name in _TIMES:
            continue
        if isinstance(value, dict):
            found |= numbers(value, f"{prefix}{name}.")
        elif isinstance(value, list) and not any(isinstance(entry, str) for entry in value):
            found[prefix + name] = sha256(json.dumps(_hexadecimal(value)).encode()).hexdigest()[:16]
        elif isinstance(value, int | float):
            found[prefix + name] = _hexadecimal(value)
    return found


def _hexadecimal(value: Any) -> Any:
    if isinstance(value, list):
        return [_hexadecimal(entry) for entry in value]
    if isinstance(value, dict):
        return numbers(value)
    return float(value).hex() if isinstance(value, int | float) else value


def weights(path: Path) -> str:
    """Return the hash of the tensors in a safetensors file, by name."""
    digest = sha256()
    for name, tensor in sorted(load_file(path).items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def one_run(method: str, seed: int, folder: Path) -> dict[str, str]:
    """Train, measure and record one run by the command line, and return its numbers."""
    config, out = folder / "config.yaml", folder / f"{method}-{seed}"
    config.write_text(yaml.safe_dump({**_COMMON, **_METHODS[method], "method": method, "seed": seed}))
    with redirect_stdout(StringIO()):
        command_line(["train", "--config", str(config), "--out", str(out), "--report", "false"])
    metrics, history = (json.loads((out / name).read_text()) for name in ("metrics.json", "history.json"))
    return {
        "weights": weights(out / "model.safetensors"),
        **numbers(metrics, "metrics."),
        **numbers(history, "history."),
    }


def made_with() -> dict[str, str]:
    """Return what the numbers depend on, apart from the code."""
    git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True)
    return {
        "commit": git.stdout.strip(),
        "lambda-vae": lambda_vae.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }


def differences(here: dict[str, dict[str, str]], there: dict[str, dict[str, str]]) -> list[str]:
    """Return a line for each number of `there` that is another or absent here; numbers that are new are no matter."""
    return [
        f"{run}: {name} was {value} and is {here.get(run, {}).get(name, 'absent')}"
        for run, values in there.items()
        for name, value in values.items()
        if here.get(run, {}).get(name) != value
    ]


def main() -> None:
    """Write the numbers to a file, or compare them with one; exit code 1 says that they differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the numbers here")
    parser.add_argument("--against", type=Path, help="an earlier file; say what differs from it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        runs = {f"{method} seed {seed}": one_run(method, seed, Path(folder)) for method in _METHODS for seed in _SEEDS}
    made = made_with()
    if arguments.out:
        arguments.out.write_text(json.dumps({"made_with": made, "runs": runs}, indent=1) + "\n")
    if not arguments.against:
        return
    earlier = json.loads(arguments.against.read_text())
    found = differences(runs, earlier["runs"])
    if not found:
        print(f"{len(runs)} runs: the same numbers, bit for bit")
        return
    print(*found, sep="\n")
    for name, value in earlier["made_with"].items():
        if value != made[name] and name != "commit":
            print(f"({name} was {value} and is {made[name]}: that alone may change numbers)")
    sys.exit(1)


if __name__ == "__main__":
    main()
