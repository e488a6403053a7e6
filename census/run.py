"""The census: what packages do with their latents by default, and what each cure does to the package's own metric.

    python census/run.py              every package, each in an environment of its own; then the pages
    python census/run.py ctgan        one of them
    python census/run.py ctgan --here in the environment at hand
    python census/run.py --pages      results/census.md, .csv and the figure, from the runs that are there

A run that stands in results/census/NAME.json is not made again, unless --again.
"""

import argparse
import json
import logging
import random
import subprocess
import sys
import time
import warnings
from importlib.metadata import version

from recorded import HOUSE, NAMES, RUNS, package_of, read, with_runs


def here(name: str, again: bool) -> None:
    """Make the runs that are missing, in this environment.

    Args:
        name: Of the package's script.
        again: Make all of them.
    """
    import torch

    from lambda_vae.files import write_atomic
    from lambda_vae.runs.provenance import repository_state
    from package import DEFAULT

    package = package_of(name)
    torch.set_num_threads(1)
    runs = [] if again else read(name)
    for seed, kind, setting in package.jobs():
        key = {"seed": seed, "remedy": kind, "setting": {k: str(v) for k, v in setting.items()}}
        if any(all(run[part] == value for part, value in key.items()) for run in runs):
            continue
        _seeded(seed)
        started = time.process_time()
        found = package.run(seed, kind, setting)
        commit, dirty = repository_state()
        names = ["torch", "numpy", *(one.split("==")[0].split("[")[0] for one in (*package.requires, *package.no_deps))]
        run = {
            **key,
            **found.record(),
            "seconds": round(time.process_time() - started, 1),
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "commit": commit[:12] + (" with changes not committed" if dirty else ""),
            "versions": {one: version(one) for one in names},
            "python": ".".join(map(str, sys.version_info[:3])),
        }
        runs.append(run)
        write_atomic(RUNS / f"{name}.json", json.dumps(runs, indent=1) + "\n")
        label = kind if kind == DEFAULT else f"{kind} {key['setting']}"
        print(f"{name} seed {seed} {label}: {run['seconds']} s, active {run['active']}, {run['test']}", flush=True)


def _seeded(seed: int) -> None:
    import numpy as np
    import torch

    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def elsewhere(name: str, again: bool) -> int:
    """Make the package's environment where there is none yet, and its runs in it; the exit status.

    Args:
        name: Of the package's script.
        again: Make all of them.
    """
    package = package_of(name)
    environment = HOUSE / ".census" / name
    python = environment / "bin" / "python"
    if not (environment / "complete").is_file():
        subprocess.run([f"python{package.python}", "-m", "venv", "--clear", environment], check=True)
        pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", HOUSE / "constraints.txt"]
        subprocess.run([*pip, "torch==2.13.0", "-e", HOUSE, *package.requires], check=True)
        for one in package.no_deps:
            subprocess.run([*pip, "--no-deps", one], check=True)
        (environment / "complete").touch()
    words = [python, __file__, name, "--here", *(["--again"] if again else [])]
    return subprocess.run(words).returncode


def main() -> int:
    """Train, and write down what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--here", action="store_true", help="in the environment at hand")
    parser.add_argument("--again", action="store_true", help="make runs again that are there")
    parser.add_argument("--pages", action="store_true", help="write the pages alone")
    asked = parser.parse_args()
    RUNS.mkdir(parents=True, exist_ok=True)
    failed = []
    if not asked.pages:
        for name in asked.names or NAMES:
            if asked.here:
                warnings.filterwarnings("ignore")
                logging.disable(logging.WARNING)
                here(name, asked.again)
            elif elsewhere(name, asked.again):
                failed.append(name)
    if not asked.here:
        import gallery
        import page

        found = with_runs()
        gallery.write(found)
        page.write(found)
    if failed:
        print("not finished:", *failed, file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
