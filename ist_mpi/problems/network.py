"""A network with one or two hidden layers, on a data set split over the workers.

f_i is the mean loss on worker i's samples. Workers train the networks of some of the hidden
neurons: inputs and outputs are whole, and a weight goes with the neurons that it joins. So sketches
deal out neurons, and the biases of the outputs, which all have, are averaged.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ist_mpi.config import Method, Rule
from ist_mpi.config.types import Count, Field, Flag, Positive, Seed, model_validator
from ist_mpi.problems import digest
from ist_mpi.problems.data.dealing import DealtSamples
from ist_mpi.problems.data.held_out import HeldOutSettings, left_of_both, read_parted
from ist_mpi.problems.data.labels import named, numbered, whole
from ist_mpi.problems.data.split import dealt
from ist_mpi.problems.functions import Columns
from ist_mpi.problems.local_network import LocalNetwork, Objective, Samples, measured
from ist_mpi.problems.neurons import Neurons, size_of
from ist_mpi.problems.source import Stored
from ist_mpi.randomness import Purpose, data_stream

Float64 = NDArray[np.float64]

METHODS = ("ist", "shared_block", "gradient_descent")
SKETCHES = ("permutation", "identity")


class NetworkSettings(HeldOutSettings):
    """A network on a data set split over n workers."""

    kind: Literal["network"]
    hidden: Annotated[
        list[Count],
        Field(min_length=1, max_length=2, description="the neurons of 1 or 2 hidden layers"),
    ] = [64]  # noqa: RUF012 - pydantic copies it
    loss: Annotated[Literal["softmax", "squares"], Field(description='"softmax" or "squares"')] = (
        "softmax"
    )
    batch: Annotated[int, Field(ge=0, description="samples of a local step, or 0: all")] = 32
    logit_scale: Positive = 1.0
    """s: what hidden layers give to the outputs is multiplied by it in training."""
    evaluation_scale: Positive = 1.0
    """s_ev: the same, where the whole model is measured."""
    split: Annotated[
        Literal["contiguous", "shuffled"], Field(description='"contiguous" or "shuffled"')
    ] = "contiguous"
    standardize: Flag = True
    start_seed: Seed | None = None
    """Of x⁰; default: `seed`, which is of the split and of what is held out."""

    @model_validator(mode="before")
    @classmethod
    def _default_data(cls, data: Any) -> Any:
        return _with_data(data) if isinstance(data, Mapping) else data

    @classmethod
    def broken_rules(cls, values: Mapping[str, Any]) -> Iterator[Rule]:
        """See `Section.broken_rules`."""
        yield from super().broken_rules(_with_data(values))

    @classmethod
    def method_defaults(cls, method: type[Method]) -> Mapping[str, Any]:
        """Submodels are as they are: C_i = P_i."""
        unscaled = "unscaled" in method.sketch_class.scalings and method.method_class.rescales
        return {"scaling": "unscaled", "form": "estimator"} if unscaled else {}

    def misfits(self, method: Method) -> Iterator[Rule]:
        """See `Problem.misfits`."""
        said = 'with kind = "network"'
        if method.name not in METHODS:
            yield "name", f'"{method.name}" {said}', _either(METHODS)
        if method.sketch not in SKETCHES:
            yield "sketch", f'"{method.sketch}" {said}', _either(SKETCHES)
            return
        if not isinstance(method.step_size, int | float):
            yield "step_size", f'"{method.step_size}" {said}', "a number"
        if method.group_size != 1:
            yield "group_size", f"{method.group_size} {said}", "1: neurons are dealt out one by one"
        wanted = self.method_defaults(type(method))
        if wanted and method.scaling != wanted["scaling"]:
            expected = '"unscaled": logit_scale and evaluation_scale are the scales of a network'
            yield "scaling", f'"{method.scaling}" {said}', expected
        if wanted and len(self.hidden) > 1 and getattr(method, "form", None) == "merge":
            got = f'"merge" {said} and {len(self.hidden)} hidden layers'
            yield "form", got, '"estimator": weights between neurons of different owners stay'


def _either(names: tuple[str, ...]) -> str:
    return " or ".join(f'"{name}"' for name in names)


def _with_data(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """With the data set that is taken where none is named."""
    named = any(values.get(key) is not None for key in ("path", "dataset", "X", "y", "digest"))
    return values if named else {**values, "dataset": "digits"}


class NetworkShare(NamedTuple):
    """One worker's samples, and what all workers have in common."""

    samples: Samples
    neurons: Neurons

    def digest(self) -> str:
        """Of the samples."""
        return digest.of_arrays(self.samples)


class Tested(NamedTuple):
    """Samples that no worker has, on rank 0."""

    samples: Samples
    neurons: Neurons
    objective: Objective
    columns: Columns = {  # noqa: RUF012 - a default of a named tuple, which nobody changes
        "test_loss": ("1", "loss on held-out samples, at the scale of evaluation"),
        "test_accuracy": ("1", "share of held-out samples whose class is told right"),
    }

    @property
    def digest(self) -> str:
        """Of these samples."""
        return digest.of_arrays(self.samples)

    def values(self, x: Float64) -> tuple[float, float]:
        """Loss and accuracy at the scale of evaluation."""
        return measured(self.neurons, self.objective, x, self.samples)[1:]


@dataclass(frozen=True)
class NetworkSource:
    """The whole data set, in memory on rank 0."""

    Settings = NetworkSettings
    dealt: ClassVar[bool] = True
    theory: ClassVar[str] = ""
    replay: ClassVar[str] = "ist_mpi.verify.network:instance_of"
    homogeneous: ClassVar[bool] = False
    x_star: ClassVar[None] = None

    settings: NetworkSettings
    data: DealtSamples
    """With numbers of classes as labels."""
    neurons: Neurons
    test: Samples | None
    notes: tuple[str, ...]

    @staticmethod
    def open(settings: NetworkSettings) -> "NetworkSource":
        """See `load`."""
        return load(settings)

    @property
    def units(self) -> Neurons:
        """See `functions.FunctionSource`."""
        return self.neurons

    @property
    def n(self) -> int:
        """Number of workers."""
        return self.data.n

    @property
    def d(self) -> int:
        """Weights and biases."""
        return size_of(self.neurons.widths)

    @property
    def stored(self) -> Stored:
        """As dense samples."""
        m, features = int(np.diff(self.data.edges).max()), self.data.d
        total = self.data.y.size * features
        return Stored("functions", samples=m, entries=m * features, total=total)

    @property
    def data_bytes(self) -> int:
        """Of the samples, and of one worker's copy of them."""
        return self.data.data_bytes

    def share(self, worker: int) -> NetworkShare:
        """A copy of one worker's samples."""
        return NetworkShare(_dense(*self.data.samples(worker)), self.neurons)

    @staticmethod
    def local(
        settings: NetworkSettings, shares: list[NetworkShare], first: int, d: int
    ) -> LocalNetwork:
        """See `functions.FunctionSource`."""
        digests = tuple(share.digest() for share in shares)
        neurons = shares[0].neurons if shares else Neurons((d - 1, 1))
        samples = [share.samples for share in shares]
        return LocalNetwork(neurons, _objective(settings), samples, digests, first)

    def held_out(self) -> Tested | None:
        """The samples to test on."""
        if self.test is None:
            return None
        return Tested(self.test, self.neurons, _objective(self.settings))

    def start(self) -> Float64:
        """Weights from N(0, 2/in), biases 0."""
        seed = self.settings.start_seed
        rng = data_stream(self.settings.seed if seed is None else seed, Purpose.START)
        x = np.zeros(self.d)
        for weights, into in zip(self.neurons.weights, self.neurons.widths, strict=False):
            drawn = rng.standard_normal(len(weights))
            x[weights.start : weights.stop] = np.sqrt(2.0 / into) * drawn
        return x


def _objective(settings: NetworkSettings) -> Objective:
    return Objective(settings.loss, settings.logit_scale, settings.evaluation_scale, settings.batch)


def _dense(A: Any, y: NDArray[Any]) -> Samples:
    """Samples as layers take them, in arrays of their own."""
    X = np.array(A.toarray() if sparse.issparse(A) else A, dtype=np.float64, order="C")
    return Samples(X, np.asarray(y, dtype=np.int64))


def load(problem: NetworkSettings) -> NetworkSource:
    """Read the data, number the classes, and decide who gets which samples.

    Raises
    ------
    InputError
        If the data cannot be read, are too few for n workers, or their labels are all of one class
        or no classes.
    """
    (A, labels, worker, name, *_), test, found = read_parted(problem, rescaled=problem.standardize)
    whole(found, name)
    y = numbered(labels, found, name).astype(np.float64)
    if problem.test_share is not None:
        left_of_both(y, name)
    data = DealtSamples(
        A, y, *dealt(y, worker, problem.n, problem.split, problem.seed, name), problem.standardize
    )
    neurons = Neurons((data.d, *problem.hidden, found.size))
    held = None
    if test is not None:
        held = _dense(data.scaled(test.A), numbered(test.y, found, test.name))
    notes = (named(found),) if named(found) else ()
    return NetworkSource(problem.without_arrays(), data, neurons, held, notes)
