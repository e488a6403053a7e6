"""FID: one sentence where its package or its weights are missing, and the right call where they are not."""

import sys
from types import SimpleNamespace
from urllib.error import URLError

import pytest
import torch

from lambda_vae.errors import InputError
from lambda_vae.generation import fid

PICTURES = torch.arange(5 * 4 * 3, dtype=torch.uint8).reshape(5, 4, 3)


class Counting:
    """Stands for torchmetrics' class: the squared distance of the mean grey values."""

    made = ()

    def __init__(self, features, feature_extractor_weights_path=None):
        Counting.made = (features, feature_extractor_weights_path)
        self.seen = {True: [], False: []}

    def update(self, pictures, real):
        assert pictures.dtype == torch.uint8
        assert pictures.shape[1:] == (3, 4, 3)
        self.seen[real].append(pictures.double())

    def compute(self):
        return (torch.cat(self.seen[True]).mean() - torch.cat(self.seen[False]).mean()) ** 2


class Offline:
    def __init__(self, *_, **__):
        raise URLError("no route to host")


@pytest.fixture
def installed(monkeypatch):
    """`installed(metric)` makes the optional packages appear to be here."""
    module = sys.modules["lambda_vae.generation.fid"]  # the function of that name hides it

    def install(metric):
        monkeypatch.setattr(module, "import_module", lambda name: SimpleNamespace(FrechetInceptionDistance=metric))

    return install


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    with pytest.raises(InputError, match=r'FID needs an optional package .*; pip install "lambda-vae\[fid\]"'):
        fid(PICTURES, PICTURES)


def test_missing_weights_are_named(installed):
    installed(Offline)
    with pytest.raises(
        InputError, match=r"needs the weights of its network, and they cannot be had .*no route to host"
    ):
        fid(PICTURES, PICTURES)


def test_pictures_reach_the_metric_whole_and_in_colour(installed, tmp_path):
    installed(Counting)
    found = fid(PICTURES, PICTURES[:3] + 7, weights=tmp_path / "w.pth")
    assert found.value == pytest.approx(float(PICTURES.double().mean() - (PICTURES[:3] + 7).double().mean()) ** 2)
    assert (found.samples, found.reference) == (5, 3)
    assert found.remark == "3 pictures for 2048 features: the covariance is singular and the value biased upwards"
    assert Counting.made == (2048, str(tmp_path / "w.pth"))
    coloured = PICTURES[..., None].expand(-1, -1, -1, 3)
    assert fid(coloured, PICTURES[..., None].expand(-1, -1, -1, 3)).value == 0.0


def test_many_pictures_have_no_remark(installed):
    installed(Counting)
    many = PICTURES[:1].expand(2049, -1, -1)
    assert fid(many, many).remark == ""


def test_what_are_no_pictures_of_one_size_is_refused(installed):
    installed(Counting)
    with pytest.raises(InputError, match="give pictures"):
        fid(PICTURES, PICTURES[:, :2])
    with pytest.raises(InputError, match="give pictures"):
        fid(PICTURES[..., None], PICTURES[..., None])
    with pytest.raises(InputError, match="1 and 5 pictures; give at least 2 of each"):
        fid(PICTURES[:1], PICTURES)
