"""How inner loops are compiled, and loaded without the compiler where they have been."""

import functools
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numba
from llvmlite.binding import add_symbol  # type: ignore[import-untyped]
from numba.core import config
from numba.core.caching import FunctionCache
from numba.core.runtime import _nrt_python  # type: ignore[attr-defined]

Loop = TypeVar("Loop", bound=Callable[..., Any])

_IMPORTED = re.compile(rb"^from reduction\.kernels\.(\w+) import", re.MULTILINE)


@functools.cache
def digest_of(path: Path) -> str:
    """Return a digest of a kernel's file and of the kernels it imports, whose loops enter its own.

    Parameters
    ----------
    path : Path
        The file; what it imports lies beside it.

    Raises
    ------
    OSError
        If one cannot be read.
    """
    source = path.read_bytes()
    imported = [path.with_name(f"{name.decode()}.py") for name in _IMPORTED.findall(source)]
    parts = [source, *[digest_of(other).encode() for other in imported]]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


@functools.cache
def _name_memory() -> None:
    """Tell the linker of machine code where numba's memory of arrays is handled.

    Numba tells it when it gets ready to compile.
    """
    for name, address in _nrt_python.c_helpers.items():
        add_symbol(name if name.startswith("_") else f"NRT_{name}", address)


class LoadedAlone(FunctionCache):
    """Numba's cache of a function, which leaves the compiler where it is.

    Numba loads all that it could compile with, scipy's linear algebra among it, before it looks
    for what is compiled already: a third of a second and 80 MB that a process has no use for.
    Whoever compiles loads it then. What is compiled is good as long as the loops it was made of
    are the same; numba asks for the time of change of one file alone.

    Attributes
    ----------
    n_compiled : int
        Loops this process has compiled, for itself and for the next one.
    """

    n_compiled: ClassVar[int] = 0

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        self._cache_file._source_stamp = digest_of(Path(function.__code__.co_filename))

    def load_overload(self, sig: Any, target_context: Any) -> Any:  # noqa: ANN401 - numba's own
        """Return the machine code for a signature, None where there is none yet."""
        _name_memory()
        return self._load_overload(sig, target_context)  # type: ignore[no-untyped-call]

    def save_overload(self, sig: Any, data: Any) -> None:  # noqa: ANN401 - numba's own
        """Keep the machine code that was compiled for a signature."""
        super().save_overload(sig, data)  # type: ignore[no-untyped-call]
        LoadedAlone.n_compiled += 1


def holds_compiler() -> bool:
    """Tell whether this process has compiled loops: the compiler keeps hundreds of megabytes."""
    return LoadedAlone.n_compiled > 0


def njit(*, cache: bool = False, **options: Any) -> Callable[[Loop], Loop]:  # noqa: ANN401
    """Return numba's decorator; what it compiles is kept from run to run where `cache` says so."""

    def compiled(function: Loop) -> Loop:
        loop: Loop = numba.njit(**options)(function)
        if cache and not config.DISABLE_JIT:  # type: ignore[attr-defined]
            loop._cache = LoadedAlone(function)  # type: ignore[attr-defined]
        return loop

    return compiled
