from typing import Any

import pytest

from lambda_vae.diagnostics.dimension import Cause
from lambda_vae.records import RunRow
from lambda_vae.reports.causes import CAUSES
from lambda_vae.reports.conclusions import verdict


def row(label: str, active: int | None, bound: float | None, seed: int = 0, **values: Any) -> RunRow:
    numbers = {"latent_dim": 30, "active_units": active, "nll_bound": bound, "seed": seed}
    given = {"method": "lambda-vae", "status": "done", **numbers, **values}
    return RunRow(run=f"{label}-{seed}", label=label, **given)


COUNTS = {"gradient imbalance": 20, "information gap": 2, "no signal": 1}
CAUSES_IN_WORDS = CAUSES["gradient imbalance"]
VAE = row("VAE", 7, 104.60, method="vae", verdict_counts={"collapsed": 23}, cause_counts=COUNTS)
SHARP = row("λ-VAE δ=1.01", 27, 123.78)
WARM = row("VAE + warm-up", 19, 94.67)


def test_plain_vae_comes_first_with_its_cause() -> None:
    first = verdict([SHARP, VAE])[0]
    assert first.startswith("The plain VAE uses 7 of 30 latent dimensions; 23 collapsed, mostly because")
    assert first.endswith("(20 gradient imbalance, 2 information gap, 1 no signal).")
    alike = VAE.updated(cause_counts={"gradient imbalance": 23})
    assert verdict([SHARP, alike])[0].endswith(f", all because {CAUSES_IN_WORDS} (gradient imbalance).")
    even = VAE.updated(cause_counts={"gradient imbalance": 11, "no signal": 11, "information gap": 1})
    assert verdict([SHARP, even])[0].endswith(
        "; 23 collapsed (11 gradient imbalance, 11 no signal, 1 information gap)."
    )


def test_every_cause_of_the_diagnosis_has_its_meaning_and_one_without_is_named_as_it_is() -> None:
    assert set(CAUSES) == {str(cause) for cause in Cause}
    other = VAE.updated(cause_counts={"a newer one": 23})
    assert verdict([SHARP, other])[0].endswith("; 23 collapsed (23 a newer one).")


# label, active units, bound, standard error of the bound, more of the row
BETTER = {
    "more dimensions at a better bound": ((9, 104.0, 0.3, {}), "VAE + x uses 9 at a better valid bound, 104.00 nats"),
    "of several, whoever has most": ((9, 104.0, 0.3, {}), "uses 9 at a better"),
    "within the errors of the two": ((9, 104.3, 0.3, {}), None),
    "better, but no more dimensions": ((7, 90.0, 0.3, {}), None),
    "more dimensions at a worse bound": ((27, 123.8, 0.3, {}), None),
    "an error that nobody recorded": ((9, 104.0, None, {}), None),
    "more units, no more directions": ((9, 104.0, 0.3, {"active_directions": 7}), None),
    "more directions than the units were": (
        (30, 104.0, 0.3, {"active_directions": 9}),
        "VAE + x uses 9 directions against 7 at",
    ),
    "a run that failed": ((9, 104.0, 0.3, {"status": "failed"}), None),
}


@pytest.mark.parametrize("case", BETTER)
def test_no_signal_is_not_said_of_data_on_which_another_method_keeps_more_at_a_better_bound(case: str) -> None:
    (active, bound, error, more), shows = BETTER[case]
    blind = VAE.updated(nll_bound_stderr=0.3, cause_counts={"no signal": 20, "gradient imbalance": 3})
    rows = [blind, row("VAE + x", active, bound, nll_bound_stderr=error, **more)]
    if case == "of several, whoever has most":
        rows.insert(1, row("VAE + y", 8, 90.0, nll_bound_stderr=0.3))
    first, second, *_ = verdict(rows)
    assert ("because" in first) == (shows is None) == ("no signal" in first)
    if shows is not None:
        assert "; 23 collapsed, although the data hold more: " in first
        assert shows in first
        assert second == (
            "Causes by the measures of the plain VAE alone: 3 gradient imbalance; for 20 nothing more was found in the "
            "data, which the other method calls into question."
        )
        assert "no signal" not in " ".join(verdict(rows))


def test_bounds_of_several_seeds_are_told_apart_by_their_spread() -> None:
    def two(base: RunRow, *bounds: float) -> list[RunRow]:
        return [base.updated(seed=s, nll_bound=b, nll_bound_stderr=0.01) for s, b in enumerate(bounds)]

    more = row("VAE + x", 9, 0.0)
    assert "because" in verdict([*two(VAE, 104.0, 105.0), *two(more, 103.8, 104.6)])[0]
    assert "hold more" in verdict([*two(VAE, 104.0, 105.0), *two(more, 102.0, 102.1)])[0]


def test_more_dimensions_within_their_spread_over_seeds_show_nothing() -> None:
    plain = [
        VAE.updated(seed=s, nll_bound=104.0, active_units=n, active_directions=d)
        for s, n, d in ((0, 25, 2), (1, 15, 3))
    ]
    warm = [row("VAE + x", 20, 90.0, s, active_directions=3) for s in (0, 1)]
    assert "because" in verdict([*plain, *warm])[0]
    more = [line.updated(active_directions=9) for line in warm]
    assert "hold more: VAE + x uses 9 directions against 2.5 at a better valid bound" in verdict([*plain, *more])[0]


def test_most_active_and_best_bound_are_named_with_their_gaps() -> None:
    sentences = verdict([VAE, SHARP, WARM])
    assert "λ-VAE δ=1.01 uses 27 dimensions at a valid bound of 123.78 nats, 19.2 nats worse than" in sentences[1]
    assert sentences[2].startswith(
        "VAE + warm-up has the best valid bound, 94.67 nats (9.9 nats better than the plain VAE's"
    )


def test_worse_everywhere_claims_nothing() -> None:
    sentences = verdict([VAE, row("worse", 5, 110.0)])
    assert not any("worse uses" in sentence for sentence in sentences)
    assert sentences[1] == "The plain VAE has the best valid bound, 104.60 nats."


def test_collapse_behind_a_rotation_is_told_with_what_undoes_it() -> None:
    wide = {"latent_dim": 512, "active_units": 512, "verdict_counts": {}, "cause_counts": {}}
    plain, ours = (row.updated(**wide, active_directions=n) for row, n in ((VAE, 238), (SHARP, 441)))
    assert verdict([plain, ours])[1] == (
        "Its posterior means vary along only 238 directions, which the other active dimensions repeat; those of λ-VAE "
        "δ=1.01 vary along 441."
    )
    straight = [line.updated(active_directions=470) for line in (plain, ours)]
    assert not any("directions" in sentence for sentence in verdict(straight))
    unknown = [plain, ours.updated(active_directions=None)]
    assert verdict(unknown)[1].endswith("which the other active dimensions repeat.")


def test_gap_within_the_spread_is_called_so() -> None:
    vae = [VAE.updated(seed=s, nll_bound=b) for s, b in enumerate((104.0, 105.0))]
    other = [row("other", 9, b, s) for s, b in enumerate((103.9, 104.9))]
    assert "within one standard deviation over seeds" in verdict([*vae, *other])[1]
    clear = [row("other", 9, b, s) for s, b in enumerate((94.0, 94.5))]
    assert "within one standard deviation" not in verdict([*vae, *clear])[1]


def test_one_seed_is_called_one_seed() -> None:
    assert "one seed only" in verdict([VAE, SHARP])[-1]
    twice = [line.updated(seed=s) for line in (VAE, SHARP) for s in (0, 1)]
    assert not any("one seed only" in sentence for sentence in verdict(twice))


def test_failures_are_counted() -> None:
    assert verdict([VAE, SHARP.updated(status="failed")])[-1].startswith("1 of 2 runs failed")
    failed = [VAE.updated(status="failed", seed=seed) for seed in (0, 1)]
    assert verdict(failed) == ("2 of 2 runs failed, for the reasons given below the table.",)


def test_missing_numbers_are_no_obstacle() -> None:
    assert verdict([row("A", None, None), row("B", 3, None)])[0] == ("A has no count of its latent dimensions.")


def test_single_run_speaks_for_itself() -> None:
    assert verdict([VAE.updated(verdict="Seven are in use.")]) == ("Seven are in use.",)
    assert verdict([VAE])[0].startswith("The plain VAE uses 7 of 30")
    assert verdict([VAE.updated(status="failed", failure="NaN")]) == ("The run failed: NaN.",)
