"""Compiled functions on plain arrays: the only place that knows numba.

philox      the counter-based random stream of the sketches
draws       one round's blocks from that stream
quadratic   gradients of submodels and of whole models
model       scattering and merging of the model, fixed-order sums
"""

REDUCTION = {"reassoc", "contract", "nsz"}
"""Floating-point freedom for dot products: their order may be chosen once, when compiled, so that
they vectorise; infinities and NaN keep their meaning. Every such sum runs over one worker's block
or one row, never over a rank's share, so its order does not depend on the number of ranks."""
