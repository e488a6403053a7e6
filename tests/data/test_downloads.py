import gzip
import re
import socket
from dataclasses import replace
from hashlib import md5

import numpy as np
import pytest
from data_samples import TINY
from werkzeug import Response

from lambda_vae.data import NAMED, load, verify
from lambda_vae.errors import InputError

FIRST = "train-images-idx3-ubyte.gz"


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    """No proxy stands between the tests and their own server, and small files count as long."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr("lambda_vae.data.fetch._BLOCK", 8)


def serve(server, files, base="/a/", **changes):
    for name, content in (files | changes).items():
        server.expect_request(f"{base}{name}").respond_with_data(content)
    return server.url_for(base)


def load_from(cache, *mirrors):
    return load("mnist", cache=cache, mirrors=mirrors)


def test_files_are_fetched_once_and_loaded(tiny_mnist, httpserver, cache):
    url = serve(httpserver, tiny_mnist)
    data = load_from(cache, url)
    assert np.array_equal(data.train.x.reshape(-1, 5, 4), TINY["train-images-idx3-ubyte"])
    assert len(httpserver.log) == 4
    load_from(cache, url)
    assert len(httpserver.log) == 4
    assert all(check.ok for check in verify("mnist", cache=cache))
    assert sorted(path.name for path in (cache / "raw" / "mnist").iterdir()) == sorted(tiny_mnist)


def test_mirror_that_recompressed_its_files_is_good(tiny_mnist, httpserver, cache):
    again = {name: gzip.compress(gzip.decompress(content), 1) for name, content in tiny_mnist.items()}
    assert again != tiny_mnist
    assert len(load_from(cache, serve(httpserver, again)).train) == 12


def test_mirrors_are_tried_in_turn(tiny_mnist, httpserver, cache):
    wrong = dict.fromkeys(tiny_mnist, gzip.compress(b"something else"))
    bad = serve(httpserver, wrong, "/bad/")
    good = serve(httpserver, tiny_mnist, "/good/")
    data = load_from(cache, httpserver.url_for("/absent/"), bad, good)
    assert len(data.train) == 12
    assert [request.path for request, _ in httpserver.log[:3]] == [
        f"{base}{FIRST}" for base in ("/absent/", "/bad/", "/good/")
    ]


def test_content_with_the_wrong_hash_is_refused_and_not_kept(tiny_mnist, httpserver, cache):
    url = serve(httpserver, tiny_mnist, **{FIRST: gzip.compress(b"something else")})
    with pytest.raises(InputError, match=r"is not the published file: .* has the hash"):
        load_from(cache, url)
    assert not (cache / "raw" / "mnist" / FIRST).exists()


def breaking_off(content, ranges, *, obeys=True):
    """A handler that sends 40 bytes a request and then hangs up, noting the range it was asked for."""

    def handle(request):
        asked = request.headers.get("Range")
        ranges.append(asked)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and obeys else 0
        rest = content[start:]
        answer = Response(iter([rest[:40]]), status=206 if asked and obeys else 200)
        answer.headers["Content-Length"] = str(len(rest))
        if asked and obeys:
            answer.headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return answer

    return handle


def test_broken_off_download_goes_on_where_it_stopped(tiny_mnist, httpserver, cache):
    ranges = []
    url = serve(httpserver, {name: content for name, content in tiny_mnist.items() if name != FIRST})
    httpserver.expect_request(f"/a/{FIRST}").respond_with_handler(breaking_off(tiny_mnist[FIRST], ranges))
    data = load_from(cache, url)
    assert np.array_equal(data.train.x.reshape(-1, 5, 4), TINY["train-images-idx3-ubyte"])
    assert ranges == [None, *(f"bytes={start}-" for start in range(40, len(tiny_mnist[FIRST]), 40))]


def test_server_that_cannot_continue_does_not_spoil_the_file(tiny_mnist, httpserver, cache):
    ranges = []
    url = serve(httpserver, {name: content for name, content in tiny_mnist.items() if name != FIRST})
    handler = breaking_off(tiny_mnist[FIRST], ranges, obeys=False)
    httpserver.expect_request(f"/a/{FIRST}").respond_with_handler(handler)
    with pytest.raises(InputError, match="could not be had"):
        load_from(cache, url)
    assert ranges == [None, "bytes=40-"]
    httpserver.clear_all_handlers()
    assert len(load_from(cache, serve(httpserver, tiny_mnist)).train) == 12


def test_part_that_does_not_fit_is_thrown_away(tiny_mnist, httpserver, cache):
    ranges = []

    def handle(request):
        ranges.append(request.headers.get("Range"))
        return Response(status=416) if ranges[-1] else Response(tiny_mnist[FIRST])

    url = serve(httpserver, {name: content for name, content in tiny_mnist.items() if name != FIRST})
    broken = breaking_off(tiny_mnist[FIRST], [])
    httpserver.expect_oneshot_request(f"/a/{FIRST}").respond_with_handler(broken)
    httpserver.expect_request(f"/a/{FIRST}").respond_with_handler(handle)
    assert len(load_from(cache, url).train) == 12
    assert ranges == ["bytes=40-", None]


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_no_network_says_which_files_go_where(tiny_mnist, cache):
    with pytest.raises(InputError, match=FIRST) as caught:
        load_from(cache, f"http://127.0.0.1:{closed_port()}/")
    message = str(caught.value)
    assert all(name in message for name in tiny_mnist)
    assert str(cache / "raw" / "mnist") in message
    assert "LAMBDA_VAE_DATA" in message


def test_downloading_off_says_so_and_names_the_given_folder(tiny_mnist, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("LAMBDA_VAE_DATA", str(tmp_path / "given"))
    with pytest.raises(InputError, match="downloading is off") as caught:
        load("mnist", cache=cache, download=False)
    assert str(tmp_path / "given" / "mnist") in str(caught.value)


@pytest.mark.parametrize("place", ["given/mnist", "given", "cache/raw/mnist"])
@pytest.mark.parametrize("zipped", [True, False])
def test_files_put_by_hand_are_found(tiny_mnist, tmp_path, monkeypatch, place, zipped):
    monkeypatch.setenv("LAMBDA_VAE_DATA", str(tmp_path / "given"))
    folder = tmp_path / place
    folder.mkdir(parents=True)
    for name, content in tiny_mnist.items():
        path = folder / name
        path.write_bytes(content) if zipped else path.with_suffix("").write_bytes(gzip.decompress(content))
    assert len(load("mnist", cache=tmp_path / "cache", download=False).train) == 12


def test_files_put_by_hand_must_be_the_published_ones(tiny_mnist, tmp_path, monkeypatch):
    monkeypatch.setenv("LAMBDA_VAE_DATA", str(tmp_path))
    (tmp_path / "mnist").mkdir()
    for name, content in tiny_mnist.items():
        (tmp_path / "mnist" / name).write_bytes(content)
    (tmp_path / "mnist" / FIRST).write_bytes(gzip.compress(b"something else"))
    with pytest.raises(InputError, match=f"{FIRST} has the hash .*: this is not the published mnist"):
        load("mnist", cache=tmp_path / "cache", download=False)
    bad = [check.what for check in verify("mnist", cache=tmp_path / "cache") if not check.ok]
    assert bad[0] == f"raw {tmp_path / 'mnist' / FIRST}"


def test_loose_files_of_another_set_are_passed_over(tiny_mnist, tmp_path, monkeypatch):
    """MNIST's file names are everybody's: loose files count only for the set whose hash they have."""
    monkeypatch.setenv("LAMBDA_VAE_DATA", str(tmp_path))
    for name, content in tiny_mnist.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="of fashion-mnist could not be had"):
        load("fashion-mnist", cache=tmp_path / "cache", download=False)
    assert len(load("mnist", cache=tmp_path / "cache", download=False).train) == 12


def test_md5_of_the_published_file_serves_where_no_content_hash_is_known(tiny_mnist, httpserver, cache, monkeypatch):
    (rendition,) = NAMED["mnist"].renditions
    files = tuple(replace(f, sha256="", md5=md5(tiny_mnist[f.name]).hexdigest()) for f in rendition.files)
    monkeypatch.setitem(NAMED, "mnist", replace(NAMED["mnist"], renditions=(replace(rendition, files=files),)))
    assert len(load_from(cache, serve(httpserver, tiny_mnist)).train) == 12
