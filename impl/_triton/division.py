"""A quotient that is rounded correctly, for kernels whose bounds need one."""

import triton
import triton.language as tl


@triton.jit
def divided(x, y):
    """x / y, rounded correctly: compiled for NVIDIA, a plain quotient of float32 is off by up to two units in the last place."""
    if x.dtype == tl.float64:
        return x / y
    else:
        return tl.div_rn(x, y)
