from typing import Any

from lambda_vae.reports.verdict import comparison_verdict, run_verdict


def row(label: str, active: int | None, bound: float | None, seed: int = 0, **values: Any) -> dict[str, Any]:
    return {
        "run": f"{label}-{seed}", "method": "lambda-vae", "label": label, "seed": seed, "status": "done",
        "latent_dim": 30, "active_units": active, "nll_bound": bound,
    } | values  # fmt: skip


CAUSES = {"gradient imbalance": 20, "information gap": 2, "no signal": 1}
VAE = row("VAE", 7, 104.60, method="vae", verdict_counts={"collapsed": 23}, cause_counts=CAUSES)
SHARP = row("λ-VAE δ=1.01", 27, 123.78)
WARM = row("VAE + warm-up", 19, 94.67)


def test_plain_vae_comes_first_with_its_cause() -> None:
    first = comparison_verdict([SHARP, VAE])[0]
    assert first.startswith("The plain VAE uses 7 of 30 latent dimensions; 23 collapsed, mostly because")
    assert "(gradient imbalance)" in first


def test_most_active_and_best_bound_are_named_with_their_gaps() -> None:
    sentences = comparison_verdict([VAE, SHARP, WARM])
    assert "λ-VAE δ=1.01 keeps 27 in use at a valid bound of 123.78 nats, 19.2 nats worse than" in sentences[1]
    assert sentences[2].startswith("The best valid bound belongs to VAE + warm-up: 94.67 nats (9.9 nats better than")


def test_worse_everywhere_claims_nothing() -> None:
    sentences = comparison_verdict([VAE, row("worse", 5, 110.0)])
    assert not any("keeps" in sentence for sentence in sentences)
    assert sentences[1] == "The best valid bound belongs to the plain VAE: 104.60 nats."


def test_collapse_behind_a_rotation_is_told_with_what_undoes_it() -> None:
    wide = {"latent_dim": 512, "active_directions": 238, "verdict_counts": {}, "cause_counts": {}}
    plain, ours = VAE | wide | {"active_units": 512}, SHARP | wide | {"active_units": 512, "active_directions": 441}
    assert comparison_verdict([plain, ours])[1] == (
        "Its means move along 238 directions only, the rest of the code repeats these; those of λ-VAE δ=1.01 along 441."
    )
    straight = [line | {"active_directions": 470} for line in (plain, ours)]
    assert not any("directions" in sentence for sentence in comparison_verdict(straight))
    unknown = [plain, {key: value for key, value in ours.items() if key != "active_directions"}]
    assert comparison_verdict(unknown)[1].endswith("the rest of the code repeats these.")


def test_gap_within_the_spread_is_called_so() -> None:
    vae = [VAE | {"seed": s, "nll_bound": b} for s, b in enumerate((104.0, 105.0))]
    other = [row("other", 9, b, s) for s, b in enumerate((103.9, 104.9))]
    assert "within the spread over seeds" in comparison_verdict([*vae, *other])[1]
    clear = [row("other", 9, b, s) for s, b in enumerate((94.0, 94.5))]
    assert "within the spread" not in comparison_verdict([*vae, *clear])[1]


def test_one_seed_is_called_one_seed() -> None:
    assert "one seed only" in comparison_verdict([VAE, SHARP])[-1]
    twice = [line | {"seed": s} for line in (VAE, SHARP) for s in (0, 1)]
    assert not any("one seed only" in sentence for sentence in comparison_verdict(twice))


def test_failures_are_counted() -> None:
    assert comparison_verdict([VAE, SHARP | {"status": "failed"}])[-1].startswith("1 of 2 runs failed")
    assert comparison_verdict([VAE | {"status": "failed"}]) == (
        "1 of 1 runs failed; the reasons stand below the table.",
    )


def test_missing_numbers_are_no_obstacle() -> None:
    assert comparison_verdict([row("A", None, None), row("B", 3, None)])[0] == (
        "A has no count of its latent dimensions."
    )


def test_single_run_speaks_for_itself() -> None:
    assert run_verdict(VAE | {"verdict": "Seven are in use."}) == "Seven are in use."
    assert run_verdict(VAE).startswith("The plain VAE uses 7 of 30")
    assert run_verdict(VAE | {"status": "failed", "failure": "NaN"}) == "The run failed: NaN."
