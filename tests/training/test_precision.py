"""The arithmetic of a run: float32 where it counts, an honest error, compiled networks, refused options."""

from pathlib import Path

import pytest
import torch
from small import differing, everything, trainer, vae
from torch import Tensor

from lambda_vae.equalization import Equalization
from lambda_vae.errors import InputError
from lambda_vae.model import Trace
from lambda_vae.objectives import ELBO, Terms
from lambda_vae.training import TrainOptions
from lambda_vae.training.precision import MATMUL, matmul_error, set_matmul


@pytest.fixture(autouse=True)
def default_route() -> object:
    yield
    torch.set_float32_matmul_precision("highest")


class Watching(ELBO):
    """Notes the dtype of everything a loss is made of, and of the networks' products."""

    def __call__(self, trace: Trace, kl_weight: float | Tensor = 1.0) -> Terms:
        terms = super().__call__(trace, kl_weight)
        q, narrow = trace.q, trace.q_sampled
        values = (q.mu, q.logvar, q.std, q.kl(trace.p_z), narrow.logvar, narrow.kl(trace.p_z), trace.z)
        self.dtypes.update(value.dtype for value in (*values, trace.p_x.log_prob(trace.x), terms.loss, terms.rate_q))
        return terms

    dtypes: set[torch.dtype] = set()  # noqa: RUF012 - reset by the test


def products(precision: str) -> tuple[set[torch.dtype], set[torch.dtype]]:
    """What the networks compute in, and what the losses compute in."""
    model, inside = vae(), set()
    for network in (model.encoder, model.decoder, model.posterior.head):
        network.register_forward_hook(lambda _module, _inputs, output: inside.add(output.dtype))
    Watching.dtypes = set()
    trained = trainer(model=model, objective=Watching(), precision=precision, epochs=2)
    trained.fit()
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    return inside, Watching.dtypes


def test_bfloat16_is_in_the_networks_alone() -> None:
    assert products("bfloat16") == ({torch.bfloat16}, {torch.float32})


def test_float32_is_float32_throughout_in_the_same_process() -> None:
    assert products("bfloat16")[0] == {torch.bfloat16}
    assert products("float32") == ({torch.float32}, {torch.float32})


def test_distributions_are_float32_inside_autocast() -> None:
    model = vae().with_equalization(Equalization(torch.full((3,), 2.0)))
    with torch.autocast("cpu", torch.bfloat16):
        trace = model(torch.ones(4, 12), torch.ones(2, 4, 3))
        q, p_x = trace.q_sampled, trace.p_x
        values = (trace.q.mu, trace.q.logvar, q.logvar, q.kl(trace.p_z), q.log_prob(trace.z), p_x.log_prob(trace.x))
    assert {value.dtype for value in values} == {torch.float32}


def test_bfloat16_trains_to_nearly_the_same_loss() -> None:
    exact, rounded = (trainer(precision=name).fit().to_record()["loss"][-1] for name in ("float32", "bfloat16"))
    assert rounded == pytest.approx(exact, abs=0.1)  # bfloat16 has 3 digits, the loss is about 7 nats
    assert rounded != exact


@pytest.mark.parametrize("route", MATMUL)
def test_matmul_route_is_set_and_its_error_is_small(route: str) -> None:
    error = set_matmul(route)
    assert torch.get_float32_matmul_precision() == route
    # A sum of 256 products: float32 rounds to 6e-8, bfloat16 to 4e-3, each relative to a product.
    assert 0 < error < {"highest": 1e-6, "high": 1e-2, "medium": 1e-2}[route]
    assert error == matmul_error()


def test_matmul_error_sees_reduced_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = matmul_error()
    product = torch.Tensor.__matmul__

    def rounded(a: Tensor, b: Tensor) -> Tensor:
        return product(a.bfloat16(), b.bfloat16()).float() if a.dtype == torch.float32 else product(a, b)

    monkeypatch.setattr(torch.Tensor, "__matmul__", rounded)
    assert matmul_error() > 1e3 * exact


def test_trainer_records_the_error_of_its_route() -> None:
    assert trainer(matmul="highest").matmul_error == matmul_error()


@pytest.mark.slow  # the compiler takes 10 to 30 s
@pytest.mark.filterwarnings("ignore")  # the compiler's warnings are not ours
def test_compiled_networks_train_to_nearly_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # the common one may be in use
    plain, compiled = trainer(epochs=2), trainer(epochs=2, compile=True)
    plain.fit()
    compiled.fit()
    first, second = everything(plain), everything(compiled)
    assert first.keys() == second.keys()
    torch.testing.assert_close(second["history.loss"], first["history.loss"], rtol=1e-4, atol=0)
    assert [name for name in differing(first, second) if name == "generator"] == []


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"samples": -1}, "samples is -1"),
        ({"checkpoint_every": 0}, "checkpoint_every is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be a positive number"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"clip_norm": float("inf")}, "clip_norm is inf"),
        ({"seed": -1}, "seed is -1; it must be at least 0"),
        ({"seed": 2**63}, "seed is 9223372036854775808"),
        ({"precision": "float16"}, "unknown precision 'float16'; use one of float32, bfloat16"),
        ({"matmul": "low"}, "unknown matmul 'low'; use one of highest, high, medium"),
    ],
)
def test_bad_options_are_refused(settings: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        TrainOptions(**{"epochs": 1, **settings})  # type: ignore[arg-type]


def test_unknown_matmul_route_is_refused() -> None:
    with pytest.raises(InputError, match="unknown matmul route 'low'"):
        set_matmul("low")
