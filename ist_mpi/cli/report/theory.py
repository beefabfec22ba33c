"""The constants of theory, for people."""

from rich.text import Text

from ist_mpi.cli.report.text import console, facts_table, number
from ist_mpi.exact_theory.verdict import rounds_to, step_sizes, verdict
from ist_mpi.training.foresight import Foresight

SYMBOLS = {
    "theta": "θ (14)",
    "step_size_limit": "1/θ, largest step size of Theorem 1",
    "w_min_eigenvalue": "λ_min(W̄) (14)",
    "contraction": "contraction factor (16)",
    "spectral_radius": "spectral radius of I − γM",
    "stable_step_size_limit": "γ_max, second moment stable below",
    "fixed_point_relative_gap": "relative gap of x∞ = M⁻¹m",
    "limit_relative_gap": "relative gap in the limit, lim E f",
    "limit_gap": "gap in the limit, lim E f − f*",
    "bias_norm_squared": "bias ‖x* − x∞‖² in L̄ (27)",
    "sigma_squared": "σ² (30)",
    "gap_at_zero": "f(0) − f*",
    "fixed_point_gap_over_zero": "gap of x∞, over that of x = 0",
    "limit_gap_over_zero": "gap in the limit, over that of x = 0",
    "cycle_rounds": "rounds of a cycle",
    "cycle_contraction": "contraction of second moments over a cycle",
    "rate": "factor of E f − f* a round, in the long run",
    "mean_step_size_limit": "2/λ_max(M), mean stable below",
    "solution_residual": "‖∇f(x*)‖ over that at x = 0",
    "fixed_point_error": "error of x∞, relative, about",
    "fixed_point_rule": "x∞ by",
    "l0": "l0 = λ_max(L̄), L_i above all Hessians of f_i",
    "l1": "l1 = λ_max(ρL̄ + (1 − ρ)D̄)",
    "mu": "μ, below all Hessians",
    "rms": "√λ_max(mean L_i²)",
    "expected_smoothness": "𝓛, above all Σ A_i C_i ∇²f_i C_i",
}


def show_foresight(foresight: Foresight) -> None:
    """The constants with their equations, what to expect, and what to try."""
    constants = foresight.constants
    table = facts_table()
    table.row("γ, the step size", number(foresight.method.gamma))
    if foresight.method.step_size_rule is not None:
        table.row("its rule", foresight.method.step_size_rule)
    numbers = {**constants.values(), "mean_step_size_limit": foresight.mean_step_size_limit}
    for name, value in numbers.items():
        if value is not None and name not in constants.undefined:
            estimate = " (an estimate)" if name in constants.estimated else ""
            table.row(SYMBOLS[name], number(value) + estimate)
    for name, text in constants.words.items():
        table.row(SYMBOLS[name], text)
    reasons = {**constants.not_computed, **constants.undefined}
    for why in dict.fromkeys(reasons.values()):
        label = "not computed" if why in constants.not_computed.values() else "undefined"
        names = [name for name, reason in reasons.items() if reason == why]
        table.row(label, f"{', '.join(names)}: {why}")
    needed = rounds_to(foresight.tolerance, constants)
    if needed is not None:
        table.row(f"rounds for {foresight.tolerance:g} of E x's distance²", f"{needed:.0f}")
    floats = f"{foresight.floats_up:g} up, {foresight.floats_down:g} down"
    table.row("floats per round per worker", floats)
    for why, step in step_sizes(constants).items():
        table.row("worth trying", f"γ = {step:.4g} ({why})")
    screen = console()
    screen.print(table)
    words = verdict(foresight.known, foresight.method.gamma, constants, foresight.reached)
    screen.print(Text(words))
