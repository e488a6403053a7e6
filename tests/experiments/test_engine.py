"""Many runs: places, order, failures, interruptions, with small shell scripts in place of training."""

import json
import os
import signal
import threading
from types import SimpleNamespace

import pytest
from cli_process import wait_for

from lambda_vae.comparisons import executor as engine
from lambda_vae.comparisons.executor import run_jobs
from lambda_vae.comparisons.job import Job
from lambda_vae.errors import InputError

DONE = 'echo \'{"status": "done"}\' > "$1/metrics.json"'


@pytest.fixture
def job(tmp_path, monkeypatch):
    """`job(name, script)`: the script is given the run's folder as $1 and the other words after it."""
    monkeypatch.setattr(engine, "_POLL_SECONDS", 0.01)
    interpreter = tmp_path / "interpreter"  # called as: interpreter -m lambda_vae.cli SCRIPT FOLDER ...
    interpreter.write_text('#!/bin/sh\nshift 2\nexec /bin/sh "$@"\n')
    interpreter.chmod(0o755)
    monkeypatch.setattr(engine, "sys", SimpleNamespace(executable=str(interpreter), path=[]))

    def make(name, script, **settings):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (tmp_path / f"{name}.sh").write_text(script + "\n")
        return Job(name, folder, [str(tmp_path / f"{name}.sh"), str(folder)], identity={"run": name}, **settings)

    return make


def run(jobs, workers=2):
    seen = []
    run_jobs(jobs, workers, lambda shown: seen.append([each.status() for each in shown]))
    return seen


def test_all_jobs_run_and_no_more_at_a_time_than_allowed(job):
    jobs = [job(f"j{number}", f"sleep 0.05; {DONE}") for number in range(5)]
    seen = run(jobs, workers=2)
    assert [each.status() for each in jobs] == ["done"] * 5
    assert max(statuses.count("running") for statuses in seen) == 2


def test_a_finished_job_is_not_run_again(job, tmp_path):
    done = job("done", f"touch {tmp_path}/again; {DONE}")
    (done.folder / "metrics.json").write_text('{"status": "done"}')
    failed = job("failed", f"touch {tmp_path}/again; {DONE}")
    (failed.folder / "metrics.json").write_text('{"status": "failed"}')
    run([done, failed])
    assert (done.status(), failed.status()) == ("done", "failed")
    assert not (tmp_path / "again").exists()


FAILURES = {
    "a sentence": ("echo progress; echo 'lambda-vae: the disk is full' >&2; exit 2", "the disk is full"),
    "a traceback": ("echo Traceback; echo 'MemoryError: x'; exit 1", "ended with code 1; its log ends: MemoryError: x"),
    "killed": ("echo epoch 10; kill -9 $$", "the process was killed by SIGKILL; its log ends: epoch 10"),
    "killed after a sentence": (
        "echo 'lambda-vae: old'; kill -9 $$",
        "was killed by SIGKILL; its log ends: lambda-vae: old",
    ),
    "silent": ("exit 3", "the process ended with code 3; its log is empty"),
    "done without a result": ("echo fine", "the process ended with code 0; its log ends: fine"),
    "endless line": ("head -c 100000 /dev/zero | tr '\\0' x; exit 1", "x" * 600),
}


@pytest.mark.parametrize(("script", "reason"), FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_is_noted_with_its_reason_and_the_others_go_on(job, script, reason):
    bad, good = job("bad", script), job("good", DONE)
    run([bad, good], workers=1)
    assert (bad.status(), good.status()) == ("failed", "done")
    record = json.loads(bad.failure.read_text())
    assert (record["run"], record["status"]) == ("bad", "failed")
    assert record["failure"].endswith(reason)
    assert len(record["failure"]) < 700
    assert not good.failure.exists()


def test_a_job_run_again_forgets_its_failure(job):
    bad = job("bad", "exit 3")
    run([bad])
    assert bad.failure.exists()
    again = Job("bad", bad.folder, bad.command)
    (bad.folder.parent.parent / "bad.sh").write_text(DONE)
    run([again])
    assert again.status() == "done"
    assert not again.failure.exists()


def test_a_fork_waits_for_its_checkpoint_and_not_for_its_parent_s_end(job, tmp_path):
    checkpoint = tmp_path / "checkpoint"
    parent = job("parent", f"touch {checkpoint}; while [ ! -e {tmp_path}/seen ]; do sleep 0.01; done; {DONE}")
    child = job("child", f'echo "$2 $3" > {tmp_path}/seen; {DONE}', fork=checkpoint, parent=parent)
    run([child, parent])
    assert (parent.status(), child.status()) == ("done", "done")
    assert (tmp_path / "seen").read_text() == f"--fork {checkpoint}\n"


@pytest.mark.parametrize("end", [DONE, "exit 1"])
def test_a_fork_whose_parent_ends_without_the_checkpoint_starts_from_scratch(job, tmp_path, end):
    parent = job("parent", end)
    child = job("child", f'echo "$#" > {tmp_path}/words; {DONE}', fork=tmp_path / "checkpoint", parent=parent)
    run([child, parent])
    assert child.status() == "done"
    assert (tmp_path / "words").read_text() == "1\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_every_job_after_it_saved(job, tmp_path, number):
    script = f"trap 'touch $1/saved; exit 130' TERM; touch {tmp_path}/$2ready; while true; do sleep 0.01; done"
    jobs = [job(name, script.replace("$2", name)) for name in "ab"]

    def interrupt():
        wait_for(lambda: all((tmp_path / f"{name}ready").exists() for name in "ab"))
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        run(jobs)
    thread.join()
    assert [(each.folder / "saved").exists() for each in jobs] == [True, True]
    assert not any(each.failure.exists() for each in jobs)  # to be resumed is no failure
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_job_is_started_does_not_lose_it(job, number):
    running = job("a", "trap 'exit 130' TERM; while true; do sleep 0.01; done")

    def launch(one):
        process = engine._process_here(one)
        os.kill(os.getpid(), number)  # the process lives, and the engine does not have it yet
        return process

    with pytest.raises(KeyboardInterrupt):
        run_jobs([running], 1, lambda _jobs: None, launch)
    assert running.process.poll() is not None


def test_whatever_goes_wrong_here_no_job_is_left_behind(job):
    jobs = [job("a", "trap 'exit 130' TERM; while true; do sleep 0.01; done")]

    def show(_jobs):
        raise InputError("damaged")

    with pytest.raises(InputError, match="damaged"):
        run_jobs(jobs, 1, show)
    assert jobs[0].process.poll() is not None


def test_jobs_run_outside_the_main_thread_too(job):
    only = job("only", DONE)
    thread = threading.Thread(target=run, args=([only],))
    thread.start()
    thread.join()
    assert only.status() == "done"


def test_workers_below_one_are_refused(job):
    with pytest.raises(InputError, match="workers is 0; it must be at least 1"):
        run([job("a", DONE)], workers=0)
