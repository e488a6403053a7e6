"""The paper's figures from invented records: drawn, readable without colour, and judged by their own numbers."""

import json
import math
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from fake_figures import RECORDS, figure_record
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg

from lambda_vae.errors import InputError
from lambda_vae.paper import FIGURES, find_figure, write_figure
from lambda_vae.paper.claims import AGREES, DIFFERS, IN_PART, NOT_SHOWN, Claim, claims_page
from lambda_vae.paper.figure7 import Alignment


@pytest.fixture(params=RECORDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_figure_is_drawn_with_its_page_and_its_record(name: str, tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    page = write_figure(figure_record(name), tmp_path / f"{name}.md")
    assert dict(mpl.rcParams) == before
    text = page.read_text()
    assert f"({name}.svg)" in text
    assert "> A note." in text
    assert f"lambda-vae reproduce {name}" in text
    assert sum(word in text for word in ("**agrees", "**differs", "**not shown")) > 0
    assert (tmp_path / f"{name}.svg").read_text().startswith("<?xml")
    assert (tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    found = find_figure(tmp_path)
    assert found == json.loads(json.dumps(figure_record(name)))


def test_a_figure_has_the_same_bytes_every_time(name: str, tmp_path: Path) -> None:
    first = write_figure(figure_record(name), tmp_path / "a" / f"{name}.md")
    second = write_figure(figure_record(name), tmp_path / "b" / f"{name}.md")
    for ending in (".md", ".svg", ".pdf", ".json"):
        assert first.with_suffix(ending).read_bytes() == second.with_suffix(ending).read_bytes()


PUBLISHED = Path(__file__).parents[2] / "results" / "figures"


@pytest.mark.parametrize("figure", FIGURES)
def test_a_published_figure_is_drawn_anew_with_the_same_numbers_and_claims(figure: str, tmp_path: Path) -> None:
    page = write_figure(json.loads((PUBLISHED / f"{figure}.json").read_text()), tmp_path / f"{figure}.md")
    for ending in (".md", ".json"):
        there = (PUBLISHED / f"{figure}{ending}").read_text()
        assert page.with_suffix(ending).read_text() == there


def in_grey(axis: Axes) -> list[tuple[object, ...]]:
    """What tells each coloured series of a panel apart when all inks are black."""
    neutral = {"#333333", "#bbbbbb"}
    lines = [line for line in axis.get_lines() if line.get_color() not in neutral and len(line.get_xdata()) > 1]
    return [
        # the same colour twice is one series, such as a mean and its band
        (line.get_color(), str(line._dash_pattern), line.get_marker())
        for line in lines
    ]  # fmt: skip


def test_no_series_is_told_apart_by_colour_alone(name: str) -> None:
    seen = 0
    for axis in FIGURES[name].draw(RECORDS[name]()).axes:
        kinds = in_grey(axis)
        without_colour = {kind[1:] for kind in kinds}
        assert len(without_colour) >= len({kind[0] for kind in kinds}), f"{name}: {kinds}"
        seen += len(kinds)
    assert seen > 0 or name in ("figure5", "figure8")  # which have pictures, and the one a row of single points


def test_the_check_of_colours_can_fail() -> None:
    figure = FIGURES["figure2"].draw(RECORDS["figure2"]())
    axis = figure.axes[0]
    axis.plot([0, 1], [0, 1], color="#123456", linestyle="-")
    kinds = in_grey(axis)
    assert len({kind[1:] for kind in kinds}) < len({kind[0] for kind in kinds})


@pytest.mark.parametrize("name", ["figure1", "figure2"])
def test_words_stay_within_the_picture(name: str) -> None:
    figure = FIGURES[name].draw(RECORDS[name]())
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    for axis in figure.axes:
        for text in axis.texts:
            box = text.get_window_extent(renderer)
            assert box.x0 >= 0, text
            assert box.x1 <= figure.bbox.x1, text


def verdicts(name: str, numbers: dict) -> list[str]:
    return [claim.verdict for claim in FIGURES[name].claims(numbers)]


def test_claims_turn_with_the_numbers() -> None:
    causes = RECORDS["figure1"]()
    assert verdicts("figure1", causes)[0] == AGREES
    causes["ratios"][1]["at_collapse"] = 1.0
    assert verdicts("figure1", causes)[0] == DIFFERS
    theory = RECORDS["figure2"]()
    assert verdicts("figure2", theory)[:2] == [AGREES, AGREES]
    theory["rates"][0], theory["farthest_at_end"] = 0.5, 0.3
    assert verdicts("figure2", theory)[:2] == [DIFFERS, DIFFERS]


def test_claims_on_mixtures_turn_with_the_numbers() -> None:
    numbers = RECORDS["figure3"]()
    assert verdicts("figure3", numbers)[1:] == [AGREES, AGREES, AGREES, AGREES]
    numbers["panels"][1]["runs"][1]["readings"][-1]["information"] = 5.0
    assert verdicts("figure3", numbers)[3] == DIFFERS
    numbers["panels"][1]["runs"][1]["readings"][-1]["information"] = 5.8
    numbers["panels"][1]["runs"][1]["exponent"] = [1.0, 4.0]
    assert verdicts("figure3", numbers)[3] == IN_PART
    numbers["panels"][0]["runs"][0]["std_mean"][-1] = [0.3, 0.5]
    assert verdicts("figure3", numbers)[0] == DIFFERS
    del numbers["panels"][0]["runs"][1]
    assert verdicts("figure3", numbers)[1] == NOT_SHOWN


def test_an_identity_that_fails_at_one_snapshot_is_seen() -> None:
    numbers = RECORDS["figure3"]()
    at_one = numbers["panels"][0]["runs"][1]["readings"][2]
    at_one["identity"]["difference"] = {"value": 0.06, "stderr": 0.01, "reason": ""}
    assert verdicts("figure3", numbers)[4] == DIFFERS
    del at_one["identity"]
    assert verdicts("figure3", numbers)[4] == NOT_SHOWN
    FIGURES["figure3"].draw(numbers)


def test_an_information_that_is_unknown_is_not_judged() -> None:
    numbers = RECORDS["figure3"]()
    numbers["panels"][1]["runs"][0]["readings"][-1] |= {"information": None, "reason": "a code is not finite"}
    claim = FIGURES["figure3"].claims(numbers)[2]
    assert claim.verdict == NOT_SHOWN
    assert "a code is not finite" in claim.seen
    FIGURES["figure3"].draw(numbers)


def test_claims_on_histograms_turn_with_the_numbers() -> None:
    numbers = RECORDS["figure4"]()
    assert verdicts("figure4", numbers) == [AGREES, AGREES, AGREES, IN_PART]
    numbers["runs"][0]["std"][-1] = [0.5] * 30
    numbers["runs"][2]["std"][-1] = [1.0] * 15 + [0.2] * 15
    assert verdicts("figure4", numbers) == [DIFFERS, AGREES, DIFFERS, IN_PART]
    del numbers["runs"][1]
    assert verdicts("figure4", numbers)[1] == NOT_SHOWN
    assert len(FIGURES["figure4"].draw(numbers).axes) == 5


def test_claims_on_generation_turn_with_the_numbers() -> None:
    numbers = RECORDS["figure5"]()
    assert verdicts("figure5", numbers) == [AGREES, AGREES]
    numbers["runs"][1]["reconstruction"], numbers["runs"][1]["prior_elbo"] = 95.0, -1950.0
    assert verdicts("figure5", numbers) == [DIFFERS, IN_PART]
    with_judge = len(FIGURES["figure5"].draw(numbers).axes)
    for run in numbers["runs"]:
        run["prior_elbo"] = None
    assert verdicts("figure5", numbers)[1] == NOT_SHOWN
    assert len(FIGURES["figure5"].draw(numbers).axes) == with_judge - 1


def test_claims_on_capacities_turn_with_the_numbers() -> None:
    numbers = RECORDS["figure6"]()
    assert verdicts("figure6", numbers) == [AGREES, AGREES]
    plain, ours = numbers["panels"][0]["runs"]
    ours["snr_capacity"], ours["decoder_capacity"] = 700.0, 100.0
    assert verdicts("figure6", numbers) == [IN_PART, DIFFERS]
    ours["decoder_capacity"] = 361.0
    ours["decoder_capacity_by_epoch"].reverse()
    assert verdicts("figure6", numbers) == [IN_PART, IN_PART], "it does not rise in parallel"
    plain["snr_capacity"] = None
    assert verdicts("figure6", numbers)[0] == DIFFERS
    assert "unknown nats for the VAE" in FIGURES["figure6"].claims(numbers)[0].seen
    FIGURES["figure6"].draw(numbers)


def test_claims_on_alignment_turn_with_the_numbers() -> None:
    numbers = RECORDS["figure7"]()
    assert verdicts("figure7", numbers) == [AGREES, DIFFERS, AGREES], "Eq. 16 puts lambda_max where sigma is near 1"
    plain, ours = numbers["panels"][0]["runs"]
    assert "30 of 30 within 0.01, r = 1.0000" in FIGURES["figure7"].claims(numbers)[0].seen
    ours["std"] = [0.2] * 15 + [0.6] * 15  # the finished model is elsewhere
    assert verdicts("figure7", numbers)[0] == IN_PART
    ours["running_std"][3] += 0.2
    assert verdicts("figure7", numbers)[0] == DIFFERS
    ours["exponent"] = ours["exponent"][::-1]
    plain["std"] = [0.5] * 30
    assert verdicts("figure7", numbers)[1:] == [AGREES, IN_PART]
    ours["running_std"] = None
    assert verdicts("figure7", numbers)[0] == NOT_SHOWN
    FIGURES["figure7"].draw(numbers)


def test_a_correlation_with_a_constant_is_not_a_number_and_says_why() -> None:
    numbers = RECORDS["figure7"]()
    ours = numbers["panels"][0]["runs"][1]
    ours["exponent"], ours["running_std"], ours["std"] = [20.0] * 30, [0.99] * 30, [0.98] * 30
    seen = FIGURES["figure7"].claims(numbers)[0].seen
    assert "r = NaN (λ is 20 in every dimension)" in seen
    alignment = Alignment.of(ours, [0.3, *ours["std"][1:]])
    assert math.isnan(alignment.correlation)
    FIGURES["figure7"].draw(numbers)


def test_the_curve_is_where_the_ramp_has_let_it_come() -> None:
    numbers = RECORDS["figure7"]()
    ours = numbers["panels"][0]["runs"][1]
    ours["ramp"], ours["exponent"] = 0.5, [1 + (value - 1) / 2 for value in ours["exponent"]]
    assert Alignment.of(ours, ours["running_std"]).distance.max() < 1e-6
    assert "The ramp has come to 50%" in FIGURES["figure7"].claims(numbers)[0].seen


def test_claims_on_reconstructions_turn_with_the_numbers() -> None:
    numbers = RECORDS["figure8"]()
    assert verdicts("figure8", numbers) == [AGREES, AGREES]
    plain, ours = numbers["panels"][0]["runs"]
    ours["detail"], ours["nll_bound_bpd"] = 0.1, 5.0
    assert verdicts("figure8", numbers) == [IN_PART, IN_PART]
    ours["squared_error"], ours["surrogate_bpd"] = plain["squared_error"], 5.0
    assert verdicts("figure8", numbers) == [DIFFERS, DIFFERS]
    ours["surrogate_bpd"] = None
    assert verdicts("figure8", numbers)[1] == NOT_SHOWN


def test_claims_on_a_pixelcnn_turn_with_the_numbers() -> None:
    numbers = RECORDS["figure9"]()
    assert verdicts("figure9", numbers) == [AGREES] * 5
    plain, ours = numbers["panels"][0]["runs"]
    wrong, right = (np.array(run["modes"]["greedy"]["squared_error"]) for run in (plain, ours))
    plain["modes"]["greedy"]["squared_error"] = (0.5 * (wrong + right)).tolist()  # it looks at z, but half as much
    assert verdicts("figure9", numbers)[3:] == [IN_PART, AGREES]
    plain["modes"]["greedy"]["squared_error"] = right.tolist()
    assert verdicts("figure9", numbers)[3:] == [DIFFERS, AGREES]
    ours["modes"]["ancestral"]["squared_error_of_other_code"] = ours["modes"]["ancestral"]["squared_error"]
    assert verdicts("figure9", numbers)[4] == DIFFERS, "another's code does no harm: z is not looked at"
    ours |= {"surrogate_bpd": 3.0, "active_units": 300, "decoder_capacity": 20.0}
    assert verdicts("figure9", numbers)[:3] == [DIFFERS, IN_PART, IN_PART]
    ours["surrogate_bpd"], plain["active_units"] = None, 400
    assert verdicts("figure9", numbers)[:2] == [NOT_SHOWN, DIFFERS]
    plain["near_prior"], ours["near_prior"] = 251, 0
    assert verdicts("figure9", numbers)[1] == IN_PART, "no unit is freed, but σ is"
    assert "of the VAE's dimensions 251 have σ > 0.9, of λ-VAE's 0" in FIGURES["figure9"].claims(numbers)[1].seen


def test_what_dimensions_share_is_counted_once_where_it_was_measured() -> None:
    numbers = RECORDS["figure6"]()
    assert "counted once" not in FIGURES["figure6"].claims(numbers)[0].seen
    plain, ours = numbers["panels"][0]["runs"]
    plain["snr_capacity_joint"], ours["snr_capacity_joint"] = 200.0, 500.0
    once = "counted once: 200.0 nats for the VAE and 500.0 for λ-VAE, 2.50 times as much."
    assert FIGURES["figure6"].claims(numbers)[0].seen.endswith(once)


@pytest.mark.parametrize("name", ["figure6", "figure7", "figure8", "figure9"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_missing_run_is_said_to_be_missing(name: str, place: int) -> None:
    numbers = RECORDS[name]()
    gone = numbers["panels"][0]["runs"].pop(place)
    (claim,) = FIGURES[name].claims(numbers)
    assert claim.verdict == NOT_SHOWN
    assert f"No finished run of {gone['method']}" in claim.seen
    FIGURES[name].draw(numbers)
    numbers["panels"][0]["runs"].clear()
    assert verdicts(name, numbers) == [NOT_SHOWN]
    FIGURES[name].draw(numbers)


@pytest.mark.parametrize("name", ["figure6", "figure7", "figure8", "figure9"])
def test_each_data_set_has_a_row_and_claims_of_its_own(name: str) -> None:
    numbers = RECORDS[name]()
    single = len(FIGURES[name].draw(numbers).axes), len(verdicts(name, numbers))
    numbers["panels"].append({**numbers["panels"][0], "data": "mine"})
    assert len(FIGURES[name].draw(numbers).axes) == 2 * single[0]
    claims = FIGURES[name].claims(numbers)
    assert len(claims) == 2 * single[1]
    assert claims[-1].paper.startswith("CIFAR-10 (here: mine)")


def test_claims_on_faces_stand_beside_the_papers_on_faces() -> None:
    numbers = RECORDS["figure6"]()
    numbers["panels"][0]["data"] = "celeba64-cpu"
    assert "CelebA-64: under optimal λ, C_SNR grows from 2198 to 3646" in FIGURES["figure6"].claims(numbers)[0].paper


def test_bars_and_line_breaks_do_not_break_the_table() -> None:
    page = claims_page("T", "t.svg", "c", [Claim("|λ − 1|", "two\nlines", AGREES)], {}, [])
    assert "| \\|λ − 1\\| | two lines | **agrees** |" in page


def test_other_endings_and_damaged_records_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in '\.txt'; a figure's page is written as \.md"):
        write_figure(figure_record("figure1"), tmp_path / "x.txt")
    record = figure_record("figure2")
    del record["numbers"]["paths"]
    with pytest.raises(InputError, match="the record of figure2 is damaged"):
        write_figure(record, tmp_path / "figure2.md")
    assert not list(tmp_path.iterdir())
    (tmp_path / "figure1.json").write_text('{"figure": "figure1"}')
    with pytest.raises(InputError, match="is no record of a figure"):
        find_figure(tmp_path)
    assert find_figure(tmp_path / "nowhere") is None
