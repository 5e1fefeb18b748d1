"""Kernels are compiled before they are needed."""

from typing import Any

from reduction.astrometry.warm import warm
from reduction.kernels import quadsearch


def test_warming_compiles_the_search_in_quads_of_memory_and_of_a_file() -> None:
    search: Any = quadsearch.try_newest

    warm()

    assert len(search.signatures) == 2
