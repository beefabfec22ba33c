"""The types of settings, and the rules of every table."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema as OfPython

from ist_mpi.randomness import MAX_SEED

__all__ = [
    "BeforeValidator",
    "Count",
    "Field",
    "Flag",
    "NotNegative",
    "OfPython",
    "Positive",
    "Precision",
    "Probability",
    "Rule",
    "Section",
    "Seed",
    "Text",
    "ValidationInfo",
    "field_validator",
    "finite",
    "model_validator",
    "more_than_one",
    "wrong",
]

Rule = tuple[str, str, str]
"""A broken rule between settings: the key, what was got, what is expected."""


def finite(value: Any, expected: str) -> Any:
    """Refuse an integer that no float can hold, which pydantic would stumble over."""
    if isinstance(value, int) and abs(value) > 10**300:
        raise wrong("", f"an integer of {value.bit_length()} bits", expected)
    return value


def wrong(key: str, got: str, expected: str) -> ValueError:
    """What a validator raises for settings that do not go together; `config.faults` reads it."""
    return ValueError(key, got, expected)


def more_than_one(value: Any) -> bool:
    """Whether a setting is an integer above 1; what it is otherwise, its type says.

    One beyond the largest allowed may have more digits than Python writes.
    """
    return isinstance(value, int) and 1 < value < 2**31


Count = Annotated[int, Field(ge=1, le=2**31 - 2, description="an integer from 1 to 2147483646")]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED, description=f"an integer from 0 to {MAX_SEED}")]
Probability = Annotated[
    float, Field(gt=0, le=1, allow_inf_nan=False, description="a number above 0, at most 1")
]
Flag = Annotated[bool, Field(description="true or false")]
NotNegative = Annotated[
    float,
    BeforeValidator(lambda value: finite(value, "a finite number ≥ 0")),
    Field(ge=0, allow_inf_nan=False, description="a finite number ≥ 0"),
]
Positive = Annotated[
    float,
    BeforeValidator(lambda value: finite(value, "a finite number > 0")),
    Field(gt=0, allow_inf_nan=False, description="a finite number > 0"),
]
Precision = Annotated[Literal["float64", "float32"], Field(description='"float64" or "float32"')]
Text = Annotated[str, Field(min_length=1, description="a string that is not empty")]


class Section(BaseModel):
    """Common rules of every table: no unknown keys, no silent conversions, no changes."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True
    )

    @classmethod
    def broken_rules(cls, values: Mapping[str, Any]) -> Iterator[Rule]:
        """The rules between settings that a table's values break, right or wrong as types."""
        yield from ()

    def keep_rules(self) -> None:
        """Raise for the first rule that is broken: the check of tables that are made directly."""
        for rule in type(self).broken_rules(dict(self)):
            raise wrong(*rule)
