"""ctgan's TVAE and SDV's synthesizer: its likelihood and weights, what stays of us after `fit`, and draws of levels."""

import io
import math
import pickle

import pytest
import torch

from lambda_vae.errors import InputError

pytest.importorskip("ctgan")

import numpy as np
import pandas as pd
from ctgan import TVAE
from ctgan.synthesizers.tvae import Decoder, Encoder, _loss_function
from host_cases.ctgan import CATEGORIES, fitted, table

from lambda_vae.any_vae import diagnose
from lambda_vae.integrations import host
from lambda_vae.integrations.ctgan import _likelihood, _transformed, diagnose_ctgan, drawn_categories, equalize_ctgan

pytestmark = pytest.mark.filterwarnings("default")


def synthesizer(**settings):
    single_table = pytest.importorskip("sdv.single_table")
    from sdv.metadata import Metadata

    metadata = Metadata.detect_from_dataframes({"people": table()})
    return single_table.TVAESynthesizer(metadata, embedding_dim=4, batch_size=100, enable_gpu=False, **settings)


def weights(model):
    return dict(model.decoder.state_dict())


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


def test_the_likelihood_is_tvaes_loss_with_its_constant_counted():
    model = fitted(math.inf)
    x = _transformed(model.transformer, table())
    z = torch.randn(len(x), 4)
    with torch.no_grad():
        ours = _likelihood(model.transformer, model.decoder)(x, z)
        scores, sigma = model.decoder(z)
        loss, _ = _loss_function(scores, x, sigma, z, z, model.transformer.output_info_list, 1)
    assert float(-ours.mean()) == pytest.approx(float(loss) + 0.5 * math.log(2 * math.pi), rel=1e-5)


@pytest.mark.parametrize("factor", [2, 5])
def test_the_kl_weight_is_one_over_loss_factor_and_the_bound_is_at_weight_one(factor, monkeypatch):
    given = {}
    monkeypatch.setattr(host, "diagnose", lambda *args, **options: given.update(options) or diagnose(*args, **options))
    report = diagnose_ctgan(fitted(math.inf, loss_factor=factor), table())
    assert given["kl_weight"] == pytest.approx(1 / factor)
    assert report.nll_bound == pytest.approx(report.reconstruction + report.rate)
    assert f"{factor} times (loss_factor): a KL weight of {1 / factor:g}" in str(report)
    assert report.nll_iw <= report.nll_bound


def test_a_diagnosis_is_the_same_twice_and_leaves_the_generators_and_the_model():
    model = fitted(math.inf)
    model.decoder.train()
    before, chance, dice = weights(model), torch.get_rng_state(), np.random.get_state()[1].copy()
    first, second = (diagnose_ctgan(model, table()) for _ in range(2))
    assert str(first) == str(second)
    assert torch.equal(chance, torch.get_rng_state())
    assert (dice == np.random.get_state()[1]).all()
    assert model.decoder.training
    assert same(before, weights(model))


def test_a_long_table_is_read_as_tvae_reads_it():
    model = fitted(math.inf)
    long = pd.concat([table()] * 4, ignore_index=True)
    x = _transformed(model.transformer, long)
    own = model.transformer._synchronous_transform(long, model.transformer._column_transform_info_list)
    again = model.transformer._synchronous_transform(long, model.transformer._column_transform_info_list)
    assert np.allclose(x.numpy(), np.concatenate(own, 1), atol=1e-6)
    assert not np.array_equal(np.concatenate(own, 1), np.concatenate(again, 1))  # the components are drawn


def test_noise_narrowed_to_the_end_is_what_is_measured():
    model = fitted(1.1, epochs=20)
    report, plain = diagnose_ctgan(model, table()), diagnose_ctgan(model, table(), exponent=None)
    exponent = model.encoder.trained_with[1]
    assert (exponent > 1).all()
    assert torch.equal(report.exponent.float(), exponent)
    assert report.nll_bound != plain.nll_bound


def test_batches_and_epochs_are_counted_and_a_released_model_is_an_ordinary_one():
    model = TVAE(embedding_dim=4, epochs=6, batch_size=80, enable_gpu=False)
    with equalize_ctgan(model, 1.01, release_epochs=3) as equalizer:
        model.fit(train_data=table(), discrete_columns=CATEGORIES)
    assert (equalizer.steps_per_epoch, equalizer.total_epochs) == (4, 6)
    assert (model.encoder.trained_with[1] == 1).all()


def test_what_is_left_of_us_is_the_encoder_alone():
    inits, fit = (Encoder.__init__, Decoder.__init__), TVAE.fit
    model, plain = fitted(1.1), fitted(None)
    assert (Encoder.__init__, Decoder.__init__) == inits
    assert TVAE.fit is fit
    assert vars(model).keys() - vars(plain).keys() == {"encoder"}
    assert not list(model.encoder.named_buffers()) + list(model.decoder.named_buffers())
    assert not model.decoder._forward_pre_hooks
    assert not model.encoder._forward_hooks


def test_a_saved_model_can_be_diagnosed_when_it_is_loaded():
    model = fitted(math.inf)
    saved = io.BytesIO()
    model.save(saved)
    saved.seek(0)
    assert b"lambda_vae" not in saved.getvalue()
    assert str(diagnose_ctgan(TVAE.load(saved), table())) == str(diagnose_ctgan(model, table()))


def test_a_training_that_fails_leaves_no_encoder():
    model = TVAE(enable_gpu=False)
    with pytest.raises(ValueError, match="stopped"), equalize_ctgan(model, 1.1):
        raise ValueError("stopped")
    assert not hasattr(model, "encoder")
    assert "fit" not in vars(model)


def test_a_class_with_another_fit_is_refused():
    class Other(TVAE):
        def fit(self, train_data, discrete_columns=()):
            """Something else."""

    with pytest.raises(InputError, match="the model is a Other; it must be ctgan's TVAE, with its own `fit`"):
        diagnose_ctgan(Other(enable_gpu=False), table())


def test_arrays_are_taken_where_fit_had_one():
    numbers = table().assign(colour=table()["colour"] == "red", size=table()["size"].map(ord)).to_numpy(float)
    model = TVAE(embedding_dim=4, epochs=2, batch_size=100, enable_gpu=False)
    with equalize_ctgan(model, math.inf):
        model.fit(numbers, (1, 2))
    assert len(diagnose_ctgan(model, numbers).kl) == 4
    with pytest.raises(InputError, match=r"shape \[300, 2\]; the model was fitted with 3 columns"):
        diagnose_ctgan(model, numbers[:, :2])


def test_sample_takes_the_most_probable_level_and_the_block_draws():
    """The rare level of `size`, which nothing tells, is lost by the one and has its share by the other."""
    rare = table().assign(size=np.where(np.arange(300) % 4, "s", "m"))
    model = TVAE(epochs=60, batch_size=100, enable_gpu=False)
    model.fit(rare, CATEGORIES)
    model.set_random_state(0)
    before = model.sample(2000)
    with drawn_categories(model):
        drawn = model.sample(2000)
    model.set_random_state(0)
    assert model.sample(2000).equals(before)
    assert (before["size"] == "m").mean() < 0.1
    assert (drawn["size"] == "m").mean() == pytest.approx(0.25, abs=0.08)
    assert set(drawn["size"]) == {"s", "m"}


def test_a_copy_made_within_the_block_draws_nothing():
    model = fitted(math.inf)
    outside = diagnose_ctgan(model, table())
    with drawn_categories(model):
        assert str(diagnose_ctgan(model, table())) == str(outside)


def test_a_synthesizer_of_sdv_is_taken_by_the_same_calls():
    torch.manual_seed(0)
    np.random.seed(0)
    plain = synthesizer(epochs=4)
    plain.fit({"people": table()})
    fit = TVAE.fit
    torch.manual_seed(0)
    np.random.seed(0)
    model = synthesizer(epochs=4)
    with equalize_ctgan(model, math.inf) as equalizer:
        model.fit({"people": table()})
    assert equalizer.steps_per_epoch == 3
    assert TVAE.fit is fit
    assert same(weights(plain._model), weights(model._model))
    report = diagnose_ctgan(model, {"people": table()})
    assert str(report) == str(diagnose_ctgan(model, table()))
    with pytest.raises(InputError, match="throws its encoder away"):
        diagnose_ctgan(plain, table())
    with pytest.raises(InputError, match="the data hold 2 tables"):
        diagnose_ctgan(model, {"people": table(), "more": table()})
    assert len(report.kl) == 4
    with drawn_categories(model):
        assert len(model.sample(50)["people"]) == 50
    assert str(diagnose_ctgan(pickle.loads(pickle.dumps(model)), table())) == str(report)


def test_a_synthesizer_is_narrowed():
    torch.manual_seed(0)
    model = synthesizer(epochs=6)
    with equalize_ctgan(model, 1.01):
        model.fit({"people": table()})
    assert (model._model.encoder.trained_with[1] > 1).all()
    with pytest.raises(InputError, match="this TVAESynthesizer is not fitted"):
        diagnose_ctgan(synthesizer(), table())


def test_a_gap_among_the_numbers_is_refused_where_the_transformer_would_fill_it():
    model, gaps = fitted(math.inf), table()
    number = next(name for name in gaps.columns if name not in CATEGORIES)
    gaps[number] = gaps[number].astype(float)
    gaps.loc[gaps.index[2:5], number] = math.nan
    with pytest.raises(InputError, match=rf"column '{number}' holds no number in 3 of {len(gaps)} rows"):
        diagnose_ctgan(model, gaps)


def test_a_table_without_rows_is_one_sentence():
    with pytest.raises(InputError, match="the table has no rows"):
        diagnose_ctgan(fitted(math.inf), table()[:0])


def test_a_second_fit_in_the_block_is_refused_since_its_encoder_trained_without_lambda():
    model = TVAE(embedding_dim=4, epochs=2, batch_size=100, enable_gpu=False)
    with pytest.raises(InputError, match="this TVAE was fitted within this block before"):
        with equalize_ctgan(model, 1.1):
            _ = [model.fit(table(), CATEGORIES) for _ in range(2)]
