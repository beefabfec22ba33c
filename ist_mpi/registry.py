"""Names of methods, sketches and problems, and where they are: the only way up, by name.

A name is one of this package's, one that an installed package declares (entry points of the groups
``ist_mpi.methods``, ``ist_mpi.sketches`` and ``ist_mpi.problems``), or ``FILE.py:CLASS``. What a
name stands for is imported when it is asked for. A class that a Python program hands over itself is
known by its file and name, like any other.
"""

import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from ist_mpi.errors import Fault, InputError

BUILT_IN: dict[str, dict[str, str]] = {
    "methods": {
        "ist": "ist_mpi.methods.ist:IndependentSubnetworkTraining",
        "gradient_descent": "ist_mpi.methods.gradient_descent:GradientDescent",
        "dcgd": "ist_mpi.methods.dcgd:CompressedGradientDescent",
        "shared_block": "ist_mpi.methods.shared_block:SharedBlock",
        "anchored": "ist_mpi.methods.anchored:Anchored",
        "stale": "ist_mpi.methods.stale:Stale",
        "marina_p": "ist_mpi.methods.marina_p:MarinaP",
        "diana": "ist_mpi.methods.diana:Diana",
        "ef21": "ist_mpi.methods.ef21:EF21",
        "marina": "ist_mpi.methods.marina:Marina",
        "scaffnew": "ist_mpi.methods.scaffnew:Scaffnew",
    },
    "sketches": {
        "identity": "ist_mpi.sketches.identity:Identity",
        "permutation": "ist_mpi.sketches.permutation:Permutation",
        "rand": "ist_mpi.sketches.rand:Rand",
    },
    "problems": {
        "synthetic": "ist_mpi.problems.synthetic:SyntheticSource",
        "ridge": "ist_mpi.problems.ridge:RidgeSource",
        "arrays": "ist_mpi.problems.arrays:ArraysSource",
        "logistic": "ist_mpi.problems.logistic:LogisticSource",
        "network": "ist_mpi.problems.network:NetworkSource",
    },
}
"""By room and name: ``module:class``."""

SETTING = {"methods": "method.name", "sketches": "method.sketch", "problems": "problem.kind"}

NEEDS: dict[str, dict[str, tuple[tuple[str, ...], ...]]] = {
    "methods": {"Method": (("round", "rounds"),)},
    "sketches": {"Sketch": (("draw", "drawing"),)},
    "problems": {
        "QuadraticProblem": (("quadratic", "share"),),
        "FunctionProblem": (("value",), ("gradient",)),
    },
}
"""By room: the classes to derive from, and what a class then has to define, one of each group. By
name, as nothing above is imported here."""

_given: dict[str, type] = {}
"""Classes that this process was handed, by the name that stands for them."""


def allowed(room: str) -> str:
    """What a name may be, in words."""
    names = [f'"{name}"' for name in (*BUILT_IN[room], *_installed(room))]
    return f'{", ".join(names)} or "FILE.py:CLASS"'


def is_file(name: str) -> bool:
    """Whether a name is of the form ``FILE.py:CLASS``."""
    path, colon, member = name.rpartition(":")
    return bool(colon) and path.endswith(".py") and member.isidentifier()


def source_of(room: str, name: str) -> Path | None:
    """The file with the class of that name, where it is not one of this package's.

    None where there is none, as of a class that was typed into an interpreter.
    """
    if name in BUILT_IN[room]:
        return None
    if is_file(name):
        path = Path(name.rpartition(":")[0])
    else:
        if name not in _installed(room):
            return None
        path = Path(inspect.getfile(load(room, name)))
    return path if path.exists() else None


def digest(path: Path) -> str:
    """SHA-256 of a source file; InputError where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        got = error.strerror or str(error)
        raise InputError(Fault(str(path), got, "a Python file that can be read")) from error


def given(kind: type) -> str:
    """The name of a class that a program handed over; this process knows it from now on."""
    try:
        path = inspect.getsourcefile(kind) or ""
    except (OSError, TypeError):  # typed into an interpreter or a notebook
        path = ""
    place = str(Path(path).absolute()) if path.endswith(".py") else f"{kind.__module__}.py"
    name = f"{place}:{kind.__name__}"
    _given[name] = kind
    return name


def is_given(name: str) -> bool:
    """Whether this process was handed the class of that name."""
    return name in _given


def load(room: str, name: str) -> Any:
    """The class of that name.

    Raises
    ------
    InputError
        If there is none, or it cannot be imported.
    """
    if name in BUILT_IN[room]:
        return _member(BUILT_IN[room][name])
    if name in _given:
        return _fit(room, name, _given[name])
    if is_file(name):
        path, _, member = name.rpartition(":")
        return _of_file(room, path, member, digest(Path(path)))
    installed = _installed(room)
    if name in installed:
        return _of_package(room, name, installed[name])
    raise InputError(Fault(SETTING[room], f'"{name}"', allowed(room)))


def _member(place: str) -> Any:
    module, _, member = place.partition(":")
    return getattr(importlib.import_module(module), member)


@functools.cache
def _installed(room: str) -> dict[str, str]:
    """What installed packages declare, by name: ``module:class``."""
    found = metadata.entry_points(group=f"ist_mpi.{room}")
    return {entry.name: entry.value for entry in found if entry.name not in BUILT_IN[room]}


@functools.cache
def _of_package(room: str, name: str, place: str) -> Any:
    """A class that an installed package declares."""
    expected = f"an installed package with a class {place}"
    try:
        kind = _member(place)
    except (Exception, SystemExit) as error:
        got = f'"{name}", which fails ({type(error).__name__}: {error})'
        raise InputError(Fault(SETTING[room], got, expected)) from error
    if not isinstance(kind, type):
        raise InputError(Fault(SETTING[room], f'"{name}"', expected))
    return _fit(room, name, kind)


@functools.cache
def _of_file(room: str, path: str, member: str, sha256: str) -> Any:
    """A class of a file that is in no package; a file is run once for each of its contents."""
    name, expected = f"ist_mpi_code_{sha256[:16]}", f"a Python file with a class {member}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise InputError(Fault(SETTING[room], f'"{path}:{member}"', expected))
    module = sys.modules.get(name)
    if module is None:
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            text = Path(path).read_bytes()  # what is run is what was read here, no cached bytecode
            if hashlib.sha256(text).hexdigest() != sha256:
                raise ImportError("the file is changing")
            exec(compile(text, path, "exec"), module.__dict__)
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            got = f'"{path}:{member}", which fails ({type(error).__name__}: {error})'
            raise InputError(Fault(SETTING[room], got, expected)) from error
    kind = getattr(module, member, None)
    if not isinstance(kind, type):
        raise InputError(Fault(SETTING[room], f'"{path}:{member}"', expected))
    return _fit(room, f"{path}:{member}", kind)


def speaks_for(kind: type, name: str, *doings: str) -> bool:
    """Whether what a class says in `name` is of its own doings, and not of those of a base that it
    has changed since: a derived class with another `round` has not the `step` of its base.
    """

    def place(member: str) -> int:
        found = (i for i, base in enumerate(kind.__mro__) if member in vars(base))
        return next(found, len(kind.__mro__))

    return all(place(name) <= place(doing) for doing in doings)


def _fit(room: str, name: str, kind: type) -> type:
    """Refuse a class that is not what the room holds, or that leaves out what it has to define."""
    needs = NEEDS[room]
    ours = (base for base in kind.__mro__ if base.__module__.startswith("ist_mpi."))
    base = next((base for base in ours if base.__name__ in needs), None)
    if base is None:
        bases = " or ".join(f"ist_mpi.{room}.{base}" for base in needs)
        expected = f"a class derived from {bases}"
        raise InputError(Fault(SETTING[room], f'"{name}"', expected))
    for group in needs[base.__name__]:
        if all(getattr(kind, one, None) is getattr(base, one, None) for one in group):
            got = f'"{name}", which has no {group[0]}'
            expected = f"a class that defines {group[0]}, as {base.__name__} says"
            raise InputError(Fault(SETTING[room], got, expected))
    return kind
