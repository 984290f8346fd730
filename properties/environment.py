"""What can change a measured number: versions and the processor's vector units. Evidence is filed under it."""

from __future__ import annotations

import platform
from importlib.metadata import version

import torch

PACKAGES = ("hypothesis", "numpy", "python-flint", "sympy", "torch")


def describe() -> dict[str, str]:
    """Versions and machine facts by name."""
    versions = {name: version(name) for name in PACKAGES}
    if torch.cuda.is_available():
        versions |= {"gpu": torch.cuda.get_device_name(), "triton": version("triton")}
    return versions | {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "system": platform.system().lower(),
        "machine": platform.machine().lower(),
        "vectors": torch.backends.cpu.get_cpu_capability().lower(),
    }


def slug(facts: dict[str, str]) -> str:
    """A file name for an environment."""
    gpu = ["".join(c if c.isalnum() else "-" for c in facts["gpu"].lower())] if "gpu" in facts else []
    return "-".join((facts["system"], facts["machine"], facts["vectors"], *gpu, f"torch{facts['torch'].partition('+')[0]}", f"py{facts['python']}"))
