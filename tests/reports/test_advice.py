"""The recommendation, from planted records of which the right answer is known."""

import math
from typing import Any

import pytest

from lambda_vae.records import RunRow
from lambda_vae.reports.conclusions import advice


def runs(label: str, active: float | None, bound: float | None, iw: float | None, probe: float | None = None,
         seeds: tuple[float, ...] = (-0.1, 0.1), **values: Any) -> list[RunRow]:  # fmt: skip
    """One row a seed; each seed shifts the likelihoods by its number, so that means stay and the spread is known."""

    def shifted(value: float | None, by: float) -> float | None:
        return None if value is None else value + by

    given = {"method": "other", "surrogate_nll": 1.0, **values}
    return [
        RunRow(
            run=f"{label}-{i}", label=label, seed=i, status="done", latent_dim=30, active_units=active,
            nll_bound=shifted(bound, by), nll_iw=shifted(iw, by), linear_probe_accuracy=probe, nll_iw_samples=64,
            **given,
        )
        for i, by in enumerate(seeds)
    ]  # fmt: skip


VAE = runs("VAE", 7, 104.6, 99.0, 0.94, method="vae", step_cost=1.0)
WARM = runs("warm", 18, 94.3, 89.0, 0.91, step_cost=1.1)
NEAR = runs("near", 21, 95.5, 89.8, 0.90, step_cost=2.5)
SHARP = runs("sharp", 26, 117.0, 110.9, 0.88, surrogate_nll=0.0)
ALL = [*VAE, *WARM, *NEAR, *SHARP]


def starting(rows: list[RunRow], word: str, **settings: float) -> str:
    found = [sentence for sentence in advice(rows, **settings) if sentence.startswith(word)]
    assert len(found) == 1, advice(rows, **settings)
    return found[0]


def test_best_bound_with_lead_and_cost() -> None:
    assert starting(ALL, "Best bound") == (
        "Best bound: warm. Importance-weighted NLL 89.00 ± 0.14 nats, 0.80 below near at 89.80 ± 0.14. "
        "NLL bound 94.30 ± 0.14 nats, 1.20 below near at 95.50 ± 0.14. 18.0 ± 0.0 active units, linear probe 91.0%. "
        "A training step takes 1.10 times as long as the plain VAE's."
    )


def test_best_representation_counts_active_units_first() -> None:
    text = starting(ALL, "Best representation")
    assert text.startswith("Best representation: sharp. It has 26.0 ± 0.0 active units. Importance-weighted NLL 110.90")
    assert "reaches 88.0%; the best, 94.0%, is that of the plain VAE." in text


def test_directions_are_told_where_they_contradict_active_units() -> None:
    many = [row.updated(active_directions=9) for row in runs("rotated", 20, 95.0, 90.0, 0.9)]
    fewer = [row.updated(active_directions=12) for row in runs("plain", 12, 94.0, 89.0, 0.9)]
    told = (
        "It has 20.0 ± 0.0 active units. But its means vary along 9.0 ± 0.0 directions, and those of plain along 12.0 "
        "± 0.0."
    )
    assert told in starting([*many, *fewer], "Best representation")
    level = [row.updated(active_directions=12) for row in many]
    assert "directions" not in starting([*level, *fewer], "Best representation")


def test_best_trade_takes_most_units_within_its_price() -> None:
    text = starting(ALL, "Best trade-off")
    assert "(most active units on the frontier within 1 nat of the best importance-weighted NLL): near" in text
    assert "3 more active units than warm for 0.80 nats" in text
    assert text.endswith("A training step takes 2.50 times as long as the plain VAE's.")
    assert "warm again; nothing that close" in starting(ALL, "Best trade-off", tolerance=0.5)
    assert ": sharp, 8 more" in starting(ALL, "Best trade-off", tolerance=30.0)


def test_a_method_off_the_frontier_is_no_trade() -> None:
    dominated = runs("dominated", 20, 95.6, 89.9)
    assert "near, 3 more" in starting([*ALL, *dominated], "Best trade-off")


def test_the_surrogate_has_no_say() -> None:
    without = [row.updated(surrogate_nll=None) for row in ALL]
    assert advice(without) == advice(ALL)


def test_a_lead_within_the_spread_is_called_so() -> None:
    wide = (-1.0, 1.0)
    text = starting([*runs("a", 5, 95.0, 90.0, seeds=wide), *runs("b", 5, 95.5, 92.9, seeds=wide)], "Best bound")
    # The spread of a difference of two: sqrt(2 + 2) = 2 nats.
    assert "0.50 below b at 95.50 ± 1.41, which is within one standard deviation over seeds." in text
    assert "2.90 below b at 92.90 ± 1.41." in text


def test_one_seed_says_nothing_about_chance() -> None:
    rows = [row for row in ALL if row.seed == 0]
    assert "with one seed, whether that is more than chance is unknown" in starting(rows, "Best bound")


def test_two_likelihoods_that_disagree_are_both_named() -> None:
    rows = [*runs("a", 5, 95.0, 90.0), *runs("b", 6, 94.0, 91.0)]
    assert starting(rows, "Lowest importance-weighted NLL").startswith("Lowest importance-weighted NLL: a. ")
    assert starting(rows, "Lowest NLL bound").startswith("Lowest NLL bound: b. ")


def test_ties() -> None:
    rows = [*runs("a", 9, 95.0, 90.0, 0.8), *runs("b", 9, 95.0, 90.0, 0.9)]
    assert "equal to b at 90.00" in starting(rows, "Best bound")
    assert "Best representation: b. It has 9.0 ± 0.0 active units, as many as a; the probe decides." in starting(
        rows, "Best representation"
    )
    bare = [*runs("a", 9, 95.0, 90.0), *runs("b", 9, 94.0, 90.0)]
    assert "b. It has 9.0 ± 0.0 active units, as many as a; the bound decides." in starting(bare, "Best representation")


def test_data_without_labels() -> None:
    rows = [row.updated(linear_probe_accuracy=None) for row in ALL]
    assert "no labels to probe the code with" in starting(rows, "Best representation")
    assert "linear probe" not in " ".join(advice(rows))


def test_without_importance_weights_the_bound_decides() -> None:
    rows = [row.updated(nll_iw=None) for row in ALL]
    assert starting(rows, "Best bound").startswith("Best bound: warm. NLL bound 94.30")
    assert "within 2 nats of the best NLL bound): near" in starting(rows, "Best trade-off", tolerance=2.0)


def test_one_method_leaves_no_choice() -> None:
    assert advice(VAE) == ("Only one method has results: there is nothing to choose between.",)


@pytest.mark.parametrize("broken", [{"nll_bound": math.nan}, {"nll_bound": None}, {"nll_bound": math.inf}])
def test_a_method_without_a_number_is_left_out_and_said_so(broken: dict[str, Any]) -> None:
    sharp = [row.updated(**broken) for row in runs("lowest of all", 30, 0.0, 0.0)]
    sentences = advice([*ALL, *sharp])
    assert sentences[:-1] == advice(ALL)
    assert sentences[-1] == "Left out: 2 without a bound of 10 runs."
    assert "nan" not in " ".join(sentences)


def test_failed_and_waiting_runs_are_left_out_and_said_so() -> None:
    more = [runs("x", 30, 1.0, 1.0)[0].updated(status=status) for status in ("failed", "waiting", "waiting")]
    sentences = advice([*ALL, *more])
    assert sentences[:-1] == advice(ALL)
    assert sentences[-1] == "Left out: 1 failed, 2 still to come of 11 runs."
    assert advice(more) == ("No run has a result: there is nothing to recommend.", sentences[-1].replace("11", "3"))


def test_unknown_costs_are_called_unknown() -> None:
    for unknown in ({"step_cost": None}, {"step_cost": None, "ms_per_step": 10.0}):
        others = [row.updated(**unknown) for row in (*WARM, *NEAR)]
        assert "cost compared with the plain VAE's is not known" in starting(others, "Best bound")


def test_what_was_measured_on_decides_the_last_word() -> None:
    assert "choose on a validation split" in advice(ALL)[-1]
    validated = [row.updated(measured_on="validation") for row in ALL]
    assert advice(validated)[-1].startswith(
        "These figures are of a validation split. Measure the method that you choose once"
    )
    assert advice([*validated[:4], *ALL[4:]])[0].startswith("Some runs were measured on a validation split and others")


def test_the_decoder_without_z_is_a_measure_and_no_choice() -> None:
    def bare(nll: float, seeds: tuple[float, ...] = (-0.1, 0.1)) -> list[RunRow]:
        return runs("decoder without z", 0, nll, nll, method="no-z", seeds=seeds)

    better = [*bare(88.0), *VAE, *WARM]
    assert starting(better, "Best bound").startswith("Best bound: warm.")
    assert starting(better, "The decoder without z") == (
        "The decoder without z has 88.00 ± 0.14 nats, its exact NLL; the lowest importance-weighted NLL of the others, "
        "warm's 89.00 ± 0.14, is 1.00 above it: no z is seen to help the likelihood."
    )
    worse = [*bare(90.0), *VAE, *WARM]
    assert starting(worse, "The decoder without z").endswith("warm's 89.00 ± 0.14, is 1.00 below it.")
    once = [*bare(90.0, (0.0,)), *VAE, *WARM]
    assert starting(once, "The decoder without z").endswith(
        "below it; with one seed, whether that is more than chance is unknown."
    )
    assert not any("without z" in one for one in advice([*VAE, *WARM]))
    assert starting([*bare(88.0), *VAE], "Best bound").startswith("Best bound: the plain VAE.")


def test_no_active_unit_is_no_representation() -> None:
    collapsed = [*runs("VAE", 0, 90.0, 89.0, method="vae"), *runs("warm", 0, 91.0, 90.0)]
    assert starting(collapsed, "Best representation") == "Best representation: none, for no method has an active unit."
