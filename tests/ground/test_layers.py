"""The structure: imports point down, one door to each library, one compilation a kernel."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from cases import VARIANTS, configuration

import ist_mpi

ROOT = Path(ist_mpi.__file__).parent

# From the ground up; rooms named together do not import each other, except inside a room.
LAYERS = [
    ["_version", "errors", "partition", "randomness", "sums", "threads"],
    ["kernels", "registry"],
    ["store"],
    ["config"],
    ["sketches"],
    ["problems"],
    ["parallel"],
    ["exact_theory"],
    ["methods"],
    ["training", "verify"],
    ["batch", "bench", "plots", "examples"],
    ["cli"],
    ["library"],
    ["__main__"],
]

DOORS = {
    "numba": {"kernels"},
    "h5py": {"store"},
    "mpi4py": {"parallel"},
    "sklearn": {"problems"},
    "pandas": {"problems"},
    "pyarrow": {"store"},
    "pydantic": {"config"},
    "typer": {"cli"},
    "rich": {"cli"},
    "plotille": {"cli"},
    "matplotlib": {"plots"},
}


def modules() -> list[tuple[str, Path]]:
    """Top-level name (module or package) and file of everything in the package."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts != ("__init__",):
            found.append((parts[0], path))
    return found


def imports_of(path: Path) -> set[str]:
    """Every module a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def inside(name: str) -> str | None:
    """The top-level module of this package that an import names; None for another's."""
    parts = name.split(".")
    known = {module for layer in LAYERS for module in layer}
    return parts[1] if parts[0] == "ist_mpi" and len(parts) > 1 and parts[1] in known else None


def test_sums_that_may_be_beyond_float64_are_made_in_one_place() -> None:
    """`math.fsum` raises an error there, which would end a run that diverges."""
    users = [path.name for path in sorted(ROOT.rglob("*.py")) if "fsum" in path.read_text()]
    assert users == ["sums.py"]


def test_every_module_has_a_layer() -> None:
    listed = [name for layer in LAYERS for name in layer]
    assert sorted(set(listed)) == sorted({name for name, _ in modules()})
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize(("name", "path"), modules(), ids=lambda value: str(value)[-40:])
def test_imports_point_down(name: str, path: Path) -> None:
    level = {module: height for height, layer in enumerate(LAYERS) for module in layer}
    for imported in imports_of(path):
        other = inside(imported)
        if other is not None and other != name:
            assert level[other] < level[name], f"{path} imports {imported}"


@pytest.mark.parametrize("library", DOORS)
def test_libraries_have_one_door(library: str) -> None:
    users = {
        name
        for name, path in modules()
        if any(imported.split(".")[0] == library for imported in imports_of(path))
    }
    assert users == DOORS[library]


def test_the_world_is_named_once() -> None:
    text = "".join(path.read_text() for _, path in modules())
    assert text.count("MPI.COMM_WORLD\n") == 1


@pytest.mark.slow
def test_importing_the_package_starts_nothing() -> None:
    code = "import ist_mpi, sys; print({'mpi4py', 'numba', 'h5py'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


HEAVY = {"numba", "scipy", "mpi4py", "sklearn"}
READERS = {
    "open_run": "ist_mpi.open_run(log)",
    "--help": "",
    "info": "",
    "watch": "",
}


@pytest.mark.parametrize("name", READERS)
def test_what_reads_a_log_loads_what_h5py_takes(name: str, tmp_path: Path) -> None:
    """Neither numba nor scipy nor MPI; in a process that has done nothing else."""
    log = tmp_path / "run.h5"
    ist_mpi.run(configuration("merge", "n > d"), out=log)
    code = f"import sys, ist_mpi; log = {str(log)!r}\n{READERS[name]}\n"
    if not READERS[name]:
        words = ["ist-mpi", name, *([] if name == "--help" else [str(log)])]
        code = (
            f"import sys; from ist_mpi.__main__ import main; sys.argv = {words!r}\n"
            "try: main()\nexcept SystemExit as end: assert not end.code, end.code\n"
        )
    code += f"print({HEAVY!r} & set(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "set()"


def test_analysis_never_imports_mpi4py() -> None:
    scripts = list((ROOT.parent / "analysis").glob("*.py"))
    assert scripts
    for script in scripts:
        assert not any(name.startswith("mpi4py") for name in imports_of(script))


def signatures() -> dict[str, int]:
    """For how many types each kernel has been called from Python."""
    package = importlib.import_module("ist_mpi.kernels")
    counts = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"ist_mpi.kernels.{info.name}")
        for name, kernel in vars(module).items():
            if hasattr(kernel, "signatures") and kernel.__module__ == module.__name__:
                counts[f"{info.name}.{name}"] = len(kernel.signatures)
    return counts


@pytest.mark.slow
def test_kernels_are_compiled_once() -> None:
    """Whatever the method, every kernel meets the same types: nothing compiles in a second run.

    Other storages are other types; whoever ran before may have left some.
    """
    before = signatures()
    for variant in VARIANTS:
        for shape in ("n does not divide d", "n > d", "n divides d"):
            ist_mpi.run(configuration(variant, shape))
    after = signatures()
    called = {name for name, count in after.items() if count}
    assert called >= {"draws.draw", "rounds.train", "storage.gradients", "matrices.rows_product"}
    assert {name: count for name, count in after.items() if count > before[name] + 1} == {}
    ist_mpi.run(configuration("merge", "n > d"))
    assert signatures() == after
