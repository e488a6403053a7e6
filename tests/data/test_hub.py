"""Local Hugging Face data sets: saved, Parquet, Arrow, folders; the hub itself is never asked."""

import numpy as np
import pytest
from PIL import Image

from lambda_vae.data import ImageOptions, load
from lambda_vae.data.hub import HubName
from lambda_vae.errors import InputError

PIXELS = np.random.RandomState(0).randint(0, 256, (12, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def datasets(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return pytest.importorskip("datasets", reason="the extra lambda-vae[hf] is not installed")


def table(datasets, pixels=PIXELS):
    features = datasets.Features({"picture": datasets.Image(), "kind": datasets.ClassLabel(names=["a", "b", "c"])})
    images = [Image.fromarray(image) for image in pixels]
    return datasets.Dataset.from_dict({"picture": images, "kind": [i % 3 for i in range(len(images))]}, features)


def test_without_the_package_the_extra_is_named(cache, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(InputError, match=r"needs the package datasets; pip install 'lambda-vae\[hf\]'"):
        load("hf:owner/name", cache=cache)


def test_names_are_read_as_typed():
    assert HubName.of("hf:owner/name@full") == HubName("owner/name", "full")
    with pytest.raises(InputError, match="data is 'hf:'; a name or a path must follow"):
        HubName.of("hf:")


@pytest.mark.parametrize("form", ["saved", "parquet"])
def test_local_sets_keep_pixels_and_labels(form, datasets, cache, tmp_path):
    path = tmp_path / ("set" if form == "saved" else "set.parquet")
    table(datasets).save_to_disk(path) if form == "saved" else table(datasets).to_parquet(path)
    data = load(f"hf:{path}", cache=cache)
    assert data.shape == (8, 8, 3)
    assert data.classes == ("a", "b", "c")
    stored = {bytes(row): label for part in (data.train, data.test) for row, label in zip(part.x, part.y, strict=True)}
    assert stored == {image.tobytes(): i % 3 for i, image in enumerate(PIXELS)}


def test_a_split_that_is_there_is_kept(datasets, cache, tmp_path):
    splits = datasets.DatasetDict({"train": table(datasets, PIXELS[:9]), "validation": table(datasets, PIXELS[9:])})
    splits.save_to_disk(tmp_path / "set")
    data = load(f"hf:{tmp_path / 'set'}", cache=cache)
    assert [bytes(row) for row in data.test.x] == [image.tobytes() for image in PIXELS[9:]]


def test_rows_that_will_not_do_are_named_or_left_out(datasets, cache, tmp_path):
    features = datasets.Features({"image": datasets.Image()})
    images = [Image.fromarray(image) for image in PIXELS] + [Image.fromarray(PIXELS[0][:5])]
    datasets.Dataset.from_dict({"image": images}, features).save_to_disk(tmp_path / "set")
    with pytest.raises(InputError, match=r"row 12, has shape .5, 8, 3. and the first one"):
        load(f"hf:{tmp_path / 'set'}", cache=cache)
    data = load(f"hf:{tmp_path / 'set'}", cache=cache, images=ImageOptions(unfit="skip"))
    assert len(data.train) + len(data.test) == 12
    assert "1 unfit rows left out" in data.source


def test_a_set_without_images_is_refused(datasets, cache, tmp_path):
    datasets.Dataset.from_dict({"text": ["a", "b"]}).save_to_disk(tmp_path / "set")
    with pytest.raises(InputError, match=r"has the columns text \(Value\); it needs one of images"):
        load(f"hf:{tmp_path / 'set'}", cache=cache)


def test_what_is_not_read_is_named(datasets, cache, tmp_path):
    parts = {"train": PIXELS[:6], "validation": PIXELS[6:9], "test": PIXELS[9:]}
    splits = datasets.DatasetDict({name: table(datasets, pixels) for name, pixels in parts.items()})
    splits = splits.map(lambda row: {"caption": "x"})
    splits.save_to_disk(tmp_path / "set")
    data = load(f"hf:{tmp_path / 'set'}", cache=cache)
    assert (len(data.train), len(data.test)) == (6, 3)
    assert data.source.endswith("; not read: split validation, column caption")
