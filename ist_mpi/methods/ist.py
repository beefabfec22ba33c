"""Independent subnetwork training: Algorithm 1, in merge and in estimator form."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from ist_mpi.config import Method as MethodTable
from ist_mpi.config import Rule
from ist_mpi.config.types import Field, Section, model_validator
from ist_mpi.exact_theory.step import Step
from ist_mpi.methods.method import Float64, Floats, Method, Tools


class IstSettings(Section):
    """What the method adds to [method]."""

    form: (
        Annotated[Literal["merge", "estimator"], Field(description='"merge" or "estimator"')] | None
    ) = None
    """Default: `merge` where the pieces add up to the whole, else `estimator`."""

    @classmethod
    def broken_rules(cls, values: Mapping[str, Any]) -> Iterator[Rule]:
        """See `Section.broken_rules`."""
        yield from super().broken_rules(values)
        sketch, scaling = values.get("sketch", "permutation"), values.get("scaling", "unbiased")
        theory = values.get("step_size") == "theory" and values.get("form") == "merge"
        if theory and (sketch == "rand" or scaling == "preconditioned"):
            got = f'"theory" with form = "merge", sketch = "{sketch}", scaling = "{scaling}"'
            yield "step_size", got, "a number: Theorem 1 is about the estimator form here"

    @model_validator(mode="after")
    def _default_form(self) -> Self:
        if self.form is None:
            object.__setattr__(self, "form", "merge" if self._whole else "estimator")
        return self

    @property
    def _whole(self) -> bool:
        """Whether the pieces of a round add up to the whole model."""
        sketch: Any = getattr(type(self), "sketch_class", None)
        return sketch is None or bool(sketch.sums_to_identity(self))

    @property
    def multiplies_model(self) -> bool:
        """Whether a merge multiplies x by the random matrix (1/n) Σ C_i."""
        return self.form == "merge" and not self._whole


class IndependentSubnetworkTraining(Method):
    """x⁺ = Σ A_i w_i (merge), or x + Σ A_i (w_i − C_i x) (estimator); mostly A_i = I/n, eq. (6).

    w_i starts at C_i x and takes `local_steps` steps w_i ← w_i − γ C_i ∇f_i(w_i).
    """

    Settings = IstSettings
    replay = "ist_mpi.verify.processes:WithoutState"
    rescales = steps = submodels = True

    def __init__(self, settings: MethodTable, tools: Tools, x0: Float64) -> None:
        super().__init__(settings, tools, x0)
        merging, disjoint = getattr(settings, "form", None) == "merge", tools.sketch.disjoint
        self._steps = tools.problem.steps(
            tools.sketch, tools.most, self.gamma, settings.local_steps, merging, disjoint
        )
        exchange = tools.exchange
        self._merge = exchange.total if merging else exchange.add
        if disjoint:
            self._merge = exchange.place

    def round(self, k: int) -> None:
        """One round of Algorithm 1."""
        problem, exchange = self.tools.problem, self.tools.exchange

        S = exchange.broadcast(k)  # the round's random permutation, C_i and A_i with it
        x = exchange.scatter(self.x)  # x on S_i, to worker i
        w = problem.submodels(S, x, self._steps)  # w_i = C_i x; w_i ← w_i − γ C_i ∇f_i(w_i)
        self._merge(self.x, w)  # x⁺ = Σ A_i w_i

    def rounds(self, first: int, last: int) -> None:
        """The same rounds; on one rank, where all is compiled, without the interpreter between."""
        tools, usual = self.tools, type(self).round is IndependentSubnetworkTraining.round
        if (
            usual
            and tools.exchange.alone
            and tools.exchange.drawing.compiled
            and tools.problem.compiled
        ):
            tools.problem.train(self.x, first, last, tools.exchange.drawing, self._steps)
        else:
            super().rounds(first, last)

    @staticmethod
    def step(settings: MethodTable) -> Step:
        """See `Method.step`."""
        return Step(multiplies_model=settings.multiplies_model, local_steps=settings.local_steps)

    @staticmethod
    def floats(k: int, sketch: Any, settings: MethodTable) -> Floats:
        """A block each way."""
        block = sketch.total / sketch.n
        return Floats(up=k * block, down=k * block)
