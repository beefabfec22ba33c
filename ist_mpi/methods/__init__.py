"""The methods, one file each: how a round takes x^k to x^{k+1}.

ist                 Algorithm 1: independent subnetwork training
gradient_descent    the baseline that sends whole models
dcgd                compressed gradient descent, eq. (33): whole model down, sketched gradient up
method              what a method is, and what it works with on a rank
"""

from ist_mpi.methods.method import Floats, Method, Tools, Vector

__all__ = ["Floats", "Method", "Tools", "Vector"]
