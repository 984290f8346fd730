"""What can change a measured number: versions and the processor's vector units. Evidence is filed under it."""

from __future__ import annotations

import platform
from importlib.metadata import version

import torch

PACKAGES = ("hypothesis", "numpy", "python-flint", "sympy", "torch")


def describe() -> dict[str, str]:
    """Versions and machine facts by name."""
    versions = {name: version(name) for name in PACKAGES}
    return versions | {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "system": platform.system().lower(),
        "machine": platform.machine().lower(),
        "vectors": torch.backends.cpu.get_cpu_capability().lower(),
    }


def slug(facts: dict[str, str]) -> str:
    """A file name for an environment."""
    return "-".join((facts["system"], facts["machine"], facts["vectors"], f"torch{facts['torch'].partition('+')[0]}", f"py{facts['python']}"))
