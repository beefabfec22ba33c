"""What a run is: the configuration, typed, frozen and validated.

A configuration comes from a TOML file, a dict or a `Config`; `load` merges it with the command
line's overrides, reports every fault at once, and fills in every default, so that the resolved
configuration says the whole of what will be run.
"""

import difflib
import hashlib
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import tomli_w
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ist_mpi import files
from ist_mpi.errors import Fault, InputError
from ist_mpi.randomness import MAX_SEED

MAX_TOML_BYTES = 1 << 20

Count = Annotated[int, Field(ge=1, le=2**31 - 2, description="an integer from 1 to 2147483646")]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED, description=f"an integer from 0 to {MAX_SEED}")]
Flag = Annotated[bool, Field(description="true or false")]
NotNegative = Annotated[
    float,
    BeforeValidator(lambda value: _finite(value, "a finite number ≥ 0")),
    Field(ge=0, allow_inf_nan=False, description="a finite number ≥ 0"),
]
Positive = Annotated[
    float,
    BeforeValidator(lambda value: _finite(value, "a finite number > 0")),
    Field(gt=0, allow_inf_nan=False, description="a finite number > 0"),
]
Text = Annotated[str, Field(min_length=1, description="a string that is not empty")]


def _wrong(key: str, got: str, expected: str) -> ValueError:
    """What a validator raises for settings that do not go together; `_fault` reads it."""
    return ValueError(key, got, expected)


def _finite(value: Any, expected: str) -> Any:
    """Refuse an integer that no float can hold, which pydantic would stumble over."""
    if isinstance(value, int) and abs(value) > 10**300:
        raise _wrong("", f"an integer of {value.bit_length()} bits", expected)
    return value


Rule = tuple[str, str, str]
"""A broken rule between settings: the key, what was got, what is expected."""


def broken_rules(section: str, values: Mapping[str, Any]) -> Iterator[Rule]:
    """The rules between the settings of a table that its values break, right or wrong as types."""
    if section == "problem" and values.get("kind") == "ridge":
        given = [key for key in ("path", "dataset") if values.get(key) is not None]
        if len(given) != 1:
            got = "both path and dataset" if given else "neither path nor dataset"
            yield "path", got, "exactly one of path and dataset"
    if section == "problem" and values.get("kind") == "arrays":
        arrays = [key for key in ("L", "b", "x0") if values.get(key) is not None]
        if values.get("path") is not None and arrays:
            yield "path", f"path and {', '.join(arrays)}", "either path, or L and b (and x0)"
        elif values.get("path") is None and not {"L", "b"} <= set(arrays):
            yield "path", "neither path nor (L, b)", "either path, or both L and b"
    if section == "method":
        yield from _broken_method_rules(values)


def _broken_method_rules(values: Mapping[str, Any]) -> Iterator[Rule]:
    name = values.get("name")
    if name == "gradient_descent":
        values = {**values, "sketch": "identity", "scaling": "unbiased"}
    sketch = values.get("sketch", "permutation")
    scaling = values.get("scaling", "unbiased")
    steps = values.get("local_steps", 1)
    if sketch == "rand" and values.get("q") is None:
        yield "q", "nothing", 'the size of the random blocks, with sketch = "rand"'
    if scaling in ("unscaled", "preconditioned") and not (
        sketch == "permutation" and name == "ist"
    ):
        yield (
            "scaling",
            f'"{scaling}" with name = "{name}", sketch = "{sketch}"',
            '"unbiased" (the other scalings belong to ist with the permutation sketch)',
        )
    if name in ("gradient_descent", "dcgd") and isinstance(steps, int) and steps > 1:
        yield "local_steps", f'{steps} with name = "{name}"', "1 (only ist takes local steps)"


def _kept(section: Any) -> None:
    """Refuse a section that breaks a rule: the check of those that are made directly."""
    name = "method" if isinstance(section, Method) else "problem"
    for rule in broken_rules(name, dict(section)):
        raise _wrong(*rule)


class Section(BaseModel):
    """Common rules of every table: no unknown keys, no silent conversions, no changes."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True
    )


class SyntheticProblem(Section):
    """L_i = B_iᵀB_i with B_i, b_i and x⁰ drawn from N(0, 1) (SPEC §1, Section 5 of the paper)."""

    kind: Literal["synthetic"]
    d: Count
    n: Count
    heterogeneous: Flag = True
    linear_term: Flag = True
    seed: Seed = 0


class RidgeProblem(Section):
    """Ridge regression on a data set split over n workers."""

    kind: Literal["ridge"]
    path: Text | None = None
    dataset: (
        Annotated[
            Literal["digits", "diabetes", "breast_cancer"],
            Field(description='"digits", "diabetes" or "breast_cancer"'),
        ]
        | None
    ) = None
    n: Count
    d: Count | None = None
    l2: NotNegative = 1e-3
    split: Annotated[
        Literal["contiguous", "shuffled"], Field(description='"contiguous" or "shuffled"')
    ] = "contiguous"
    standardize: Flag = False
    seed: Seed = 0

    @model_validator(mode="after")
    def _rules(self) -> Self:
        _kept(self)
        return self


class ArraysProblem(Section):
    """The user's own quadratics: an HDF5 file, or arrays in memory when called from Python."""

    kind: Literal["arrays"]
    path: Text | None = None
    L: np.ndarray | None = Field(default=None, exclude=True, repr=False)
    b: np.ndarray | None = Field(default=None, exclude=True, repr=False)
    x0: np.ndarray | None = Field(default=None, exclude=True, repr=False)
    digest: str | None = Field(default=None, description="set by the program")
    seed: Seed = 0

    @field_validator("L", "b", "x0", mode="before")
    @classmethod
    def _as_array(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None:
            return None
        ndim = {"L": 3, "b": 2, "x0": 1}[str(info.field_name)]
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.empty(0, dtype=object)  # ragged lists
        if array.ndim != ndim or array.dtype.kind not in "fiu":
            got = f"{array.dtype} of shape {array.shape}"
            raise _wrong("", got, f"a real array of {ndim} dimension(s)")
        return np.ascontiguousarray(array, dtype=np.float64)

    @model_validator(mode="after")
    def _rules(self) -> Self:
        _kept(self)
        if self.L is not None and self.b is not None:
            digest = hashlib.sha256()
            for array in (self.L, self.b, self.x0):
                if array is not None:
                    digest.update(repr(array.shape).encode() + array.tobytes())
            # What the log can say about arrays that live in no file.
            object.__setattr__(self, "digest", digest.hexdigest())
        return self


Problem = Annotated[
    SyntheticProblem | RidgeProblem | ArraysProblem,
    Discriminator("kind"),
]

MethodName = Literal["ist", "gradient_descent", "dcgd"]
SketchName = Literal["identity", "permutation", "rand"]
Scaling = Literal["unbiased", "unscaled", "preconditioned"]
Form = Literal["merge", "estimator"]


def default_form(sketch: str, scaling: str) -> Form:
    """`merge` where the pieces add up to the whole, else `estimator` (SPEC §3)."""
    exact = sketch != "rand" and scaling != "preconditioned"
    return "merge" if exact else "estimator"


class Method(Section):
    """Which update, with which sketch and step size."""

    name: Annotated[MethodName, Field(description='"ist", "gradient_descent" or "dcgd"')]
    sketch: Annotated[SketchName, Field(description='"identity", "permutation" or "rand"')] = (
        "permutation"
    )
    scaling: Annotated[Scaling, Field(description='"unbiased", "unscaled" or "preconditioned"')] = (
        "unbiased"
    )
    form: Annotated[Form, Field(description='"merge" or "estimator"')] | None = None
    q: Count | None = None
    step_size: Positive
    local_steps: Count = 1

    @model_validator(mode="before")
    @classmethod
    def _drop_unused(cls, data: Any) -> Any:
        """Settings that the method does not use are ignored, whatever they are."""
        if not isinstance(data, Mapping):
            return data
        unused: set[str] = set()
        if data.get("name") == "gradient_descent":
            unused = {"sketch", "scaling", "form", "q"}
        elif data.get("name") == "dcgd":
            unused = {"form"}
        if data.get("sketch", "permutation") != "rand":
            unused.add("q")
        kept = {key: value for key, value in data.items() if key not in unused}
        if data.get("name") == "gradient_descent":
            kept["sketch"] = "identity"
        return kept

    @model_validator(mode="after")
    def _rules(self) -> Self:
        _kept(self)
        if self.name == "ist" and self.form is None:
            object.__setattr__(self, "form", default_form(self.sketch, self.scaling))
        return self

    @property
    def multiplies_model(self) -> bool:
        """Whether a merge multiplies x by the random matrix (1/n) Σ C_i (SPEC §3)."""
        return (
            self.name == "ist"
            and self.form == "merge"
            and default_form(self.sketch, self.scaling) == "estimator"
        )


class Run(Section):
    """How long, from which seed, and how the ranks exchange the model."""

    rounds: Count
    seed: Seed = 0
    tolerance: NotNegative = 0.0
    exchange: Annotated[
        Literal["server", "replicated"], Field(description='"server" or "replicated"')
    ] = "server"


class Log(Section):
    """What goes to the run log, and how often."""

    every: Count = 1
    iterates: Flag = False
    permutations: Flag = False
    problem: Flag = False


class Config(Section):
    """A whole run."""

    problem: Problem
    method: Method
    run: Run
    log: Log = Log()

    def to_dict(self) -> dict[str, Any]:
        """The resolved configuration as plain tables, defaults included, no nulls."""
        return self.model_dump(exclude_none=True)

    def to_toml(self) -> str:
        """The resolved configuration as TOML; `load` reads it back."""
        return tomli_w.dumps(self.to_dict())

    def run_id(self) -> str:
        """16 hexadecimal digits that identify the resolved configuration."""
        return hashlib.sha256(self.to_toml().encode()).hexdigest()[:16]

    def with_values(self, **sections: Mapping[str, Any]) -> "Config":
        """A copy with some values replaced: ``config.with_values(run={"seed": 3})``."""
        return self.model_copy(
            update={
                name: getattr(self, name).model_copy(update=dict(values))
                for name, values in sections.items()
            }
        )

    def without_arrays(self) -> "Config":
        """A copy without the arrays that a caller put in; their digest stays."""
        if not isinstance(self.problem, ArraysProblem):
            return self
        bare = self.problem.model_copy(update={"L": None, "b": None, "x0": None})
        return self.model_copy(update={"problem": bare})

    def cautions(self) -> list[str]:
        """What is allowed but seldom meant."""
        notes = []
        if self.method.multiplies_model:
            which = "Rand-q" if self.method.sketch == "rand" else "a preconditioned sketch"
            notes.append(
                f'form = "merge" with {which} multiplies the model by the random matrix '
                '(1/n) Σ C_i every round; form = "estimator" is the method of the theory'
            )
        return notes


def load(
    source: "Config | Mapping[str, Any] | str | Path", overrides: Sequence[str] = ()
) -> Config:
    """The resolved configuration of `source` with `overrides` (``section.key=value``) on top.

    Paths inside a file are relative to the file's folder, paths in overrides and dicts to the
    current one; the resolved configuration holds absolute paths.

    Raises
    ------
    InputError
        Listing every fault found.
    """
    if isinstance(source, Config):
        if not overrides:
            return source
        tables, label = source.to_dict(), "configuration"
        if isinstance(source.problem, ArraysProblem):
            arrays = {key: getattr(source.problem, key) for key in ("L", "b", "x0")}
            tables["problem"] |= {key: value for key, value in arrays.items() if value is not None}
    elif isinstance(source, Mapping):
        tables, label = _plain(source), "configuration"
    elif not isinstance(source, str | Path):
        got = f"{type(source).__name__}"
        raise InputError(Fault("configuration", got, "a Config, a mapping, or the path of a file"))
    else:
        path = Path(source)
        tables, label = read_toml(path), str(path)
        _anchor(tables, path.parent)
    faults = list(_apply(tables, overrides))
    _anchor(tables, Path.cwd())
    for required in ("problem", "method", "run"):
        tables.setdefault(required, {})  # so that what is missing inside is listed too
    try:
        config = Config.model_validate(tables)
    except ValidationError as error:
        details = [detail for detail in error.errors() if not _is_rule(detail)]
        faults += [_fault(detail, tables, label) for detail in details]
        for section in ("problem", "method"):
            if isinstance(tables[section], Mapping):
                rules = broken_rules(section, tables[section])
                faults += [
                    Fault(f"{section}.{key} in {label}", got, expected)
                    for key, got, expected in rules
                ]
    if faults:
        raise InputError(faults)
    return config


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file, or an InputError that says what is wrong with it."""
    expected = "a TOML configuration file of at most 1 MiB"
    got = files.trouble(path)
    if got is not None:
        raise InputError(Fault(str(path), got, expected))
    try:
        if path.stat().st_size > MAX_TOML_BYTES:
            raise InputError(Fault(str(path), f"{path.stat().st_size} bytes", expected))
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(Fault(str(path), error.strerror or str(error), expected)) from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(Fault(str(path), f"text that is not TOML: {error}", expected)) from error
    return tables


def _plain(value: Any) -> Any:
    """A deep copy of a dict's tables, with numpy scalars and paths as plain values."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, Path) else value


def _anchor(tables: dict[str, Any], folder: Path) -> None:
    """Make problem.path absolute."""
    problem = tables.get("problem")
    if isinstance(problem, dict) and isinstance(problem.get("path"), str) and problem["path"]:
        problem["path"] = str((folder / Path(problem["path"]).expanduser()).absolute())


_ALTERNATIVES = {"path": "dataset", "dataset": "path"}
"""Settings that take each other's place when one of them is overridden."""


def _apply(tables: dict[str, Any], overrides: Sequence[str]) -> Iterator[Fault]:
    """Set every ``section.key=value``; the value is TOML, else a plain string."""
    for override in overrides:
        name, equals, text = override.partition("=")
        section, dot, key = (part.strip() for part in name.partition("."))
        if not (equals and dot and section and key and "." not in key):
            yield Fault(f"--set {override}", repr(override), "section.key=value")
            continue
        try:
            parsed = tomllib.loads(f"value = {text}")
            value = parsed["value"] if set(parsed) == {"value"} else text
        except (ValueError, RecursionError):
            value = text
        table = tables.setdefault(section, {})
        if isinstance(table, dict):
            table[key] = value
            if section == "problem" and key in _ALTERNATIVES:
                table.pop(_ALTERNATIVES[key], None)


def _is_rule(detail: Any) -> bool:
    """Whether a finding is a broken rule between settings, which `broken_rules` lists."""
    whole_table = len(detail["loc"]) == (2 if detail["loc"][0] == "problem" else 1)
    return detail["type"] == "value_error" and whole_table


def _fault(detail: Any, tables: Mapping[str, Any], label: str) -> Fault:
    """One of pydantic's findings in this program's words."""
    location = [str(part) for part in detail["loc"]]
    if location[0] == "problem" and len(location) > 1:
        del location[1]  # the tag of the union, which is not a name in the file
    # pydantic adds the branch of an optional value to the location
    location = location[:2]
    model = _model(location[0], tables)
    where = f"{'.'.join(location)} in {label}"
    kind = detail["type"]
    if kind == "missing":
        return Fault(where, "nothing", _allowed(model, location), "it is required")
    if kind == "extra_forbidden":
        known = (
            list(model.model_fields) if len(location) == 2 and model else list(Config.model_fields)
        )
        known = [name for name in known if name not in _HIDDEN]
        near = difflib.get_close_matches(location[-1], known, n=1)
        remedy = f"did you mean {near[0]}?" if near else ""
        return Fault(where, "an unknown name", f"one of {', '.join(known)}", remedy)
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        tag = tables["problem"].get("kind") if isinstance(tables["problem"], dict) else None
        got = "nothing" if tag is None else _shown(tag)
        return Fault(f"problem.kind in {label}", got, '"synthetic", "ridge" or "arrays"')
    if kind == "value_error":
        _, got, expected = detail["ctx"]["error"].args
        return Fault(where, got, expected)
    if len(location) == 1:
        return Fault(where, _shown(detail["input"]), f"a table [{location[0]}]")
    return Fault(where, _shown(detail["input"]), _allowed(model, location))


_HIDDEN = {"digest"}


def _model(section: str, tables: Mapping[str, Any]) -> type[Section] | None:
    if section == "problem":
        table = tables.get("problem")
        kind = table.get("kind") if isinstance(table, Mapping) else None
        models: dict[Any, type[Section]] = {
            "synthetic": SyntheticProblem,
            "ridge": RidgeProblem,
            "arrays": ArraysProblem,
        }
        return models.get(kind) if isinstance(kind, str) else None
    others: dict[str, type[Section]] = {"method": Method, "run": Run, "log": Log}
    return others.get(section)


def _allowed(model: type[Section] | None, location: list[str]) -> str:
    """What a setting may be, from its field's description."""
    if len(location) == 1:
        return f"a table [{location[0]}]"
    field = model.model_fields.get(location[1]) if model else None
    if field is None:
        return "a valid value"
    if field.description:
        return field.description
    for choice in getattr(field.annotation, "__args__", ()):
        for note in getattr(choice, "__metadata__", ()):
            if getattr(note, "description", None):
                return str(note.description)
    return "a valid value"


def _shown(value: Any) -> str:
    """A short picture of a wrong value."""
    text = repr(value) if not isinstance(value, str) else f'"{value}"'
    kind = type(value).__name__
    shown = text if len(text) <= 60 else text[:57] + "…"
    plain_number = isinstance(value, int | float) and not isinstance(value, bool)
    return shown if plain_number and math.isfinite(value) else f"{shown} ({kind})"
