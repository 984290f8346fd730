"""Softmax over segments in Triton, forward and backward: what graph and hierarchical attention share. No variant of its own.

`fused` has the call and how edges are made into segments, `launch` the operators, `kernel` the kernels.
"""
