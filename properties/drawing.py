"""One seed draws the same examples whatever else is imported: Hypothesis mixes constants that it reads off the project's loaded modules into what it draws,
so that a law would meet other examples in a test run than alone, and evidence would depend on the order of imports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock  # mock.patch.object puts the old attribute back, whatever happens

from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants  # private, and pinned with Hypothesis: without it a seed is no longer a promise


@contextmanager
def from_the_seed_alone() -> Iterator[None]:
    """Within, what is drawn depends on the strategy and the seed."""
    providers.CONSTANTS_CACHE.cache.clear()
    with mock.patch.object(providers, "_get_local_constants", Constants):
        try:
            yield
        finally:
            providers.CONSTANTS_CACHE.cache.clear()
