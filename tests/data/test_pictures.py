"""Image files of mixed sizes, colours and soundness: RGB archives, folders, CelebA's layout."""

import io
import tarfile
import zipfile
from dataclasses import replace
from hashlib import md5, sha256

import numpy as np
import pytest
from PIL import Image

from lambda_vae.data import NAMED, ImageOptions, load, verify
from lambda_vae.data.cifar import CIFAR_BATCHES, cifar_source
from lambda_vae.data.named import RawFile, Rendition
from lambda_vae.errors import InputError
from lambda_vae.networks import ImageShape

RANDOM = np.random.RandomState(0)


def picture(path, height=8, width=8, mode="RGB"):
    shape = (height, width) if mode == "L" else (height, width, 3)
    pixels = RANDOM.randint(0, 256, shape, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def cifar_files(count=4):
    labels = {name: RANDOM.randint(0, 10, (count, 1), dtype=np.uint8) for name in CIFAR_BATCHES}
    planes = {name: RANDOM.randint(0, 256, (count, 3, 32, 32), dtype=np.uint8) for name in CIFAR_BATCHES}
    files = {name: np.hstack([labels[name], planes[name].reshape(count, -1)]).tobytes() for name in CIFAR_BATCHES}
    return files, labels, planes


def packed(path, files, folder="cifar-10-batches-bin"):
    with tarfile.open(path, "w:xz" if path.suffix == ".xz" else "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


@pytest.mark.parametrize("form", ["cifar-10-binary.tar.gz", "cifar-10-binary.tar.xz", "batches"])
def test_cifar_reads_archives_and_loose_batches_alike(form, cache, tmp_path, no_shared_data):
    files, labels, planes = cifar_files()
    path = tmp_path / form
    if form == "batches":
        path.mkdir()
        for name, content in files.items():
            (path / name).write_bytes(content)
    else:
        packed(path, files)
    data = load(path, cache=cache)
    assert data.shape == (32, 32, 3)
    assert (len(data.train), len(data.test)) == (20, 4)
    rows = data.train.tensor().float()
    expected = np.concatenate([planes[name] for name in CIFAR_BATCHES[:5]])
    # What the networks make of a row are the planes of the file.
    assert np.array_equal(ImageShape.of(data.shape).to_maps(rows).numpy(), expected)
    assert data.test.y.tolist() == labels["test_batch.bin"].ravel().tolist()
    assert data.classes[3] == "cat"


def test_cifars_name_takes_only_the_published_archive(cache, tmp_path, monkeypatch):
    files, _, _ = cifar_files()
    path = packed(tmp_path / "cifar-10-binary.tar.gz", files)
    monkeypatch.setenv("LAMBDA_VAE_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r"cifar-10-binary\.tar\.gz of cifar10 could not be had"):
        load("cifar10", cache=cache, download=False)
    digest = md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    rendition = Rendition((RawFile(path.name, md5=digest),), (), "tiny")
    monkeypatch.setitem(NAMED, "cifar10", replace(NAMED["cifar10"], renditions=(rendition,)))
    assert len(load("cifar10", cache=cache, download=False).train) == 20
    assert all(check.ok for check in verify("cifar10", cache=cache))


def test_damaged_cifar_is_refused(tmp_path):
    files, _, _ = cifar_files()
    short = packed(tmp_path / "cifar-10-a.tar.gz", {**files, "data_batch_2.bin": files["data_batch_2.bin"][:-1]})
    with pytest.raises(InputError, match=r"data_batch_2.bin, has 12291 bytes, which is no whole number of records"):
        cifar_source(short)
    wrong = packed(tmp_path / "cifar-10-b.tar.gz", {**files, "test_batch.bin": b"\x0a" + files["test_batch.bin"][1:]})
    with pytest.raises(InputError, match="has the label 10; labels are 0 to 9"):
        cifar_source(wrong)
    with pytest.raises(InputError, match=r"has no data_batch_1.bin"):
        cifar_source(packed(tmp_path / "cifar-10-c.tar.gz", {"test_batch.bin": files["test_batch.bin"]}))
    with pytest.raises(InputError, match="holds pickles, which are never loaded; fetch the binary version"):
        cifar_source(packed(tmp_path / "cifar-10-python.tar.gz", {"data_batch_1": b"x"}, "cifar-10-batches-py"))
    cut = tmp_path / "cifar-10-d.tar.gz"
    cut.write_bytes(short.read_bytes()[:5000])
    with pytest.raises(InputError, match="truncated or corrupt"):
        cifar_source(cut)


def jpeg(height=218, width=178):
    stream = io.BytesIO()
    Image.fromarray(RANDOM.randint(0, 256, (height, width, 3), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def celeba(tmp_path, monkeypatch):
    """The name stands for eight tiny files; gives the folder that holds them."""
    folder = tmp_path / "raw" / "celeba64"
    folder.mkdir(parents=True)
    names = [f"{number:06}.jpg" for number in range(1, 9)]
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for name in names:
            archive.writestr(f"img_align_celeba/{name}", jpeg())
    parts = (0, 0, 0, 0, 1, 1, 2, 2)
    lines = [f"{name} {part}" for name, part in zip(names, parts, strict=True)]
    (folder / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")
    files = tuple(
        RawFile(name, sha256((folder / name).read_bytes()).hexdigest())
        for name in ("img_align_celeba.zip", "list_eval_partition.txt")
    )
    monkeypatch.setitem(NAMED, "celeba64", replace(NAMED["celeba64"], renditions=(Rendition(files, (), "tiny"),)))
    monkeypatch.setenv("LAMBDA_VAE_DATA", str(tmp_path / "raw"))
    return folder


def test_celeba_is_cropped_resized_and_split_as_its_authors_say(celeba, cache):
    data = load("celeba64", cache=cache)
    assert data.shape == (64, 64, 3)
    assert (len(data.train), len(data.test)) == (4, 2)  # the validation part stays out
    with (
        zipfile.ZipFile(celeba / "img_align_celeba.zip") as archive,
        archive.open("img_align_celeba/000007.jpg") as file,
    ):
        whole = Image.open(file).convert("RGB")
        expected = whole.crop((15, 35, 163, 183)).resize((64, 64), Image.Resampling.BILINEAR)
    assert np.array_equal(data.test.x[0].reshape(64, 64, 3), np.asarray(expected))


def test_celeba_is_never_fetched_and_says_where_to_get_it(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("LAMBDA_VAE_DATA", str(tmp_path))
    with pytest.raises(InputError) as caught:
        load("celeba64", cache=cache)
    said = str(caught.value)
    assert "its authors hand it out themselves, at https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html" in said
    assert f"put img_align_celeba.zip, list_eval_partition.txt into {tmp_path}" in said


def test_a_folder_of_mixed_images_is_refused_by_name_or_brought_to_one_form(cache, tmp_path, no_shared_data):
    folder = tmp_path / "images"
    first = picture(folder / "a.png", 64, 64)
    picture(folder / "b.png", 80, 100)
    picture(folder / "c.png", 64, 64, "L")
    for number in range(9):
        picture(folder / f"d{number}.png", 64, 64)
    with pytest.raises(InputError, match=r"b\.png has shape .80, 100, 3. .* use `image_size=64`"):
        load(folder, cache=cache)
    data = load(folder, cache=cache, images=ImageOptions(64, "rgb"))
    assert data.shape == (64, 64, 3)
    assert len(data.train) + len(data.test) == 12
    rows = {bytes(row) for row in (*data.train.x, *data.test.x)}
    assert first.tobytes() in rows, "an image of the right size is left as it is"
    assert "resized to 64x64; as rgb" in data.source
    grey = load(folder, cache=cache, images=ImageOptions(32, "grey"))
    assert grey.shape == (32, 32)


def test_broken_files_are_refused_by_name_or_left_out(cache, tmp_path, no_shared_data):
    folder = tmp_path / "images"
    for number in range(12):
        picture(folder / ("cats" if number % 2 else "dogs") / f"{number:02}.png")
    (folder / "cats" / "broken.png").write_bytes(b"\x89PNG nothing")
    picture(folder / "cats" / "odd.png", 9, 8)
    whole = (folder / "dogs" / "00.png").read_bytes()
    (folder / "dogs" / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"broken\.png is truncated or not an image"):
        load(folder, cache=cache)
    data = load(folder, cache=cache, images=ImageOptions(unfit="skip"))
    assert len(data.train) + len(data.test) == 12
    assert sorted(np.bincount([*data.train.y, *data.test.y]).tolist()) == [6, 6]
    assert "3 unfit files left out: cats/broken.png, cats/odd.png, dogs/cut.png" in data.source
    assert load(folder, cache=cache, images=ImageOptions(unfit="skip")).sha256 == data.sha256


def test_options_for_files_do_not_act_on_arrays_and_named_sets(cache, tmp_path, no_shared_data):
    np.save(tmp_path / "x.npy", np.zeros((20, 8, 8), np.uint8))
    with pytest.raises(InputError, match="holds arrays, where no image can be cropped or skipped"):
        load(tmp_path / "x.npy", cache=cache, images=ImageOptions(4))
    with pytest.raises(InputError, match="digits is prepared in one way only"):
        load("digits", cache=cache, images=ImageOptions(4))
    with pytest.raises(InputError, match="image_size is 0; it must be at least 1"):
        ImageOptions(0)


def test_a_photograph_is_turned_as_its_camera_noted(tmp_path, cache):
    pixels = np.zeros((8, 16), np.uint8)
    pixels[:, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to show
    for name in "abc":
        Image.fromarray(pixels).save(tmp_path / f"{name}.jpg", exif=exif, quality=100)
    shown = np.rot90(pixels, -1)
    data = load(tmp_path, cache=cache)
    assert data.shape == (16, 8)
    assert np.abs(data.test.x[0].reshape(16, 8).astype(int) - shown).max() < 4


@pytest.mark.parametrize("suffix", ["gif", "tif", "webp", "png"])
def test_several_images_in_one_file_are_no_example(tmp_path, cache, suffix):
    frames = [Image.fromarray(RANDOM.randint(0, 256, (8, 8), dtype=np.uint8)) for _ in range(3)]
    for name in "bcd":
        frames[0].save(tmp_path / f"{name}.{suffix}")
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match=rf"a\.{suffix} holds 3 images, an animation or pages; .*`unfit_images=skip`"):
        load(tmp_path, cache=cache)
    data = load(tmp_path, cache=cache, images=ImageOptions(unfit="skip"))
    assert len(data.train) + len(data.test) == 3
    assert f"1 unfit files left out: a.{suffix}" in data.source


#: What is saved, and the pixel that must come back, within what.
MODES = {
    "palette": ("P", "png", (255, 0, 0), 0),
    "CMYK": ("CMYK", "jpg", (254, 0, 0), 3),
    "RGBA": ("RGBA", "png", (255, 0, 0), 0),
    "one bit": ("1", "png", (0,), 0),
    "grey and alpha": ("LA", "png", (76,), 0),
    "YCbCr": ("YCbCr", "jpg", (254, 0, 0), 3),
}


@pytest.mark.parametrize(("mode", "suffix", "expected", "near"), MODES.values(), ids=MODES.keys())
def test_every_mode_keeps_its_colours(tmp_path, cache, mode, suffix, expected, near):
    for name in "abc":
        image = Image.new("RGB", (8, 8), (255, 0, 0)).convert(mode, dither=Image.Dither.NONE)
        image.putpixel((0, 0), image.getpixel((1, 1)))
        image.save(tmp_path / f"{name}.{suffix}", quality=100)
    if mode == "1":
        Image.new("1", (8, 8), 1).save(tmp_path / "white.png")
    pixels = np.stack([*load(tmp_path, cache=cache).train.x, *load(tmp_path, cache=cache).test.x])[0]
    assert np.abs(pixels.reshape(8, 8, -1)[4, 4].astype(int) - expected).max() <= near


def test_sixteen_bits_and_floats_are_refused(tmp_path, cache):
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a.png has I;16 pixels; .* scale them to it and save PNG"):
        load(tmp_path, cache=cache)
    (tmp_path / "a.png").unlink()
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif has F pixels"):
        load(tmp_path, cache=cache)
