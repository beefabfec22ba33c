"""The scripts of analysis/ as modules."""

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
from logs import ROOT, SCRIPTS


@pytest.fixture(scope="session")
def scripts() -> Iterator[dict[str, ModuleType]]:
    sys.path.insert(0, str(ROOT / "analysis"))
    names = (*SCRIPTS, "drawing", "curves", "scaling")
    yield {name: importlib.import_module(name) for name in names}
    sys.path.remove(str(ROOT / "analysis"))
