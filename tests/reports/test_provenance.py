from lambda_vae.reports.provenance import provenance_lines


def test_nothing_recorded_gives_no_lines() -> None:
    assert provenance_lines({}) == []


def test_parts_of_another_type_are_left_out() -> None:
    assert provenance_lines({"data": "mnist", "machine": None, "seconds": "long"}) == []


def test_lines_name_everything_a_repeat_needs() -> None:
    lines = dict(
        provenance_lines(
            {
                "command": "lambda-vae compare", "commit": "abc", "dirty": False, "seconds": 3723.4, "seeds": [0, 1],
                "data": {"name": "mnist", "sha256": "ff", "train": 60000, "test": 10000},
            }
        )
    )  # fmt: skip
    assert lines == {
        "command": "lambda-vae compare", "commit": "abc", "data": "mnist, 60,000 training, 10,000 test",
        "data SHA-256": "ff", "seeds": "0, 1", "time": "1 h 2 min 3 s",
    }  # fmt: skip
