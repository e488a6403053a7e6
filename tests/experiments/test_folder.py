"""Who may write to a folder."""

import multiprocessing
import time

import pytest
from cli_process import tree
from flat_runs import changed

from lambda_vae.errors import InputError
from lambda_vae.runs import RunConfig
from lambda_vae.runs import folder as folder_module
from lambda_vae.runs.folder import RunFolder, check_room, is_empty, is_locked, locked

CONFIG = RunConfig()


def test_a_folder_with_nothing_but_a_lock_is_empty(tmp_path):
    assert is_empty(tmp_path)
    assert is_empty(tmp_path / "not there")
    (tmp_path / ".lock").touch()
    assert is_empty(tmp_path)
    (tmp_path / ".locked").touch()
    assert not is_empty(tmp_path)


@pytest.mark.parametrize("path", ["file", "file/below", "file/far/below"])
def test_a_file_is_no_folder(tmp_path, path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file is a file; choose another `out`"):
        is_empty(tmp_path / path)


def test_a_lock_keeps_the_second_out_until_the_first_has_gone(tmp_path):
    assert not is_locked(tmp_path / "run")
    with locked(tmp_path / "run"):
        assert is_locked(tmp_path / "run")
        with pytest.raises(InputError, match="another process is training"), locked(tmp_path / "run"):
            raise AssertionError("both were let in")
        assert is_locked(tmp_path / "run")
    assert not is_locked(tmp_path / "run")
    with pytest.raises(KeyError), locked(tmp_path / "run"):
        raise KeyError
    with locked(tmp_path / "run"):
        pass


def _hold(folder, held):
    with locked(folder):
        held.set()
        time.sleep(600)


def test_a_killed_process_leaves_no_lock_behind(tmp_path):
    context = multiprocessing.get_context("forkserver")
    held = context.Event()
    process = context.Process(target=_hold, args=(tmp_path, held), daemon=True)
    process.start()
    assert held.wait(240)
    assert is_locked(tmp_path)
    with pytest.raises(InputError, match="another process is training"), locked(tmp_path):
        raise AssertionError("both were let in")
    process.kill()
    process.join()
    assert not is_locked(tmp_path)
    with locked(tmp_path):
        assert is_locked(tmp_path)


def test_asking_after_a_lock_makes_no_file(tmp_path):
    assert not is_locked(tmp_path)
    (tmp_path / "file").touch()
    assert not is_locked(tmp_path / "file")
    assert sorted(tree(tmp_path)) == ["file"]


def test_a_lock_passes_on_what_is_raised_inside(tmp_path):
    with pytest.raises(BlockingIOError), locked(tmp_path):
        raise BlockingIOError


def test_a_claimed_folder_is_the_run_s_own(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.check(CONFIG, resume=False)
    assert not folder.path.exists()  # a check writes nothing
    assert not folder.claim(CONFIG)
    before = tree(tmp_path)
    folder.check(CONFIG, resume=True)
    with pytest.raises(InputError, match="add `resume=True` to go on"):
        folder.check(CONFIG, resume=False)
    with pytest.raises(InputError, match=r"its delta is 1.01, here it is 1.5; choose another `out`"):
        folder.check(changed(CONFIG, delta=1.5), resume=True)
    assert not folder.claim(CONFIG)
    assert tree(tmp_path) == before
    (folder.path / "metrics.json").write_text("{}")
    assert folder.claim(CONFIG)


def test_a_nearly_full_disk_is_refused(tmp_path, monkeypatch):
    check_room(tmp_path / "not" / "there")
    usage = folder_module.shutil.disk_usage(tmp_path)._replace(free=63 * 2**20)
    monkeypatch.setattr(folder_module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match="only 63 MiB are free"):
        check_room(tmp_path / "not" / "there")
