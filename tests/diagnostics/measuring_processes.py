"""What each of two processes measures, together with the other; run by `test_several_processes.py`."""

import os
from pathlib import Path

import torch
import torch.distributed as dist
from five_reports import MODELS, numbers

from lambda_vae.any_vae import diagnose

CASES = {
    "lambda": ("lambda", {}),
    "linear": ("linear", {"batch_size": 200}),
    "three samples": ("lambda", {"iw_samples": 3}),
    "Bernoulli, foreign": ("Bernoulli, foreign", {}),
    "Gaussian maps, foreign": ("Gaussian maps, foreign", {"batch_size": 100}),
}


def report_of(case, **options):
    name, own = CASES[case]
    return diagnose(*MODELS[name](), **own, **options)


def probed(**options):
    vae, x = MODELS["lambda"]()
    labels = x[:, 0].long()
    report = diagnose(vae, x, test_labels=labels, train_x=x, train_labels=labels, **options)
    return {**numbers(report), "probes": [report.linear_probe.value, report.knn.value], "notes": report.notes}


def few(**options):
    """Fewer parts than processes."""
    vae, x = MODELS["linear"]()
    return numbers(diagnose(vae, x[:40], batch_size=40, **options))


class Fails:
    """Batches of which one cannot be read in one of the processes."""

    def __init__(self, x, fails):
        self.x, self.fails = x, fails

    def __iter__(self):
        for place, batch in enumerate(self.x.split(100)):
            if place == 7 and self.fails:
                raise OSError("no such disk")
            yield batch


def refusals(rank, **options):
    """What each process says where they differ."""
    encode, log_likelihood, x = MODELS["Bernoulli, foreign"]()
    vae, own = MODELS["lambda"]()
    other, _ = MODELS["lambda"]()
    with torch.no_grad():
        next(other.decoder.parameters()).mul_(1.5)
    calls = {
        "data": lambda: diagnose(encode, log_likelihood, x[rank::2], **options),
        "order": lambda: diagnose(encode, log_likelihood, torch.cat((x[:500], x[500:].roll(rank, 0))), **options),
        "model": lambda: diagnose((vae, other)[rank], own, **options),
        "options": lambda: diagnose(vae, own, iw_samples=rank + 1, **options),
        "bad input": lambda: diagnose(encode, log_likelihood, x if rank == 0 else x[:, :1], **options),
        "no data": lambda: diagnose(vae, own if rank else "not data", **options),
        "disk": lambda: diagnose(encode, log_likelihood, Fails(x, rank == 1), **options),
    }
    said = {}
    for name, call in calls.items():
        try:
            call()
        except Exception as error:
            said[name] = type(error).__name__, str(error)
    return said


def work(rank, folder):
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    together = {"process_group": dist.group.WORLD}
    found = {case: numbers(report_of(case, **together)) for case in CASES}
    found |= {"probed": probed(**together), "few": few(**together), "refusals": refusals(rank, **together)}
    if rank == 0:  # by itself, which waits for nobody
        found["alone"] = numbers(report_of("lambda"))
    torch.save(found, Path(folder) / f"rank{rank}.pt")
    dist.destroy_process_group()
