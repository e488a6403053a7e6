"""Folders of images as others lay them out: which images are trained on, which measured on, and what is not read."""

import numpy as np
import pytest
from PIL import Image

from lambda_vae.data import load
from lambda_vae.errors import InputError

#: Brightness of the images of each part, by which they are told.
TRAIN, HELD, OTHER = 40, 120, 200
ALONE = "; a tenth split off as the test part"


def lay_out(folder, layout):
    """Write `count` images of one brightness into each folder named."""
    for name, (level, count) in layout.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            Image.fromarray(np.full((4, 4), level + i, "u1")).save(folder / name / f"{i}.png")


def levels(split):
    """How many images of each brightness a part has."""
    mean = np.asarray(split.x).mean(axis=1)
    return [int(((mean >= low) & (mean < low + 80)).sum()) for low in (TRAIN, HELD, OTHER)]


def classed(part, level, count):
    return {f"{part}/cat": (level, count), f"{part}/dog": (level, count)}


#: Folders; images by brightness in the training part, in the test part; classes; what the source says.
CAT_DOG = ("cat", "dog")
LAYOUTS = {
    **{
        f"train and {held}": (
            {**classed("train", TRAIN, 10), **classed(held, HELD, 4)}, [20, 0, 0], [0, 8, 0], CAT_DOG,
            f"; {held} is the test part",
        )
        for held in ("val", "valid", "Validation", "dev", "holdout", "eval", "val2017", "validation_set", "valImages")
    },
    "Train and Test": ({**classed("Train", TRAIN, 10), **classed("Test", HELD, 4)}, [20, 0, 0], [0, 8, 0], CAT_DOG, ""),
    "training and testing": (
        {**classed("training", TRAIN, 5), **classed("testing", HELD, 4)}, [10, 0, 0], [0, 8, 0], CAT_DOG,
        "; testing is the test part",
    ),
    "training_set and test_set": (
        {**classed("training_set", TRAIN, 5), **classed("test_set", HELD, 4)}, [10, 0, 0], [0, 8, 0], CAT_DOG,
        "; test_set is the test part",
    ),
    "three parts": (
        {**classed("train", TRAIN, 10), **classed("val", OTHER, 3), **classed("test", HELD, 4)},
        [20, 0, 0], [0, 8, 0], CAT_DOG, "; not read: folder val",
    ),
    "three parts and more": (
        {**classed("train", TRAIN, 10), **classed("test", HELD, 4), "masks": (OTHER, 3), ".": (OTHER, 1)},
        [20, 0, 0], [0, 8, 0], CAT_DOG, "; not read: folder masks, loose images",
    ),
    "flat parts": ({"train": (TRAIN, 10), "val": (HELD, 4)}, [10, 0, 0], [0, 4, 0], None, "; val is the test part"),
    "flat test part": (
        {**classed("train", TRAIN, 10), "test": (HELD, 4)}, [20, 0, 0], [0, 4, 0], CAT_DOG, "",
    ),
    "train alone": (classed("train", TRAIN, 10), [18, 0, 0], [2, 0, 0], CAT_DOG, ALONE),
    "train alone, flat": ({"train": (TRAIN, 10)}, [9, 0, 0], [1, 0, 0], None, ALONE),
    "train and another": (
        {**classed("train", TRAIN, 10), "unlabelled": (OTHER, 5)}, [18, 0, 0], [2, 0, 0], CAT_DOG,
        f"{ALONE}; not read: folder unlabelled",
    ),
    "inside another folder": (
        {**classed("pets/train", TRAIN, 10), **classed("pets/val", HELD, 4)}, [20, 0, 0], [0, 8, 0], CAT_DOG,
        "; val is the test part",
    ),
    "inside two": (
        {"a/b/train": (TRAIN, 10), "a/b/test": (HELD, 4)}, [10, 0, 0], [0, 4, 0], None, "",
    ),
    "trains among vehicles": (
        {"bus": (TRAIN, 5), "train": (TRAIN + 5, 5)}, [9, 0, 0], [1, 0, 0], ("bus", "train"), ALONE,
    ),
    "a hidden copy": (
        {"cat": (TRAIN, 5), "dog": (TRAIN, 5), ".ipynb_checkpoints": (OTHER, 3)}, [9, 0, 0], [1, 0, 0], CAT_DOG,
        f"{ALONE}; other files not read: hidden images 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("layout", "train", "test", "classes", "said"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_no_held_out_image_is_trained_on_and_the_rest_is_named(tmp_path, cache, layout, train, test, classes, said):
    lay_out(tmp_path / "pets", layout)
    data = load(tmp_path / "pets", cache=cache)
    assert (levels(data.train), levels(data.test), data.classes) == (train, test, classes)
    named = f"; 2 classes: {', '.join(classes)}" if classes else ""
    assert data.source.replace(named, "") == f"folder of images pets{said}"
    assert named in data.source
    assert (data.train.y is None) == (classes is None)
    assert (data.test.y is None) == (classes is None or layout.keys() >= {"test"})


def test_files_of_other_kinds_are_counted(tmp_path, cache):
    lay_out(tmp_path / "pets", {"cat": (TRAIN, 5), "dog": (TRAIN, 5)})
    for name in ("a.heic", "b.heic", "notes.txt", "LICENSE"):
        (tmp_path / "pets" / "cat" / name).write_text("x")
    assert load(tmp_path / "pets", cache=cache).source.endswith(
        "; other files not read: .heic 2, without ending 1, .txt 1"
    )


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (
            {"cat/train": (TRAIN, 3), "cat/val": (HELD, 3), "dog/train": (TRAIN, 3), "dog/val": (HELD, 3)},
            "holds parts below other folders, cat/train and cat/val; give one of these folders",
        ),
        ({"trainA": (TRAIN, 3), "trainB": (TRAIN, 3), "testA": (HELD, 3)}, "holds trainA and trainB; leave one"),
        ({"test": (TRAIN, 3), "val": (TRAIN, 3)}, "holds the parts test and val and no train; add or rename one"),
        ({"train": (TRAIN, 3), "test": (TRAIN, 3), "Test": (HELD, 3)}, "holds Test and test; leave one of them"),
        ({"train": (TRAIN, 3), "val": (TRAIN, 3), "valid": (HELD, 3)}, "holds val and valid; leave one of them"),
    ],
)
def test_unclear_parts_are_refused(tmp_path, cache, layout, message):
    lay_out(tmp_path / "pets", layout)
    with pytest.raises(InputError, match=message):
        load(tmp_path / "pets", cache=cache)
