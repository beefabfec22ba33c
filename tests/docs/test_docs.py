"""The code on the pages of docs/, and in README.md: run as it stands there, or held to the program.

Python is run, page by page. So are commands that begin with an example (`ist-mpi new`). All other
commands are parsed, with their options; configurations are checked by the schema.
"""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import nbformat
import pytest
from nbclient import NotebookClient
from typer.main import get_command

from ist_mpi.cli.main import app
from ist_mpi.config.schema import schema

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BEGINS_WITH = "ist-mpi new "
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
LANGUAGES = {"python", "sh", "toml", "console", "text"}


class Block(NamedTuple):
    page: Path
    language: str
    text: str


BLOCKS = [
    Block(page, language, text)
    for page in PAGES
    for _, language, text in FENCE.findall(page.read_text())
]
RUN = [b for b in BLOCKS if b.language == "sh" and b.text.startswith(BEGINS_WITH)]


def commands() -> Iterator[tuple[str, str]]:
    """Every command of a shell on the pages, with its page."""
    for block in BLOCKS:
        text = block.text.replace("\\\n", " ")
        for line in text.splitlines():
            if block.language == "console":
                line = line.removeprefix("$ ") if line.startswith("$ ") else ""
            elif block.language != "sh":
                continue
            for command in re.split(r" && ", line.partition("  #")[0].strip()):
                if command and not command.startswith("#"):
                    yield block.page.stem, command


COMMANDS = sorted(set(commands()))


def test_every_block_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is left out of these tests by a word that they do not know."""
    count = Counter(block.language for block in BLOCKS)
    assert set(count) <= LANGUAGES
    assert count["python"] >= 15
    assert count["toml"] >= 4
    assert len(RUN) >= 2
    with capsys.disabled():
        print(f"\ndocs: {dict(count)}; of sh {len(RUN)} run, the rest parsed")


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=lambda value: str(value)[:60])
def test_commands_have_what_is_asked_of_them(page: str, command: str) -> None:
    words = shlex.split(re.sub(r" [<>|&].*", "", command))
    while words and re.fullmatch(r"[A-Z_]+=.*|sudo|nohup", words[0]):
        del words[0]
    if words[0] in ("mpiexec", "srun"):
        words = words[words.index(next(w for w in words if w in ("ist-mpi", "python"))) :]
    if words[0] in ("sh", "python", "sbatch"):
        named = [word for word in words[1:] if word.startswith(("jobs/", "analysis/", "tests/"))]
        assert all((ROOT / name).exists() for name in named), command
    if words[0] == "ist-mpi":
        parsed(words[1:])


def parsed(words: list[str]) -> None:
    """Raises what the program would say of its options."""
    command: Any = get_command(app)
    context = command.make_context("ist-mpi", words, resilient_parsing=True)
    rest = words
    while hasattr(command, "get_command"):
        name, command, rest = command.resolve_command(context, rest)
        assert command is not None, f"No such command: {rest}"
        if hasattr(command, "get_command"):
            context = command.make_context(name, list(rest), parent=context, resilient_parsing=True)
        else:
            command.make_context(name, list(rest), parent=context).close()


def test_a_command_that_is_none_is_found() -> None:
    parsed(["sweep", "run", "a.toml", "--jobs", "2"])
    for wrong in (["run", "a.toml", "--fast"], ["walk"], ["sweep", "walk"], ["plot"]):
        with pytest.raises(Exception, match=r"No such|Missing"):
            parsed(wrong)


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "toml"])
def test_configurations_are_what_the_schema_allows(block: Block) -> None:
    tables = tomllib.loads(block.text)
    made = schema()
    if not {"problem", "method", "run"} <= set(tables):  # a part of one, or a sweep
        made["required"] = []
        tables = {name: tables[name] for name in made["properties"] if name in tables}
    jsonschema.validate(tables, made)


@pytest.mark.slow
@pytest.mark.parametrize("block", RUN, ids=lambda block: block.page.stem)
def test_commands_that_begin_with_an_example_run(block: Block, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e", "-c", block.text],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("*.png"))


NUMBER = re.compile(r"-?[\d.]+(e-?\d+)?")
NUMBERS: dict[str, list[tuple[float, float]]] = {
    "README": [],
    "bias": [(1e-5, 1e-4), (0, 1e-12)],
    "extending": [(1e-300, 1), (0, 1e-12), (0, 1e-12), (0, 9)],  # f(0) = ½ · 9 · (1 + 2 + 3) / 3
    "data": [(1e-300, 1), (0, 0), (0, 0), (1e-300, 1), (0.7, 1), (1e-300, 1)],
    "quadratic": [(0, 0.5), (0, 1e-12)],
    "network": [(0.9, 1), (0.2, 0.3), (0.8, 1)],
    "logistic": [(0.85, 1), (0.05, 0.2), (0.05, 0.2), (0, 1e-3)],
}
"""What the last numbers that a page prints lie between."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", sorted({b.page for b in BLOCKS if b.language == "python"}), ids=lambda page: page.stem
)
def test_python_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    """All blocks of a page, one after another, as one program."""
    blocks = [b.text for b in BLOCKS if b.page == page and b.language == "python"]
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
    expected = NUMBERS.get(page.stem, [])
    lines = [line.split() for line in done.stdout.splitlines()]
    found = [word for words in lines if all(map(NUMBER.fullmatch, words)) for word in words]
    for word, (low, high) in zip(found[-len(expected) :], expected, strict=bool(expected)):
        assert low <= float(word) <= high
    if page.stem == "README":
        assert "floats_to" in done.stdout


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    reference = (site / "configuration" / "index.html").read_text()
    for key in ("refresh_probability", "checkpoint_every", "standardize"):
        assert key in reference
    assert "--install-completion" not in (site / "python" / "index.html").read_text()
    assert "ist_mpi.open_sweep" in (site / "python" / "index.html").read_text()
    assert "Usage: ist-mpi sweep table" in (site / "commands" / "index.html").read_text()
    for page in site.rglob("*.html"):
        text = page.read_text()
        # Nothing is fetched from elsewhere; no star of a formula was taken for emphasis.
        assert not re.search(r'(src|href)="https?://[^"]*\.(js|css|woff2?)"', text), page
        assert not re.search(r"\w<(em|strong)>|</(em|strong)>\w", text), page
    assert "x<sup>k</sup>" in (site / "theory" / "index.html").read_text()
    assert "The problem and the method" in (site / "notebook_paper" / "index.html").read_text()


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_pages_are_linked_to_what_is_there() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if not link.startswith("http"):
                assert (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paper", "method"])
def test_a_notebook_runs(name: str, tmp_path: Path) -> None:
    book = nbformat.read(ROOT / "docs" / "notebooks" / f"{name}.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in book.cells), "committed with outputs"
    NotebookClient(book, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
