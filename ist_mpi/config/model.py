"""The tables of a configuration: typed, frozen, validated.

What a method, a sketch or a problem adds to its table is declared where it lives; here is what all
of them have.
"""

import functools
import hashlib
import pickle
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import tomli_w
from pydantic import BeforeValidator, Field, SerializeAsAny, create_model, model_validator

from ist_mpi import registry
from ist_mpi.config.types import (
    Count,
    Flag,
    NotNegative,
    Positive,
    Rule,
    Section,
    Seed,
    finite,
    more_than_one,
)
from ist_mpi.errors import Fault, InputError

Scaling = Literal["unbiased", "unscaled", "preconditioned"]


class Problem(Section):
    """The table [problem]; each kind has its own."""

    kind: str
    code: str | None = Field(default=None, description="set by the program")
    """SHA-256 of the file that the kind comes from, where it is in one."""

    @classmethod
    def method_defaults(cls, method: type["Method"]) -> Mapping[str, Any]:
        """Settings of [method] that are others by default with this kind of problem."""
        return {}

    def misfits(self, method: "Method") -> Iterator[Rule]:
        """What of [method] does not go with this problem; see `Section.broken_rules`."""
        yield from ()

    def without_arrays(self) -> Self:
        """A copy without the arrays that a caller put in, where there are any."""
        return self

    def arrays(self) -> dict[str, Any]:
        """The arrays that a caller put in, by name."""
        return {}

    def __reduce__(self) -> Any:
        """A kind of another file is found by its name on every rank, before its values are read."""
        return _restored_problem, (self.kind, pickle.dumps(self.__dict__))


class Method(Section):
    """The table [method]: which update, with which sketch and step size."""

    method_class: ClassVar[Any] = None
    sketch_class: ClassVar[Any] = None

    name: str
    sketch: str = "permutation"
    scaling: Annotated[Scaling, Field(description='"unbiased", "unscaled" or "preconditioned"')] = (
        "unbiased"
    )
    group_size: Count = 1
    step_size: Annotated[
        Positive | Literal["theory", "default"],
        BeforeValidator(lambda value: finite(value, 'a finite number > 0, "theory" or "default"')),
        Field(description='a finite number > 0, "theory" for a proved rule, or "default"'),
    ]
    step_size_rule: str | None = Field(default=None, description="set by the program")
    """Which rule gave the number, and whether it is proved, where the step size was a word."""
    local_steps: Count = 1
    code: str | None = Field(default=None, description="set by the program")
    """SHA-256 of the file that the method comes from, where it is in one."""
    sketch_code: str | None = Field(default=None, description="set by the program")
    """Of the sketch, likewise."""

    @classmethod
    def used(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Without the settings that the method does not use, which are ignored."""
        unused = set(getattr(cls.method_class, "ignores", ()))
        unused |= {name for name in OF_SOME if name not in cls.model_fields}
        kept = {key: value for key, value in values.items() if key not in unused}
        fixed = getattr(cls.method_class, "sketch", None)
        return kept if fixed is None else {**kept, "sketch": fixed}

    @classmethod
    def broken_rules(cls, values: Mapping[str, Any]) -> Iterator[Rule]:
        """See `Section.broken_rules`."""
        values = cls.used(values)
        method, sketch = cls.method_class, cls.sketch_class
        name, drawn = values.get("name"), values.get("sketch", "permutation")
        scaling, steps = values.get("scaling", "unbiased"), values.get("local_steps", 1)
        if scaling in ("unscaled", "preconditioned") and not (
            scaling in getattr(sketch, "scalings", ()) and getattr(method, "rescales", False)
        ):
            yield (
                "scaling",
                f'"{scaling}" with name = "{name}", sketch = "{drawn}"',
                '"unbiased" (the other scalings belong to ist with the permutation sketch)',
            )
        size = values.get("group_size", 1)
        if sketch is not None and more_than_one(size) and not getattr(sketch, "groups", False):
            got = f'{size} with sketch = "{drawn}"'
            yield "group_size", got, "1 (only the permutation sketch moves groups of coordinates)"
        if values.get("step_size") in ("theory", "default") and more_than_one(steps):
            got = f'"{values["step_size"]}" with local_steps = {steps}'
            yield "step_size", got, "a number: Theorem 1 is about one local step"
        fit = getattr(method, "sketches", None)
        if fit is not None and drawn not in fit:
            got = f'"{drawn}" with name = "{name}"'
            yield "sketch", got, " or ".join(f'"{one}"' for one in fit)
        yield from super().broken_rules(values)
        if method is not None and more_than_one(steps) and not getattr(method, "steps", False):
            yield "local_steps", f'{steps} with name = "{name}"', "1 (only ist takes local steps)"

    @model_validator(mode="before")
    @classmethod
    def _drop_unused(cls, data: Any) -> Any:
        return cls.used(data) if isinstance(data, Mapping) else data

    @model_validator(mode="after")
    def _rules(self) -> Self:
        self.keep_rules()
        return self

    @property
    def gamma(self) -> float:
        """γ as a number; a word has one once the problem is known."""
        if isinstance(self.step_size, str):
            raise InputError(Fault("method.step_size", f'"{self.step_size}"', "a number by now"))
        return self.step_size

    @property
    def unresolved(self) -> set[str]:
        """The settings that become numbers once the problem is known."""
        names = ("step_size", *getattr(type(self).method_class, "resolves", ()))
        found = {name for name in names if not isinstance(getattr(self, name), int | float)}
        return found | ({"step_size_rule"} if "step_size" in found else set())

    def groups(self, d: int) -> int:
        """N = d/g: the groups of g = `group_size` coordinates that a permutation deals out.

        Raises
        ------
        InputError
            If g does not divide d.
        """
        if d % self.group_size:
            expected = f"a divisor of d = {d}"
            raise InputError(Fault("method.group_size", str(self.group_size), expected))
        return d // self.group_size

    @property
    def multiplies_model(self) -> bool:
        """Whether a merge multiplies x by the random matrix (1/n) Σ C_i."""
        return False

    def __reduce__(self) -> Any:
        """A table's class is made of its method's and its sketch's, on every rank anew."""
        if type(self).method_class is None:
            return super().__reduce__()
        return _restored, (self.name, self.sketch, pickle.dumps(self.__dict__))


CODE = {"problem": {"kind": "code"}, "method": {"name": "code", "sketch": "sketch_code"}}
"""The settings that name code, by table, and where the digest of a file that they name is."""

OF_SOME = ("form", "q")
"""Settings that only some methods or sketches of this package have."""

ORDER = ("name", "sketch", "scaling", "form", "q", "group_size", "step_size", "local_steps")
"""Of the settings of [method] in a log: a run's identity is the hash of their text."""


class UnknownMethod(Method):
    """Where the method or the sketch is not known, for what can be said of the rest."""

    form: Any = None
    q: Count | None = None


def method_class(name: str, sketch: str) -> type[Method]:
    """The table [method] of a method with a sketch; raises InputError for an unknown name."""
    method = registry.load("methods", name)
    return _combined(method, registry.load("sketches", getattr(method, "sketch", None) or sketch))


def settings_of(kind: Any, base: type[Section], setting: str) -> type[Section]:
    """The settings that a method, a sketch or a problem declares.

    Raises
    ------
    InputError
        If they are no table, or change what all of its kind have.
    """
    own = kind.Settings
    where = f"{kind.__name__}.Settings"
    if not (isinstance(own, type) and issubclass(own, base)):
        got = f"{where} = {own!r}"
        expected = f"a class derived from ist_mpi.config.{base.__name__}"
        raise InputError(Fault(setting, got, expected))
    table = Method if base is Section else base
    changed = sorted(set(vars(own).get("__annotations__", ())) & set(table.model_fields))
    if changed and not own.__module__.startswith("ist_mpi."):
        expected = "settings of its own, none that all have"
        raise InputError(Fault(setting, f"{where} with another {', '.join(changed)}", expected))
    return own


@functools.cache
def _combined(method: Any, sketch: Any) -> type[Method]:
    own = [
        settings_of(kind, Section, registry.SETTING[room])
        for room, kind in (("methods", method), ("sketches", sketch))
    ]
    twice = sorted(set(own[0].model_fields) & set(own[1].model_fields)) if own[0] != own[1] else []
    if twice:
        got = f"{', '.join(twice)} of {method.__name__} and of {sketch.__name__}"
        raise InputError(Fault("method", got, "settings of different names"))
    bases: Any = tuple(base for base in dict.fromkeys(own) if base is not Section)
    make: Any = create_model
    made: type[Method] = make(
        "Method", __base__=(*bases, Method), __doc__=Method.__doc__, __module__=__name__
    )
    made.method_class, made.sketch_class = method, sketch
    return made


def method_table(values: Mapping[str, Any]) -> Method:
    """The table [method] of plain values, validated; see `method_class`."""
    kind = method_class(str(values.get("name")), str(values.get("sketch", "permutation")))
    return kind.model_validate(values)


def _restored(name: str, sketch: str, values: bytes) -> Method:
    return method_class(name, sketch).model_construct(**pickle.loads(values))


def _restored_problem(kind: str, values: bytes) -> Problem:
    table: type[Problem] = registry.load("problems", kind).Settings  # checked on rank 0
    return table.model_construct(**pickle.loads(values))


class Run(Section):
    """How long, from which seed, how the ranks exchange the model, and how much theory."""

    rounds: Count
    seed: Seed = 0
    tolerance: NotNegative = 0.0
    exchange: Annotated[
        Literal["server", "replicated", "serverless", "auto"],
        Field(description='"server", "replicated", "serverless" or "auto"'),
    ] = "server"
    theory: Annotated[bool | Literal["auto"], Field(description='true, false or "auto"')] = "auto"
    checkpoint_every: NotNegative = 60.0
    max_seconds: Positive | None = None
    watchdog_seconds: NotNegative = 600.0


class Log(Section):
    """What goes to the run log, and how often."""

    every: Count = 1
    iterates: Flag = False
    permutations: Flag = False
    problem: Flag = False


OPERATION = ("exchange", "checkpoint_every", "max_seconds", "watchdog_seconds")
"""Settings of `run` that say how it is made, not what comes out."""


class Config(Section):
    """A whole run."""

    problem: SerializeAsAny[Problem]
    method: SerializeAsAny[Method]
    run: Run
    log: Log = Log()

    def to_dict(self) -> dict[str, Any]:
        """The resolved configuration as plain tables, defaults included, no nulls."""
        tables = self.model_dump(exclude_none=True)
        method = tables["method"]
        first = {key: method[key] for key in ORDER if key in method}
        return {**tables, "method": {**first, **method}}

    def to_toml(self) -> str:
        """The resolved configuration as TOML; `load` reads it back, unless it had arrays."""
        return tomli_w.dumps(self.to_dict())

    def run_id(self) -> str:
        """16 hexadecimal digits that identify the resolved configuration.

        Settings that cannot change a result, bit for bit, do not count.
        """
        values = self.to_dict()
        for key in OPERATION:
            values["run"].pop(key, None)
        values["method"].pop("step_size_rule", None)  # where the number comes from
        for section, keys in CODE.items():
            for key, digest in keys.items():
                if digest in values[section]:  # what the code is, not where
                    values[section][key] = values[section][key].rpartition(":")[2]
        return hashlib.sha256(tomli_w.dumps(values).encode()).hexdigest()[:16]

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
        return self.model_copy(update={"problem": self.problem.without_arrays()})

    def cautions(self) -> list[str]:
        """What is allowed but seldom meant."""
        notes = []
        if self.method.multiplies_model:
            method = self.method
            which = f'sketch = "{method.sketch}", scaling = "{method.scaling}"'
            notes.append(
                f'form = "merge" with {which} multiplies the model by the random matrix '
                '(1/n) Σ C_i every round; form = "estimator" is the method of the theory'
            )
        return notes
