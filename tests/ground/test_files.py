"""Files come to be in one place, `store.files`: no other way of writing one, nothing followed."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import ist_mpi
from ist_mpi.store import files

ROOT = Path(ist_mpi.__file__).parents[1]
SOURCES = sorted(path for part in ("ist_mpi", "analysis") for path in (ROOT / part).rglob("*.py"))
WRITERS = {"ist_mpi/store/files.py", "ist_mpi/store/locks.py"}
"""What may create files: whole ones, and locks, which are not replaced."""
MOVES = {"ist_mpi/store/checkpoint.py"}
"""What renames folders."""
FORBIDDEN = {
    *("write_text", "write_bytes", "tofile", "savetxt", "savez", "savez_compressed", "to_csv"),
    *("to_netcdf", "mkstemp", "mktemp", "NamedTemporaryFile", "touch", "mknod", "dump"),
    *("copy2", "copyfile", "copyfileobj", "truncate", "symlink_to", "hardlink_to"),
}


def word(node: ast.expr) -> str:
    """The last name of what is called."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def owner(node: ast.expr) -> str:
    """What it is called on, if that is a name."""
    return getattr(node.value, "id", "") if isinstance(node, ast.Attribute) else ""


def offences(text: str, name: str) -> Iterator[str]:
    """Every call in a source that may create or write a file, in words."""
    tree = ast.parse(text)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    in_memory = {
        word(target)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and "BytesIO(" in ast.unparse(node.value)
        for target in node.targets
    }
    for call in calls:
        called, source = word(call.func), ast.unparse(call)
        values = [*call.args, *(keyword.value for keyword in call.keywords)]
        modes = [
            v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str)
        ]
        writes = any(set(mode) <= set("rwxabt+U") and set(mode) & set("wxa+") for mode in modes)
        harmless = "os.devnull" in source or "backing_store=False" in source
        bad = called in FORBIDDEN and name not in WRITERS
        bad |= called == "save" and owner(call.func) in ("np", "numpy")
        bad |= called in ("copy", "move") and owner(call.func) == "shutil"
        bad |= called == "rename" and name not in MOVES | WRITERS
        bad |= (
            called in ("open", "fdopen", "File") and writes and not harmless and name not in WRITERS
        )
        bad |= called == "savefig" and word(call.args[0]) not in in_memory
        if called == "open" and "O_CREAT" in source:
            bad |= name not in WRITERS or not ("O_EXCL" in source or "O_NOFOLLOW" in source)
        if bad:
            yield f"{name}:{call.lineno}: {source[:80]}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_else_writes_files(path: Path) -> None:
    found = list(offences(path.read_text(), str(path.relative_to(ROOT))))
    assert not found, f"ist_mpi.store.files writes files: {found}"


@pytest.mark.parametrize(
    "text",
    [
        'open(path, "w")',
        'open(path, mode="ab")',
        'path.open("x")',
        'io.open(path, "r+b")',
        "path.write_text(text)",
        "path.write_bytes(b'')",
        "figure.savefig(path)",
        "os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL)",
        'h5py.File(path, "w")',
        "np.save(path, array)",
        "json.dump(document, file)",
        "tempfile.NamedTemporaryFile()",
        "shutil.copyfile(a, b)",
        "path.rename(other)",
    ],
)
def test_the_lint_sees(text: str) -> None:
    assert list(offences(text, "any.py"))


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    """Neither at the path nor at any name that could be foreseen, as the process's number is."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    path = tmp_path / "table.csv"
    foreseen = [f".ist-mpi-{os.getpid()}", f"{path.name}.tmp", f".{path.name}"]
    for name in (path.name, *foreseen):
        (tmp_path / name).symlink_to(victim)
    files.replace(path, b"ours")
    assert victim.read_text() == "mine"
    assert path.read_bytes() == b"ours"
    assert not path.is_symlink()
    assert {p.name for p in tmp_path.iterdir()} == {"victim", path.name, *foreseen}


def test_no_two_names_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    whole = files.write_durably

    def noting(path: Path, contents: bytes, mode: int | None = None) -> None:
        seen.append(path.name)
        whole(path, contents, mode)

    monkeypatch.setattr(files, "write_durably", noting)
    for _ in range(3):
        files.replace(tmp_path / "a", b"")
    assert len(set(seen)) == 3


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o666])
def test_what_is_replaced_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(mode)
    files.replace(path, b"new")
    assert path.stat().st_mode & 0o777 == mode
    assert path.read_bytes() == b"new"


def test_a_new_file_has_those_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.replace(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_file_that_is_written_aside_is_never_one_that_is_there(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "link").symlink_to(victim)
    for name in ("victim", "link"):
        with pytest.raises(FileExistsError):
            files.write_durably(tmp_path / name, b"ours")
    assert victim.read_text() == "mine"
