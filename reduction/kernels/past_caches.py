"""Stores that go past the caches, for what the core that makes it does not read again soon."""

from typing import Any

import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic

from reduction.kernels.compiled import njit

Values = npt.NDArray[Any]  # one-dimensional and contiguous
Numbas = Any  # what numba hands to who builds code: its types, values and builders

LINE = 64  # bytes of a line of the caches, which goes to memory as a whole


def _build_lines(context: Numbas, builder: Numbas, signature: Numbas, args: Numbas) -> Numbas:
    """Build the loop of `put_lines`, vectors as wide as a line with the hint that they go past."""
    to, _, values, _ = signature.args
    line = ir.VectorType(ir.IntType(32), LINE // 4).as_pointer()
    target = context.make_array(to)(context, builder, args[0]).data
    target = builder.bitcast(builder.gep(target, [args[1]]), line)
    source = builder.bitcast(context.make_array(values)(context, builder, args[2]).data, line)
    hint = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
    with cgutils.for_range(builder, args[3]) as loop:
        value = builder.load(builder.gep(source, [loop.index]))
        value.align = values.dtype.bitwidth // 8
        stored = builder.store(value, builder.gep(target, [loop.index]))
        stored.align = LINE
        stored.set_metadata("nontemporal", hint)
    return context.get_dummy_value()


def _build_fence(context: Numbas, builder: Numbas, _signature: Numbas, _args: Numbas) -> Numbas:
    builder.fence("seq_cst")
    return context.get_dummy_value()


@intrinsic
def _put(_typing: Numbas, to: Numbas, _at: Numbas, values: Numbas, _n: Numbas) -> Numbas:
    if not to.layout == values.layout == "C":
        return None  # numba says then that there is no such function
    return types.void(to, types.intp, values, types.intp), _build_lines


@intrinsic
def _fence(_typing: Numbas) -> Numbas:
    return types.void(), _build_fence


def _put_plainly(to: Values, at: int, values: Values, n: int) -> None:
    count = n * LINE // values.itemsize
    to[at : at + count] = values[:count]


# Uncompiled, as for a debugger, lines go the usual way. An intrinsic's own types are numba's.
PUT: Any = _put_plainly if config.DISABLE_JIT else _put  # type: ignore[attr-defined]
FENCE: Any = (lambda: None) if config.DISABLE_JIT else _fence  # type: ignore[attr-defined]


@njit(nogil=True)
def put_lines(to: Values, at: int, values: Values, n: int) -> None:
    """Copy `n` lines of values to an array, from its element `at` on, which begins a line.

    A store fetches its line first, unless it is to go past the caches; and where another core read
    the array since (a disk's, say), fetching takes longer than writing. `settle` ends such stores.
    """
    PUT(to, at, values, n)


@njit(nogil=True)
def settle() -> None:
    """Wait until what went past the caches is where everybody sees it."""
    FENCE()


@njit(nogil=True)
def to_next_line(values: Values) -> int:
    """Return how many elements of an array lie before the first line it has a whole of.

    All of them, where lines do not begin with an element.
    """
    left = -values.ctypes.data % LINE
    return values.size if left % values.itemsize else min(values.size, left // values.itemsize)
