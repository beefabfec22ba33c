"""The code on the pages of docs/, and in README.md, runs as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
PAGES = sorted(page for page in DOCS if "```python" in page.read_text())


def test_there_are_pages() -> None:
    assert PAGES


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    """All blocks of a page, one after another, as one program."""
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    program = tmp_path / f"{page.stem}.py"
    program.write_text("\n".join(blocks))
    done = subprocess.run(
        [sys.executable, str(program)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    if page.stem == "README":
        assert "floats_to" in done.stdout
    if page.stem == "bias":
        biased, unbiased = map(float, done.stdout.split())
        assert 1e-5 < biased < 1e-4
        assert unbiased < 1e-12
    if page.stem == "extending":
        limit, gap, chain, huber = map(float, done.stdout.split())
        assert 0 < limit < 1
        assert gap < 1e-12
        assert chain < 1e-12
        assert 0 <= huber < 9.0  # f(0) = ½ · 9 · (1 + 2 + 3) / 3
    if page.stem == "data":
        table, memory, frame, clients, arrays = map(float, done.stdout.split())
        assert memory == frame == 0.0
        assert 0 < table < 1
        assert 0 < clients < 1
        assert 0 < arrays < 1
    if page.stem == "network":
        submodels, sent, two_layers = map(float, done.stdout.split())
        assert 0.9 < submodels <= 1
        assert 0.2 < sent < 0.3
        assert 0.8 < two_layers <= 1
