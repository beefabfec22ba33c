"""The scripts of analysis/ as modules, and what they draw with."""

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
from logs import ROOT, SCRIPTS

from ist_mpi.plots import convergence, curves, drawing


@pytest.fixture(scope="session")
def scripts() -> Iterator[dict[str, ModuleType]]:
    sys.path.insert(0, str(ROOT / "analysis"))
    names = (*SCRIPTS, "scaling")
    found = {name: importlib.import_module(name) for name in names}
    yield {**found, "drawing": drawing, "curves": curves, "plots": convergence}
    sys.path.remove(str(ROOT / "analysis"))
