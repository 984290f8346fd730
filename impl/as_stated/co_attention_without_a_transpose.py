"""Co-attention with the affinity on the sides that the text puts it on, which are the wrong ones: it has no meaning where the two sides differ in number.

With features in columns, V_v is d × N and V_t is d × M, and C = tanh(Q_vᵀ W_b Q_t) is N × M. "H_v = tanh(W_v V_v + (W_t V_t) C)" multiplies k × M by N × M, and
"H_t = tanh(W_t V_t + (W_v V_v) Cᵀ)" k × N by M × N: neither exists unless N = M, and then region n gets from token m what belongs to the pair (m, n). Lu et al.
2016 have a C of shape M × N, text first, for which formulas of the same looks are right. To form the text's C with text first, and to exchange C and Cᵀ
behind it, are the same mending.
"""

from __future__ import annotations

from torch import Tensor


def hidden(vision: Tensor, text: Tensor, affinity_weight: Tensor, vision_weight: Tensor, text_weight: Tensor) -> tuple[Tensor, Tensor]:
    """H_v and H_t by the letter of the text, features first: vision [D, N], text [D, M], affinity_weight [D, D], vision_weight and text_weight [A, D].

    Raises RuntimeError, as torch does for any product of shapes that do not fit, unless N = M.
    """
    affinity = (vision.mT @ affinity_weight @ text).tanh()  # C [N, M]
    of_v, of_t = vision_weight @ vision, text_weight @ text  # [A, N], [A, M]
    return (of_v + of_t @ affinity).tanh(), (of_t + of_v @ affinity.mT).tanh()
