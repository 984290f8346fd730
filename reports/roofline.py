"""What published peak numbers allow at most: estimates from counted operations, bytes and instructions. Nothing here was timed. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from reports.kernels import Cost, Kernel

# Of dense attention: products of one tile of rows × columns × width, each 2 · rows · columns · width operations: QKᵀ, PV; QKᵀ, dO Vᵀ, dS K;
# QKᵀ, dO Vᵀ, Pᵀ dO, dSᵀ Q.
PRODUCTS = {"forward": 2, "backward_queries": 3, "backward_keys": 4}
HALF, SINGLE = 2, 4  # bytes of a float16 or bfloat16, and of a float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Published peaks of one GPU: `flops` a second of float16 matrix products (dense, accumulated in float32), `bandwidth` of its memory in bytes a second."""

    name: str
    flops: float
    bandwidth: float
    source: str

    @property
    def ridge(self) -> float:
        """Operations a byte from which products, and not memory, limit."""
        return self.flops / self.bandwidth


DEVICES = {
    "sm_80": Device(
        name="A100 SXM 80 GB",
        flops=312e12,
        bandwidth=2.039e12,
        source="https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/a100/pdf/nvidia-a100-datasheet-us-nvidia-1758950-r4-web.pdf",
    ),
    "sm_90": Device(name="H100 SXM", flops=989.4e12, bandwidth=3.35e12, source="https://www.nvidia.com/en-us/data-center/h100/"),
    "sm_100": Device(name="B200", flops=2250e12, bandwidth=8e12, source="https://resources.nvidia.com/en-us-blackwell-architecture"),
    "gfx942": Device(name="MI300X", flops=1307.4e12, bandwidth=5.3e12, source="https://www.amd.com/en/products/accelerators/instinct/mi300/mi300x.html"),
}

# One multiprocessor of sm_90, a clock: 4 schedulers issue one instruction of a warp each, the special-function units give 16 results, and the tensor cores do
# 4096 operations, for 989.4e12 = 132 multiprocessors · 1.83e9 clocks a second · 4096.
SCHEDULERS, SPECIAL, TENSOR, LANES = 4, 16, 4096, 32
MULTIPROCESSORS, CLOCK = 132, 1.83e9
HOPPER = (
    "https://docs.nvidia.com/cuda/cuda-c-programming-guide/#arithmetic-instructions",
    "https://resources.nvidia.com/en-us-tensor-core/gtc22-whitepaper-hopper",
)


def intensity(n: int, width: int) -> float:
    """Operations a byte of one head of forward attention over n queries and n keys: 4 n² d, over Q, K, V and the output in half precision and the
    log-sum-exp in single, each moved once.

    >>> round(intensity(4096, 64), 1)
    2032.1
    """
    return 4 * n * n * width / (4 * HALF * n * width + SINGLE * n)


def length_at_ridge(device: Device, width: int) -> float:
    """The n at which `intensity` reaches the device's ridge.

    >>> device = DEVICES["sm_90"]
    >>> abs(intensity(round(length_at_ridge(device, 64)), 64) / device.ridge - 1) < 1e-2
    True
    """
    return device.ridge * (4 * HALF * width + SINGLE) / (4 * width)


def attainable(device: Device, n: int, width: int) -> float:
    """Operations a second that the roofline allows."""
    return min(device.flops, intensity(n, width) * device.bandwidth)


def asked(cost: Cost) -> float:
    """Operations of matrix products a byte that loads and stores ask for, as if no cache ever served a repeated one.

    >>> asked(Cost(products=600, functions=0, read=20, written=10, once=15))
    20.0
    """
    return cost.products / (cost.read + cost.written)


def moved_once(cost: Cost) -> float:
    """Operations a byte where caches serve every repeated load: each tensor is moved once, or less of it where less is asked for.

    >>> moved_once(Cost(products=600, functions=0, read=20, written=10, once=15)), moved_once(Cost(products=600, functions=0, read=8, written=2, once=15))
    (40.0, 60.0)
    """
    return cost.products / min(cost.once, cost.read + cost.written)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Seconds that one call takes at least, if each part alone ran at its published peak: of the tensor cores, of memory with every tensor moved once, of
    memory with every byte moved that is asked for, and on sm_90 of the special-function units."""

    products: float
    memory: float
    uncached: float
    special: float | None

    @property
    def least(self) -> float:
        return max(self._parts(self.memory).values())

    @property
    def binds(self) -> str:
        """The part that takes longest; two, where it hangs on what the caches serve."""
        with_caches, without = (max(parts, key=lambda name: parts[name]) for parts in (self._parts(self.memory), self._parts(self.uncached)))
        return with_caches if with_caches == without else f"{with_caches}, or {without} without caches"

    def _parts(self, memory: float) -> dict[str, float]:
        return {"memory": memory, "products": self.products, "special functions": self.special or 0.0}


def bounds(target: str, cost: Cost) -> Bounds:
    """The bounds of one call: operations over the peak of the tensor cores, bytes over the bandwidth, values over what the special-function units give.

    >>> cost = Cost(products=4 * 2**30, functions=2**20, read=2**22, written=2**20, once=2**21)
    >>> of_hopper = bounds("sm_90", cost)
    >>> [f"{1e6 * x:.3f}" for x in (of_hopper.products, of_hopper.memory, of_hopper.uncached, of_hopper.special or 0, of_hopper.least)]
    ['4.341', '0.626', '1.565', '0.271', '4.341']
    >>> of_hopper.binds, bounds("sm_80", cost).special
    ('products', None)
    >>> bounds("gfx942", Cost(products=0, functions=0, read=2**20, written=0, once=2**30)).binds
    'memory'
    """
    device = DEVICES[target]
    moved = cost.read + cost.written
    return Bounds(
        products=cost.products / device.flops,
        memory=min(cost.once, moved) / device.bandwidth,
        uncached=moved / device.bandwidth,
        special=cost.functions / (SPECIAL * MULTIPROCESSORS * CLOCK) if target == "sm_90" else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """What one tile takes of a multiprocessor at least, in clocks: of the tensor cores, the special-function units and the schedulers. `useful`: the
    clocks of the tensor cores without the padding of a width that is no power of two."""

    useful: float
    tensor: float
    special: float
    issue: float

    @property
    def most(self) -> float:
        return max(self.tensor, self.special, self.issue)

    @property
    def share(self) -> float:
        """The part of the tensor cores' peak that is left if all three overlap perfectly and nothing ever waits."""
        return self.useful / self.most


def clocks(kernel: Kernel) -> Clocks | None:
    """The limits of dense attention's loop without a mask, on sm_90; None where its unrolling is not known."""
    rows, columns, width = (kernel.constants[name] for name in ("ROWS", "COLUMNS", "WIDTH"))
    loop = kernel.loops[0]
    if loop.unroll is None or loop.a_tile is None:
        return None
    padded = max(16, 1 << (width - 1).bit_length())
    operations = 2 * PRODUCTS[kernel.kernel] * rows * columns
    return Clocks(
        useful=operations * width / TENSOR,
        tensor=operations * padded / TENSOR,
        special=loop.counts.get("special function", 0) / loop.unroll * kernel.warps * LANES / SPECIAL,
        issue=loop.a_tile * kernel.warps / SCHEDULERS,
    )
