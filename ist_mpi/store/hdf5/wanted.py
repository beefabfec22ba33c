"""What a reader asks of a file; everything else in the file is never touched."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Array(NamedTuple):
    """A dataset of numbers."""

    ndim: int
    kinds: str = "f"
    """``f``: floating point, ``i``: signed, ``u``: unsigned integers; several: any of them."""
    required: bool = True
    vector: bool = False
    """Whether, of one dimension, it may be stored as a row or a column of two, as MATLAB does."""


@dataclass(frozen=True)
class Wanted:
    """Names and types, by path from the root: ``"rounds/gap"``, ``""`` for the root itself.

    The name ``*`` stands for everything in a group that is not named: all of it must be so.
    """

    arrays: Mapping[str, Array] = field(default_factory=dict)
    attributes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By group: names of attributes, each a ``text`` (str), an ``integer`` (int), a ``number``
    (float or int) or a ``number or text``; what is not there is left out of what is read."""
