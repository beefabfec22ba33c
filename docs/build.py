"""What pages have of the program itself, made anew with each build of the site.

A line ``<!-- settings -->`` becomes tables of all settings, ``<!-- commands -->`` the help of all
commands, ``<!-- functions -->`` the docstrings of what `ist_mpi` offers, ``<!-- notebook NAME -->``
the cells of a notebook. Outside code, ``x^k`` and ``L_i`` are set as mathematics is.
"""

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ist_mpi
from ist_mpi.cli.main import COMMANDS
from ist_mpi.config.schema import schema

SWEEPS = ("plan", "run", "status", "table", "submit")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A hook of MkDocs."""
    for name, made in PARTS.items():
        line = f"<!-- {name} -->"
        if line in markdown:
            markdown = markdown.replace(line, made())
    return re.sub(r"<!-- notebook (\w+) -->", lambda found: notebook(found[1]), markdown)


CODE_OR_TAG = re.compile(r"(<(?:pre|code)\b.*?</code>|<[^>]*>)", re.DOTALL)
UPPER = re.compile(r"\^(?:\{([^}]+)\}|([\w∞]))")
LOWER = re.compile(r"(?<!\w)(\w[\u0302-\u0304]?)_(?:\{([^}]+)\}|([A-Za-z0-9]+))")


def on_page_content(html: str, **_: Any) -> str:
    """A hook of MkDocs: indices and powers in prose, which the sources write plainly."""
    parts = CODE_OR_TAG.split(html)
    for k in range(0, len(parts), 2):
        parts[k] = UPPER.sub(lambda m: f"<sup>{m[1] or m[2]}</sup>", parts[k])
        parts[k] = LOWER.sub(lambda m: f"{m[1]}<sub>{m[2] or m[3]}</sub>", parts[k])
    return "".join(parts)


def notebook(name: str) -> str:
    """The cells of docs/notebooks/NAME.ipynb; the tests execute it."""
    path = Path(__file__).parent / "notebooks" / f"{name}.ipynb"
    parts = []
    for cell in json.loads(path.read_text())["cells"]:
        text = "".join(cell["source"])
        parts.append(f"```python\n{text}\n```" if cell["cell_type"] == "code" else text)
    return "\n\n".join(parts)


def settings() -> str:
    """A table for each kind of problem, each method, and the other parts of a configuration."""
    found = schema()["properties"]
    parts = []
    for part, key in (("problem", "kind"), ("method", "name")):
        for table in found[part]["anyOf"]:
            name = table["properties"].get(key, {}).get("const")
            if name is not None:
                parts.append(_table(f'[{part}], {key} = "{name}"', table, key))
    parts += [_table(f"[{part}]", found[part], "") for part in ("run", "log")]
    return "\n".join(parts)


def _table(title: str, table: dict[str, Any], named: str) -> str:
    lines = [f"### `{title}`", "", "| key | may be | default |", "|---|---|---|"]
    for key, of in table["properties"].items():
        if key != named:
            required = key in table["required"]
            default = "required" if required else f"`{_toml(of.get('default'))}`"
            lines.append(f"| `{key}` | {_allowed(of)} | {default} |")
    return "\n".join([*lines, ""])


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return "none" if value is None else str(value)


def _allowed(of: dict[str, Any]) -> str:
    """What a value may be, in words."""
    if of.get("description"):
        return str(of["description"]).replace("|", "\\|")
    return " or ".join(dict.fromkeys(filter(None, _kinds(of)))) or "any"


def _kinds(of: dict[str, Any]) -> Iterator[str]:
    if "anyOf" in of:
        for one in of["anyOf"]:
            yield from _kinds(one)
    elif "enum" in of or "const" in of:
        yield " or ".join(f"`{_toml(value)}`" for value in of.get("enum", [of.get("const")]))
    elif of.get("type") != "null":
        yield of.get("description") or _typed(of)


def _typed(of: dict[str, Any]) -> str:
    words = {"integer": "a whole number", "number": "a number", "boolean": "`true` or `false`"}
    text = words.get(of.get("type", ""), str(of.get("type", "")).replace("string", "text"))
    for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤")):
        if key in of:
            text += f" {sign} {of[key]:g}"
    return text


def commands() -> str:
    """What every command says of itself."""
    names = [[command.__name__] for command in COMMANDS] + [["sweep", name] for name in SWEEPS]
    return "\n\n".join(
        f"### `ist-mpi {' '.join(words)}`\n\n```text\n{_help(words)}\n```" for words in names
    )


def _help(words: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ist_mpi", *words, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "90"},
    )
    return done.stdout.strip()


def functions() -> str:
    """What `ist_mpi` offers."""
    parts = []
    for name in ist_mpi.__all__:
        what = getattr(ist_mpi, name)
        if not callable(what):
            continue
        signature = "" if isinstance(what, type) else str(inspect.signature(what))
        text = inspect.getdoc(what) or ""
        parts.append(f"### `ist_mpi.{name}`\n\n```text\n{name}{signature}\n\n{text}\n```")
    return "\n\n".join(parts)


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "commands": commands,
    "functions": functions,
}
