"""The methods, one file each: how a round takes x^k to x^{k+1}.

ist                 Algorithm 1: independent subnetwork training
gradient_descent    the baseline that sends whole models
dcgd                compressed gradient descent, eq. (33): whole model down, sketched gradient up
shared_block        block coordinate descent: one block for all workers, with or without momentum
anchored            submodels of the way from an anchor
stale, marina_p     models that workers keep, brought up to date by blocks
diana, ef21         shifts that workers keep, whole models down
marina              differences of gradients, now and then whole ones
scaffnew            local steps that do not drift
method              what a method is, and what it works with on a rank
"""

from ist_mpi.methods.method import Floats, Method, Room, Tools, Vector

__all__ = ["Floats", "Method", "Room", "Tools", "Vector"]
