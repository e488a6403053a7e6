"""The arithmetic of a run: float32 where it counts, an honest error, refused options."""

from pathlib import Path

import pytest
import torch
from small import trainer, vae
from torch import Tensor

from lambda_vae.equalization import Equalization
from lambda_vae.errors import InputError
from lambda_vae.model import Trace
from lambda_vae.objectives import ELBO, Terms
from lambda_vae.training import TrainOptions, automatic, checkpoints, precision
from lambda_vae.training.precision import MATMUL, MatmulRoute, matmul_error, matmul_route


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


@pytest.mark.parametrize("name", MATMUL)
def test_a_route_is_taken_inside_alone_and_its_error_is_small(name: str) -> None:
    route = matmul_route(name)
    assert torch.get_float32_matmul_precision() == "highest"
    with route, route:
        assert torch.get_float32_matmul_precision() == route.name
        assert route.error == matmul_error()
    assert torch.get_float32_matmul_precision() == "highest"
    # A sum of hundreds of products: float32 rounds to 6e-8, bfloat16 to 4e-3, each relative to a product.
    assert 0 < route.error < {"auto": 1e-5, "highest": 1e-5}.get(name, 1e-1)


def test_matmul_error_sees_reduced_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = matmul_error()
    product = torch.Tensor.__matmul__

    def rounded(a: Tensor, b: Tensor) -> Tensor:
        return product(a.bfloat16(), b.bfloat16()).float() if a.dtype == torch.float32 else product(a, b)

    monkeypatch.setattr(torch.Tensor, "__matmul__", rounded)
    assert matmul_error() > 1e3 * exact


@pytest.mark.parametrize(
    ("errors", "device", "chosen"),
    [
        ({"highest": 4e-7, "medium": 6e-7}, "cpu", "medium"),
        ({"highest": 4e-7, "medium": 4e-7}, "cpu", "highest"),  # the same bits: there is no faster route
        ({"highest": 4e-7, "medium": 3e-3}, "cpu", "highest"),  # bfloat16 inside
        ({"highest": 4e-7, "medium": 3e-4}, "cpu", "highest"),  # TensorFloat-32
        ({"highest": 4e-7, "medium": 4.1e-7}, "meta", "highest"),  # no CPU
    ],
)
def test_the_faster_route_is_taken_where_it_is_as_exact(
    errors: dict[str, float], device: str, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "matmul_error", lambda _device: errors[torch.get_float32_matmul_precision()])
    assert matmul_route("auto", device) == MatmulRoute(chosen, errors[chosen])


def test_a_run_takes_its_route_and_leaves_the_process_its_own() -> None:
    class Asking(ELBO):
        seen: set[str] = set()  # noqa: RUF012 - of this test alone

        def __call__(self, trace: Trace, kl_weight: float | Tensor = 1.0) -> Terms:
            self.seen.add(torch.get_float32_matmul_precision())
            return super().__call__(trace, kl_weight)

    run = trainer(objective=Asking(), matmul="high", epochs=1)
    run.fit()
    assert Asking.seen == {"high"}
    assert torch.get_float32_matmul_precision() == "highest"
    assert run.matmul == matmul_route("high")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_auto_trains_to_the_bound_of_the_exact_products(seed: int) -> None:
    losses = [trainer(matmul=name, seed=seed).fit().to_record()["loss"] for name in ("highest", "auto")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def with_bfloat16(monkeypatch: pytest.MonkeyPatch, there: bool = True) -> None:
    monkeypatch.setattr("lambda_vae.training.stepper.multiplies_bfloat16", lambda _device: there)


def test_precision_auto_is_bfloat16_while_the_bound_does_not_mind(monkeypatch: pytest.MonkeyPatch) -> None:
    with_bfloat16(monkeypatch)
    auto, plain = trainer(precision="auto"), trainer(precision="bfloat16")
    history = auto.fit().to_record()
    assert history["loss"] == plain.fit().to_record()["loss"]
    assert auto.stepper.precision == "bfloat16"
    assert all(0 < abs(change) < 0.02 for change in history["bound_change"])


def test_precision_auto_ends_in_float32_where_the_bound_minds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_bfloat16(monkeypatch)
    monkeypatch.setattr(automatic, "_NATS", 0.0)
    monkeypatch.setattr(automatic, "_SHARE", 0.0)
    run = trainer(precision="auto", folder=tmp_path, checkpoint_every=1)
    history = run.fit().to_record()
    assert run.stepper.precision == "float32"
    assert history["bound_change"][0] != 0
    assert set(history["bound_change"][1:]) == {0.0}
    again = trainer(precision="auto", folder=tmp_path)
    assert again.stepper.precision == "bfloat16"
    newest = checkpoints.latest(tmp_path)
    assert newest is not None
    again.restore(checkpoints.load(newest))
    assert again.stepper.precision == "float32"


def test_precision_auto_is_float32_without_such_products(monkeypatch: pytest.MonkeyPatch) -> None:
    with_bfloat16(monkeypatch, there=False)
    auto = trainer(precision="auto")
    assert auto.fit().to_record()["loss"] == trainer().fit().to_record()["loss"]
    assert auto.stepper.precision == "float32"


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
        ({"precision": "float16"}, "unknown precision 'float16'; use one of float32, bfloat16, auto"),
        ({"matmul": "low"}, "unknown matmul 'low'; use one of auto, highest, high, medium"),
    ],
)
def test_bad_options_are_refused(settings: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        TrainOptions(**{"epochs": 1, **settings})  # type: ignore[arg-type]


def test_unknown_matmul_route_is_refused() -> None:
    with pytest.raises(InputError, match="unknown matmul route 'low'"):
        matmul_route("low")
