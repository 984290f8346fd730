"""Every derivation, step by step (the plugin runs it and keeps the evidence)."""

import pytest

from theorems import CLAIMS


@pytest.mark.parametrize("derivation_of", [claim.id for claim in CLAIMS.values() if claim.derive])
def test_derivation(derivation_of: str) -> None:
    """Run by the plugin: each step is decided symbolically and evaluated in balls."""
