"""What `make test-quick` runs: the tests nearest to a change."""

import pytest
from telling import ALWAYS, ROOT, telling


@pytest.mark.parametrize(
    ("changed", "nearest"),
    [
        ("src/lambda_vae/training/lagging.py", "tests/training/test_lagging.py"),
        ("src/lambda_vae/diagnostics/spectrum.py", "tests/diagnostics/test_spectrum.py"),
        ("src/lambda_vae/integrations/pyro.py", "tests/adapters/hosts/test_host_pyro.py"),
        ("tests/reports/browser.py", "tests/reports/test_page_in_browser.py"),
        ("tests/data/test_batches.py", "tests/data/test_batches.py"),
    ],
)
def test_the_tests_of_a_file_are_among_the_first(changed, nearest):
    found = [name for name in telling([changed]) if name.startswith("tests/")]
    assert nearest in found[:5]


def test_a_changed_source_has_its_examples_run():
    assert telling(["src/lambda_vae/errors.py"])[0] == "src/lambda_vae/errors.py"


def test_a_template_is_tested_by_what_writes_the_page():
    template = next(ROOT.glob("src/lambda_vae/reports/**/*.jinja")).relative_to(ROOT).as_posix()
    assert any(name.startswith("tests/reports/") for name in telling([template])[:20])


def test_without_a_change_of_code_the_common_ones_run():
    assert telling(["README.md", "src/lambda_vae/gone.py"]) == list(ALWAYS)
    assert telling([]) == list(ALWAYS)
