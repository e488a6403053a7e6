"""The page of other packages shows the very lines that benchmarks/hosts_equalized.py runs."""

import re
from pathlib import Path

HOUSE = Path(__file__).parents[2]
PAGE = HOUSE / "docs" / "hosts" / "any-package.md"


def squeezed(text: str) -> str:
    text = re.sub(r"equalizer = |as equalizer|# fmt: skip", "", text)
    return re.sub(r"\s", "", re.sub(r"(\d+), 1\.\d, ?", r"\1, delta, ", text))


def test_every_block_is_run_by_the_benchmark_and_has_at_most_three_lines() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    run = squeezed("".join(path.read_text() for path in sorted((HOUSE / "benchmarks").glob("equalized*.py"))))
    assert len(blocks) >= 8
    assert [block for block in blocks if squeezed(block) not in run] == []
    assert [block for block in blocks if len(block.splitlines()) > 3] == []
