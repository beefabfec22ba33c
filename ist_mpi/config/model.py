"""The tables of a configuration: typed, frozen, validated."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
import tomli_w
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ist_mpi.config.rules import broken_rules
from ist_mpi.errors import Fault, InputError
from ist_mpi.randomness import MAX_SEED

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
Precision = Annotated[Literal["float64", "float32"], Field(description='"float64" or "float32"')]
Text = Annotated[str, Field(min_length=1, description="a string that is not empty")]


def _finite(value: Any, expected: str) -> Any:
    """Refuse an integer that no float can hold, which pydantic would stumble over."""
    if isinstance(value, int) and abs(value) > 10**300:
        raise _wrong("", f"an integer of {value.bit_length()} bits", expected)
    return value


def _wrong(key: str, got: str, expected: str) -> ValueError:
    """What a validator raises for settings that do not go together; `_fault` reads it."""
    return ValueError(key, got, expected)


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
    precision: Precision = "float64"
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
    storage: Annotated[
        Literal["auto", "matrix", "samples"],
        Field(description='"auto", "matrix" or "samples"'),
    ] = "auto"
    precision: Precision = "float64"
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
    precision: Precision = "float64"
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
    group_size: Count = 1
    step_size: Annotated[
        Positive | Literal["theory"],
        BeforeValidator(lambda value: _finite(value, 'a finite number > 0, or "theory"')),
        Field(description='a finite number > 0, or "theory" for 1/θ'),
    ]
    local_steps: Count = 1

    @model_validator(mode="before")
    @classmethod
    def _drop_unused(cls, data: Any) -> Any:
        """Settings that the method does not use are ignored, whatever they are."""
        if not isinstance(data, Mapping):
            return data
        unused: set[str] = set()
        if data.get("name") == "gradient_descent":
            unused = {"sketch", "scaling", "form", "q", "group_size"}
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
    def gamma(self) -> float:
        """γ as a number; ``step_size = "theory"`` has one once the problem is known."""
        if isinstance(self.step_size, str):
            raise InputError(Fault("method.step_size", '"theory"', "a number by now"))
        return self.step_size

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
        """Whether a merge multiplies x by the random matrix (1/n) Σ C_i (SPEC §3)."""
        return (
            self.name == "ist"
            and self.form == "merge"
            and default_form(self.sketch, self.scaling) == "estimator"
        )


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

    problem: Problem
    method: Method
    run: Run
    log: Log = Log()

    def to_dict(self) -> dict[str, Any]:
        """The resolved configuration as plain tables, defaults included, no nulls."""
        return self.model_dump(exclude_none=True)

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
