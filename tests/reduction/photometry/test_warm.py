"""Kernels are compiled before they are needed."""

from typing import Any

from reduction.kernels import circles
from reduction.photometry.warm import warm


def test_warming_compiles_the_last_kernel_of_the_chain() -> None:
    last: Any = circles.kron

    warm()

    assert last.signatures
