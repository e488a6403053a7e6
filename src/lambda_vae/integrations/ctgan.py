"""ctgan's TVAE and SDV's TVAESynthesizer: diagnosed, equalized, and with categories sampled by draws."""

import copy
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn

from lambda_vae.diagnostics import CollapseReport
from lambda_vae.equalizing import HostEqualizer, equalize_fit
from lambda_vae.equalizing._equalize_class import instances_made
from lambda_vae.errors import InputError
from lambda_vae.integrations.host import report_on
from lambda_vae.integrations.tested import needed
from lambda_vae.likelihoods import DecoderLikelihood, categorical, gaussian, mixed

__all__ = ["diagnose_ctgan", "drawn_categories", "equalize_ctgan"]

#: A DataTransformer starts a process for each core for longer tables.
_ROWS = 499


@contextmanager
def equalize_ctgan(model: Any, delta: float, **settings: Any) -> Iterator[HostEqualizer]:
    """Narrow the noise of the TVAE that trains within the block, and keep its encoder on the model.

    `with equalize_ctgan(model, 1.1): model.fit(table, categories)`. TVAE makes both networks within `fit`, draws z
    there and discards its encoder. After the block the encoder is `model.encoder` (of a synthesizer
    `model._model.encoder`), which `diagnose_ctgan` uses, and which is saved with the model; nothing else of lambda-vae
    remains. With delta = inf the weights are those of a plain `fit`, bit for bit. The epochs and their batches are
    counted; total_epochs is the model's.

    Args:
        model: ctgan's TVAE or SDV's TVAESynthesizer, fitted within the block.

    Raises:
        InputError: Another model, none fitted within the block.

    Source:
        ctgan 0.12.1, synthesizers/tvae.py, `TVAE.fit`; sdv 2.0.0, single_table/ctgan.py, `TVAESynthesizer._fit`.
    """
    where = "ctgan.synthesizers.tvae"
    tvae, encoder, decoder = needed("ctgan", f"{where}.TVAE", f"{where}.Encoder", f"{where}.Decoder")
    host = model if _is_synthesizer(model, tvae) is False else tvae  # a synthesizer makes its TVAE within its own fit
    encoders: list[Any] = []
    decoders: list[Any] = []

    def batches(*given: Any, **named: Any) -> int:
        rows = len(named["train_data"] if "train_data" in named else given[int(host is tvae)])
        return -(-rows // int(model.batch_size))

    settings.setdefault("total_epochs", int(model.epochs))
    settings.update(posterior=encoder, takes="std")
    with (
        instances_made(encoder, encoders.append),
        instances_made(decoder, decoders.append),
        equalize_fit(host, batches, decoder, int(model.embedding_dim), delta, **settings) as equalizer,
    ):
        yield equalizer
        fitted: Any = model if host is model else getattr(model, "_model", None)
        made = [one is getattr(fitted, "decoder", None) for one in decoders]
        if not any(made):
            raise InputError(
                f"this {type(model).__name__} was not fitted within equalize_ctgan; call its `fit` in the block"
            )
    kept = encoders[made.index(True)].cpu().eval()
    # With the decoder it trained with, since a later, plain fit makes another decoder.
    kept.trained_with = (fitted.decoder, equalizer.exponent.detach().cpu().clone(), delta)
    fitted.encoder = kept


def diagnose_ctgan(model: Any, table: Any, **options: Any) -> CollapseReport:
    """Return every measure of a fitted TVAE on a table, and a verdict on each latent dimension with its cause.

    x is a row by TVAE's own transformer: for a number its value within one component of its column, clipped to
    +-0.99, and the component, as the transformer draws it; for a category one of its levels. log p(x|z) is that of
    TVAE's loss: categories by the decoder's scores, numbers Gaussian about tanh of its output with a learned sigma,
    with the constant 1/2 ln 2 pi that the loss leaves out. The loss multiplies it by `loss_factor`, 2 by default, so
    that the KL weighs 1 / loss_factor against it: causes are derived from that weight, while `nll_bound` is the bound
    at weight 1. All is computed on the CPU.

    Args:
        model: TVAE or TVAESynthesizer, fitted within `equalize_ctgan`, which keeps the encoder.
        table: As for its `fit`: a DataFrame or an array; of a synthesizer {name: DataFrame}, or the DataFrame.
        options: Of `lambda_vae.diagnose`. The noise that the model was trained with at the end is measured;
            exponent=None measures sigma.

    Raises:
        InputError: A model without its encoder, a table of other columns or with categories that were not there in
            `fit`, or as `diagnose`.

    Source:
        ctgan 0.12.1, synthesizers/tvae.py, `_loss_function`; data_transformer.py.
    """
    fitted = _fitted(model)
    held = getattr(fitted, "encoder", None)
    if held is None or held.trained_with[0] is not fitted.decoder:
        raise InputError(
            "TVAE throws its encoder away when `fit` ends; fit it again as `with equalize_ctgan(model, math.inf): "
            "model.fit(...)`, which keeps the encoder and changes no weight"
        )
    if not float(fitted.loss_factor) > 0.0:
        raise InputError(f"loss_factor is {fitted.loss_factor}; with no reconstruction in the loss nothing is learned")
    _, exponent, delta = held.trained_with
    encoder, decoder = copy.deepcopy(held), copy.deepcopy(fitted.decoder).cpu().eval()
    if "equalizer" not in options and bool((exponent != 1.0).any()):
        options = {"exponent": exponent, "delta": delta, **options}

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        mu, _, logvar = encoder(x)
        return mu, logvar

    x = _transformed(fitted.transformer, table if fitted is model else _processed(model, table))
    factor = float(fitted.loss_factor)
    notes = (
        f"TVAE's loss counts the reconstruction {factor:g} times (loss_factor): a KL weight of {1 / factor:g}.",
        "Its sample() takes the most probable level of every category, which no likelihood here does; `with "
        "drawn_categories(model): model.sample(n)` draws them.",
    )
    likelihood = _likelihood(fitted.transformer, decoder)
    return report_on(encode, likelihood, x, options, kl_weight=1.0 / factor, notes=notes)


@contextmanager
def drawn_categories(model: Any) -> Iterator[None]:
    """Make `sample` draw categories from the decoder's probabilities within the block, not the most probable ones.

    TVAE's own `sample` draws numbers with the decoder's sigma, but takes the most probable level of every category and
    component. No weight changes, and after the block `sample` is as it was.

    Args:
        model: TVAE or TVAESynthesizer, fitted with or without lambda.

    Source:
        ctgan 0.12.1, `TVAE.sample` and `DataTransformer.inverse_transform`, which takes the argmax.
    """
    fitted = _fitted(model)
    own, categories = fitted.decoder, [columns for columns, number in _spans(fitted.transformer) if not number]

    def drawn(decoder: nn.Module, z: object, out: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor] | None:
        if decoder is not own:  # a copy of it
            return None
        scores = out[0].clone()
        for columns in categories:
            level = torch.multinomial(torch.softmax(scores[:, columns], 1), 1).squeeze(1)
            scores[:, columns] = nn.functional.one_hot(level, columns.stop - columns.start).to(scores.dtype)
        return scores, out[1]

    hook = own.register_forward_hook(drawn)
    try:
        yield
    finally:
        hook.remove()


def _is_synthesizer(model: object, tvae: Any) -> bool:
    """Whether it is SDV's, which is not imported since it is optional."""
    if isinstance(model, tvae) and type(model).fit is tvae.fit:
        return False
    if "sdv.single_table.ctgan.TVAESynthesizer" in {f"{one.__module__}.{one.__name__}" for one in type(model).mro()}:
        return True
    raise InputError(
        f"the model is a {type(model).__name__}; it must be ctgan's TVAE, with its own `fit`, or SDV's TVAESynthesizer"
    )


def _fitted(model: Any) -> Any:
    """The TVAE itself, or that of a synthesizer."""
    tvae = needed("ctgan", "ctgan.synthesizers.tvae.TVAE")[0]
    fitted = getattr(model, "_model", None) if _is_synthesizer(model, tvae) else model
    if not hasattr(fitted, "decoder"):
        raise InputError(f"this {type(model).__name__} is not fitted; call its `fit` first")
    return fitted


def _processed(synthesizer: Any, table: Any) -> Any:
    """A table as the synthesizer passes it to its TVAE."""
    if isinstance(table, Mapping):
        if len(table) != 1:
            raise InputError(f"the data hold {len(table)} tables; give one, {{'name': DataFrame}}")
        table = next(iter(table.values()))
    with _one_sentence():
        table = synthesizer._validate_transform_constraints(table)
        return synthesizer._data_processor.transform(table)


def _transformed(transformer: Any, table: Any) -> Tensor:
    """Rows of a table as TVAE's encoder takes them, the same in every call."""
    import numpy as np

    columns = [info.column_name for info in transformer._column_transform_info_list]
    if not (hasattr(table, "columns") if transformer.dataframe else isinstance(table, np.ndarray)):
        raise InputError(
            f"the table is a {type(table).__name__}; the model was fitted with "
            f"{'a DataFrame' if transformer.dataframe else 'a numpy array'}, give such a one"
        )
    if transformer.dataframe and not set(columns) <= set(table.columns):
        lacking = next(name for name in columns if name not in table.columns)
        raise InputError(f"the table has no column {lacking!r}, which the model was fitted with")
    if not transformer.dataframe and table.shape[1:] != (len(columns),):
        raise InputError(f"the table has shape {list(table.shape)}; the model was fitted with {len(columns)} columns")
    if not len(table):
        raise InputError("the table has no rows; give some")
    _require_numbers(transformer, table)
    own = copy.deepcopy(transformer)  # since each call advances its generator
    with _one_sentence(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of unknown levels, which are refused below
        parts = [own.transform(table[at : at + _ROWS]) for at in range(0, len(table), _ROWS)]
    x = torch.from_numpy(np.concatenate(parts)).float()
    at = 0
    for info in transformer._column_transform_info_list:
        of_column, at = x[:, at : at + info.output_dimensions], at + info.output_dimensions
        new = of_column.sum(1) == 0
        if info.column_type == "discrete" and bool(new.any()):
            raise InputError(
                f"column {info.column_name!r} holds a level that was not there in `fit`, in {int(new.sum())} of "
                f"{len(x)} rows, the first at place {int(new.nonzero()[0])}; leave these rows out"
            )
    return x


def _require_numbers(transformer: Any, table: Any) -> None:
    """Refuse missing numbers, as `fit` does, where its transformer would impute one."""
    for at, info in enumerate(transformer._column_transform_info_list):
        if info.column_type != "discrete":
            column = table[info.column_name] if transformer.dataframe else table[:, at]
            gaps = sum(value is None or value != value for value in column)  # NaN differs from itself
            if gaps:
                raise InputError(
                    f"column {info.column_name!r} holds no number in {gaps} of {len(table)} rows, which "
                    "TVAE cannot be fitted on either; leave these rows out"
                )


@contextmanager
def _one_sentence() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise InputError(f"the table cannot be read as the one in `fit` was: {str(error).splitlines()[0]}") from error


def _spans(transformer: Any) -> Iterator[tuple[slice, bool]]:
    """The columns of each number or category in a row, and whether it is a number."""
    at = 0
    for span in (span for column in transformer.output_info_list for span in column):
        yield slice(at, at + int(span.dim)), span.activation_fn != "softmax"
        at += int(span.dim)  # numpy's, of a column that chose its components


def _likelihood(transformer: Any, decoder: Any) -> DecoderLikelihood:
    numbers = [columns.start for columns, number in _spans(transformer) if number]
    parts: dict[str, tuple[Any, DecoderLikelihood]] = {
        f"category at {columns.start}": (columns, categorical(itemgetter((slice(None), columns)), logits=True))
        for columns, number in _spans(transformer)
        if not number
    }
    if numbers:
        std = decoder.sigma.detach()[numbers]
        parts["numbers"] = numbers, gaussian(lambda scores: torch.tanh(scores[:, numbers]), std=std)
    return mixed(parts, decode=lambda z: decoder(z)[0])
