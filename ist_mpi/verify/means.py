"""How improbable the mean of N honest runs is: two treatments that must agree on an alarm.

*Student*: the deviation from the exact expectation over the sample's own standard error, against
Student's t with N − 1 degrees of freedom. It knows the expectation and needs nothing else, but the
gap is a skewed quadratic form, of which a sample without its rare large values has both too small a
mean and too small a standard error.

*Chernoff*: N log-means of exp(s X) over R simulated runs bound the probability that the mean of N
runs is as far out as it is, for any shape of the law: P(mean ≥ a) ≤ inf_s exp(N (K(s) − s a)), and
likewise below. It knows the skew; its K is that of R runs.

The larger of the two probabilities counts: an alarm needs both. Where a few rare runs carry the
expectation (interpolation after many rounds, step sizes near the stability limit) the second
treatment knows that N runs seldom see them; and a single outlier among the N silences the first.
Against a bound, which is no expectation, the simulated law is moved so that its mean is the bound.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ist_mpi.exact_theory.units import exponent

Float64 = NDArray[np.float64]

FEWEST = 20
"""Seeds that a group must have."""
ORDINARY = (-400, 400)
"""Exponents of two of numbers whose squares, and those of their deviations, are in range."""
TILTS = np.geomspace(0.02, 50.0, 48)
"""Values of s, in units of 1/deviation of X."""


def p_value(
    sample: Float64,
    expected: float,
    error: float,
    simulated: Float64,
    slack: float,
    upwards: bool = False,
) -> float:
    """Probability of a mean at least as far from its expectation, at most 1.

    Parameters
    ----------
    sample : ndarray, shape (N,)
        What N runs gave.
    expected : float
        The expectation; with `upwards`, a bound on it.
    error : float
        Standard error of `expected`; 0 where it is exact.
    simulated : ndarray, shape (R,)
    slack : float
        Deviation that rounding explains.
    upwards : bool
        Whether only a mean above `expected` counts (else twice the smaller side).
    """
    power = exponent(np.append(sample, expected), ORDINARY)
    if power:
        sample, simulated = np.ldexp(sample, -power), np.ldexp(simulated, -power)
        expected, error, slack = (float(np.ldexp(v, -power)) for v in (expected, error, slack))
    mean = float(sample.mean())
    if not (np.isfinite(mean) and np.isfinite(expected)):
        return 1.0
    deviation = mean - expected
    if abs(deviation) <= slack or (upwards and deviation < 0.0):
        return 1.0
    deviation -= np.sign(deviation) * slack
    sides = 1.0 if upwards else 2.0
    student = _student(sample, deviation, error)
    if sides * student > 0.01:
        return min(1.0, sides * student)  # no need to bound what is no alarm
    if upwards:  # honest runs around an expectation as large as the bound
        simulated = simulated + (expected - simulated.mean())
    return min(1.0, sides * max(student, chernoff(simulated, mean, deviation, len(sample), slack)))


def _student(sample: Float64, deviation: float, error: float) -> float:
    """P(T ≥ |t|) for t = deviation over its standard error."""
    N = len(sample)
    spread = np.hypot(sample.std(ddof=1) / np.sqrt(N), error)
    if spread <= 0.0:
        return 0.0
    return float(special.stdtr(N - 1, -abs(deviation) / spread))


def chernoff(simulated: Float64, mean: float, side: float, N: int, slack: float = 0.0) -> float:
    """Bound on P(mean of N ≥ mean), below for side < 0: inf_s exp(N (K(s) − s mean))."""
    finite = simulated[np.isfinite(simulated)]
    if len(finite) < len(simulated):
        return 1.0
    centre, spread = float(finite.mean()), float(finite.std())
    direction = 1.0 if side > 0.0 else -1.0
    off = direction * (mean - centre) - slack
    if off <= 0.0:
        return 1.0
    if spread <= slack:
        return 0.0
    s = TILTS / spread
    exponents = s[:, None] * (direction * (finite - centre))
    top = exponents.max(axis=1)
    K = top + np.log(np.mean(np.exp(exponents - top[:, None]), axis=1))
    return float(np.exp(N * min(0.0, float((K - s * off).min()))))
