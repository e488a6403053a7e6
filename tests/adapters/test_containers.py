"""What the data may be: every container gives the report of the dense float32 tensor, or one sentence."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from torch import nn
from torch.distributions import Normal
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from lambda_vae.any_vae import diagnose
from lambda_vae.errors import InputError
from lambda_vae.likelihoods import gaussian

X = torch.poisson(torch.full((90, 6), 0.8), generator=torch.Generator().manual_seed(0))
ARRAY = X.numpy()
FRAME = pd.DataFrame(ARRAY, columns=list("abcdef"))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(6, 4), nn.Linear(2, 6)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.encoder.reset_parameters()
            self.decoder.reset_parameters()

    def encode(self, x):
        return self.encoder(x).chunk(2, 1)


NET = Net().eval()


def run(data, net=NET, **options):
    return diagnose(net.encode, gaussian(net.decoder), data, iw_samples=2, batch_size=30, **options)


DENSE = run(X).nll_bound


class Mapped(Dataset):
    """A dataset of examples, not of batches."""

    def __init__(self, example=lambda i: X[i]):
        self.example = example

    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        return self.example(i)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(X)


class Loader:
    """Its own iterator, which begins anew whenever it is asked to, as that of mlcolvar."""

    def __init__(self, order=lambda: torch.arange(90), key="data"):
        self.order, self.key = order, key

    def __len__(self):
        return 3

    def __iter__(self):
        self.index, self.at = self.order().split(30), 0
        return self

    def __next__(self):
        if self.at == 3:
            raise StopIteration
        self.at += 1
        return {self.key: X[self.index[self.at - 1]], "labels": None}


class Once(Loader):
    """Its own iterator, which goes on where it was."""

    def __init__(self):
        super().__init__()
        super().__iter__()

    def __iter__(self):
        return self


class Shaped:
    """Whatever has a shape and gives rows, as h5py and jax do; read-only as these give it."""

    def __init__(self, values=ARRAY):
        self.values, self.shape, self.dtype = values, values.shape, values.dtype

    def __getitem__(self, index):
        return Shaped(self.values[index])

    def __array__(self, dtype=None, copy=None):
        values = self.values.view()
        values.flags.writeable = False
        return values


def of_package(name, kind="Thing", **attributes):
    """A stand-in for a thing of a package that is not here."""
    return type(kind, (), {"__module__": f"{name}.inner"} | attributes)


class _Table:
    def __init__(self, values=ARRAY):
        self.values, self.columns = values, list("abcdef")
        self.dtypes = [of_package("polars", "Float64", is_numeric=lambda self: True)()] * 6

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        return type(self)(self.values[index])

    def to_numpy(self):
        return self.values


class _Named:
    def __init__(self, values=X):
        self.values, self.batch_size = values, [len(values)]

    def __len__(self):
        return len(self.values)

    def keys(self):
        return ["x", "y"]

    def __getitem__(self, key):
        return type(self)(self.values[key]) if isinstance(key, slice) else {"x": self.values, "y": None}[key]


class _Columns:
    """A dataset of the hub: columns by name, as lists unless asked for tensors."""

    def __init__(self, values=X):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        return {"x": self.values[index].tolist() if self.values is X else self.values[index]}

    def with_format(self, name):
        assert name == "torch"
        return type(self)(X.clone())


TABLE = type("DataFrame", (_Table,), {"__module__": "polars.dataframe.frame"})
NAMED = type("TensorDict", (_Named,), {"__module__": "tensordict._td"})
COLUMNS = type("Dataset", (_Columns,), {"__module__": "datasets.arrow_dataset"})
READ_ONLY = ARRAY.copy()
READ_ONLY.flags.writeable = False

SAME = {
    "numpy": ARRAY,
    "numpy of float64": ARRAY.astype("f8"),
    "numpy of float16": ARRAY.astype("f2"),
    "long doubles": ARRAY.astype("g"),
    "integers": ARRAY.astype("i8"),
    "bytes": ARRAY.astype("u1"),
    "integers of 16 bits without sign": ARRAY.astype("u2"),
    "numpy of another byte order": ARRAY.astype(">f4"),
    "numpy backwards": ARRAY[::-1].copy()[::-1],
    "numpy read-only": READ_ONLY,
    "masked, without masked values": np.ma.masked_array(ARRAY),
    "float64": X.double(),
    "integers of torch": X.long(),
    "bfloat16, exact here": X.bfloat16(),
    "a data frame": FRAME,
    "a data frame of float64": FRAME.astype("f8"),
    "a data frame of several kinds": FRAME.astype({"a": "i8", "b": "f8", "c": "Int64"}),
    "a data frame with another index": FRAME.set_index(np.arange(90, 0, -1)),
    "polars": TABLE(),
    "scipy csr": scipy.sparse.csr_matrix(ARRAY),
    "scipy csc": scipy.sparse.csc_matrix(ARRAY),
    "scipy coo, array": scipy.sparse.coo_array(ARRAY),
    "torch coo": X.to_sparse(),
    "AnnData": anndata.AnnData(ARRAY),
    "AnnData, sparse": anndata.AnnData(scipy.sparse.csr_matrix(ARRAY)),
    "TensorDict": NAMED(),
    "a dict of arrays": {"x": ARRAY, "y": np.arange(90), "names": ["a"] * 90, "seed": 3},
    "a dict of one": {"counts": X},
    "a dataset of the hub": COLUMNS(),
    "what looks like numpy": Shaped(),
    "a dataset": Mapped(),
    "a dataset of tuples": TensorDataset(X, torch.zeros(90)),
    "a dataset of numpy": Mapped(lambda i: (ARRAY[i], i)),
    "a dataset of dicts": Mapped(lambda i: {"x": X[i], "y": i}),
    "a loader of dicts": DataLoader(Mapped(lambda i: {"data": X[i], "y": i}), batch_size=30),
    "a loader that is its own iterator": Loader(),
    "batches of frames": [FRAME[:30], FRAME[30:60], FRAME[60:]],
    "batches of scipy": [(scipy.sparse.csr_matrix(part.numpy()), 0) for part in X.split(30)],
    "batches of sparse": [part.to_sparse() for part in X.split(30)],
    "batches of float64": [part.double() for part in X.split(30)],
}


@pytest.mark.parametrize("case", SAME)
def test_every_container_gives_what_the_dense_tensor_gives(case):
    assert run(SAME[case]).nll_bound == DENSE


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_torch_csr():
    assert run(X.to_sparse_csr()).nll_bound == DENSE


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype")
def test_a_nested_tensor_is_refused():
    nested = torch.nested.nested_tensor([X[:2], X[:3]], layout=torch.jagged)
    for data in (nested, [nested]):
        with pytest.raises(InputError, match=r"nested tensor; give .*to_padded_tensor"):
            run(data)


def test_a_generator_is_refused_unused():
    generator = (part for part in X.split(30))
    with pytest.raises(InputError, match="a generator, which can be gone through only once"):
        run(generator)
    assert len(list(generator)) == 3


def test_a_loader_that_shuffles_and_is_its_own_iterator():
    order = torch.Generator().manual_seed(0)
    report = run(Loader(lambda: torch.randperm(90, generator=order)))
    assert report.rate == pytest.approx(run(X).rate, rel=1e-6)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8"])
def test_data_come_in_the_precision_of_the_model(dtype):
    exact = run(X.double(), Net().double().eval())
    assert exact.nll_bound == pytest.approx(DENSE, abs=1e-5)
    assert run(ARRAY.astype(dtype), Net().double().eval()).nll_bound == exact.nll_bound


def test_a_half_model_is_given_half_data_and_its_likelihood_whole_ones():
    net = Net().bfloat16().eval()
    x = X + 0.001
    seen = set()

    def log_likelihood(x, z):
        seen.add(x.dtype)
        return gaussian(net.decoder)(x, z)

    for data in (x, x.double(), x.numpy(), x.bfloat16()):
        report = diagnose(net.encode, log_likelihood, data, iw_samples=2, batch_size=30)
        assert report.nll_bound == pytest.approx(DENSE, rel=0.02)
    assert seen == {torch.float32}


def test_a_decoder_in_half_behind_an_encoder_that_is_not():
    net = Net().eval()
    net.decoder.bfloat16()
    assert run(X, net).nll_bound == pytest.approx(DENSE, rel=0.01)
    net = Net().bfloat16().eval()
    report = diagnose(lambda x: [one.float() for one in net.encode(x)], gaussian(net.decoder), X, iw_samples=2)
    assert report.nll_bound == pytest.approx(DENSE, rel=0.01)


def test_token_ids_stay_integers():
    table = nn.Embedding(8, 4).eval()
    report = diagnose(
        lambda x: table(x).mean(1).chunk(2, 1),
        lambda x, z: (z[:, :1] * table.weight[:, 0]).log_softmax(1).gather(1, x).sum(1),
        X.long(),
        iw_samples=1,
    )
    assert report.examples == 90


def test_an_encoder_that_casts_for_itself_is_left_alone():
    net = Net().double().eval()
    report = diagnose(lambda x: net.encode(x.double()), gaussian(lambda z: net.decoder(z.double())), X, iw_samples=2)
    assert report.nll_bound == pytest.approx(DENSE, abs=0.05)


EDGES = (torch.rand(90, 90, generator=torch.Generator().manual_seed(2)) < 0.1).float()


def graph_encode(x):
    return [EDGES @ one / 9 for one in NET.encode(x)]


def test_the_nodes_of_one_graph_are_measured_together():
    report = diagnose(graph_encode, gaussian(NET.decoder), [X], iw_samples=2)
    assert any("as a graph's does" in note for note in report.notes)
    mu, logvar = (one.detach() for one in graph_encode(X))
    expected = 0.5 * (mu.square() + logvar.exp() - logvar - 1).sum(1).mean()
    assert report.rate == pytest.approx(float(expected), rel=1e-5)
    assert not any("graph" in note for note in run([X]).notes)


def test_a_graph_that_was_cut_is_told_so():
    with pytest.raises(InputError, match=r"the first 30 examples \(.*\), and not for all 90 at once; .*batch_size=90"):
        diagnose(graph_encode, gaussian(NET.decoder), X, batch_size=30)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):  # its own fault, whatever the batch
        diagnose(lambda x: (EDGES @ x[:30], x[:30]), gaussian(NET.decoder), X, batch_size=30)


MASKED = np.ma.masked_array(ARRAY, ARRAY > 3)

REFUSED = {
    "masked values": (MASKED, r"x is a masked array, and \d+ of 180 numbers are masked; fill them"),
    "text in a frame": (FRAME.assign(kind="a"), "x is a DataFrame whose column 'kind' holds .*numbers alone"),
    "categories in a frame": (FRAME.astype({"b": "category"}), "column 'b' holds category"),
    "dates in a frame": (FRAME.assign(day=pd.Timestamp("2020-01-01")), "column 'day' holds datetime64"),
    "objects": (ARRAY.astype(object), r"an array of object; .*\.astype\('float32'\)"),
    "text": ("digits", r"data is the text 'digits'; .*named_batches\('digits'\)"),
    "one column": (X[:, 0], r"a batch has shape \[30\]; x must be \[B, \.\.\.\]: `data.reshape\(-1, 1\)`"),
    "a list of examples": (list(X), r"a batch has shape \[6\].*torch.stack\(data\) where data is a list of examples"),
    "a list of numpy examples": (list(ARRAY), r"a batch has shape \[6\].*np.stack\(data\) where data is a list"),
    "x and its labels": ((X, torch.arange(90)), r"a batch has shape \[90\], and the first one had 2 axes; .*\[data\]"),
    "complex": (X.to(torch.complex64), r"x is complex; give torch\.view_as_real"),
    "a list of lists": (X.tolist(), "a batch is a list; give tensors"),
    "a number": (torch.tensor(1.0), "data is a single number"),
    "lengths that differ": ({"x": X, "y": X[:3]}, "a dict with the lengths 'x': 90, 'y': 3"),
    "a dict of nothing": ({"x": "a"}, "a dict with no arrays"),
    "a stream of examples": (Stream(), r"a Stream, which may give examples or batches; give DataLoader\(data, batch"),
    "a dataset of several lengths": (
        Mapped(lambda i: X[i, : 1 + i % 3]),
        r"a Mapped, cannot be stacked to batches \(stack expects .*give DataLoader\(data, batch_size=30, collate_fn",
    ),
    "a dataset of objects": (Mapped(lambda i: object()), "cannot be stacked to batches .*found <class 'object'>"),
    "a loader's iterator": (iter(DataLoader(X, batch_size=30)), "gone through only once"),
    "its own iterator, once": (Once(), "a Once, which can be gone through only once"),
    "a lazy frame": (of_package("polars", "LazyFrame")(), r"a LazyFrame of polars; give data\.collect\(\)"),
    "dask": (of_package("dask", "Array")(), r"give data\.compute\(\)"),
    "AnnData without X": (of_package("anndata", "AnnData", X=None)(), r"whose X is None; give data.layers\[name\]"),
    "a tensordict without a size": (of_package("tensordict", batch_size=[])(), "auto_batch_size_"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_taken_is_refused_in_one_sentence(case):
    data, pattern = REFUSED[case]
    with pytest.raises(InputError, match=pattern) as caught:
        run(data)
    assert "\n" not in str(caught.value)


def test_series_padded_to_their_own_length_in_each_batch_are_measured():
    chance = torch.Generator().manual_seed(0)
    weights, noise = torch.randn(2, 4, generator=chance), 0.5

    def series(count, length):
        codes = torch.randn(count, 2, generator=chance) @ weights
        return codes[:, None] + noise * torch.randn(count, length, 4, generator=chance)

    def encode(x):
        covariance = torch.linalg.inv(x.shape[1] * weights @ weights.T / noise**2 + torch.eye(2))
        return x.sum(1) @ weights.T @ covariance / noise**2, covariance.diagonal().log().expand(len(x), 2)

    def log_likelihood(x, z):
        return Normal((z @ weights)[:, None], noise).log_prob(x).sum((1, 2))

    batches = [series(50, length) for length in (5, 8, 3, 9)]
    together = diagnose(encode, log_likelihood, batches, iw_samples=400)
    apart = [diagnose(encode, log_likelihood, [batch], iw_samples=400) for batch in batches]
    assert together.nll_bound == pytest.approx(sum(one.nll_bound for one in apart) / 4, abs=0.05)
    assert together.active_units == 2
    assert together.residual is None


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float64])
def test_models_of_another_precision(kind):
    """z comes in the precision that the encoder answers in; every KL is computed in float32 or better."""
    chance = torch.Generator().manual_seed(0)
    encoder, decoder = (torch.nn.Linear(*size).to(kind).eval() for size in ((6, 4), (2, 6)))
    x = torch.randn(200, 6, generator=chance).to(kind)
    expected = diagnose(
        lambda x: encoder(x.to(kind)).double().chunk(2, 1),
        gaussian(lambda z: decoder(z.to(kind)).double()),
        x.double(),
        iw_samples=4,
    )
    report = diagnose(lambda x: encoder(x).chunk(2, 1), gaussian(decoder), x, iw_samples=4)
    assert report.rate == pytest.approx(expected.rate, rel=1e-5)
    assert report.nll_bound == pytest.approx(expected.nll_bound, rel=2e-3)
