"""Arrays kept as ``.npy`` files, read where they lie."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# Python 3.11 may raise SystemError where two threads make syntax trees at once, and numpy reads a
# file's header as one (python/cpython issue 106905).
_ONE_HEADER_AT_A_TIME = threading.Lock()


def mapped(path: Path) -> npt.NDArray[Any]:
    """Return the array of a file as a read-only map of it.

    Raises
    ------
    ValueError, EOFError
        If the file is damaged; one that holds Python objects is taken for such.
    OSError
        If it cannot be read.
    """
    with _ONE_HEADER_AT_A_TIME:
        values: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return values
