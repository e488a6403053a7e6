"""Trackers, and one answer for all processes."""

import pytest

from lambda_vae.errors import InputError
from lambda_vae.runs import processes as processes_module
from lambda_vae.runs.processes import check_trackers, make_accelerator, on_main


def test_known_and_installed_trackers_pass():
    check_trackers([])
    check_trackers(["tensorboard"])
    check_trackers(["all"])


def test_an_unknown_tracker_gives_the_nearest():
    with pytest.raises(InputError, match=r"unknown tracker 'mlfow' \(did you mean 'mlflow'\?\); installed are"):
        check_trackers(["tensorboard", "mlfow"])


def test_a_tracker_that_is_not_installed_is_refused(monkeypatch):
    monkeypatch.setattr(processes_module, "get_available_trackers", lambda: ["tensorboard"])
    with pytest.raises(InputError, match="tracker 'wandb' is not installed; install it, or use one of tensorboard"):
        check_trackers(["wandb"])


def test_a_step_alone_is_simply_done():
    accelerator = make_accelerator()
    assert on_main(accelerator, lambda: 3) == 3

    def refuse():
        raise InputError("no")

    with pytest.raises(InputError, match=r"^no$"):
        on_main(accelerator, refuse)
