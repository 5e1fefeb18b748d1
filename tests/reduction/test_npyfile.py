"""Arrays of files read where they lie, by several threads too."""

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from reduction import npyfile


def test_threads_map_arrays_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(12).reshape(3, 4))
    before = gc.get_threshold()
    gc.set_threshold(1)  # gives other threads a turn in the middle of a header
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: npyfile.mapped(path)[2, 3], range(2000)))
    finally:
        gc.set_threshold(*before)

    assert found == [11] * 2000


def test_map_is_read_only_and_holds_no_objects(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(3))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))

    assert not npyfile.mapped(tmp_path / "a.npy").flags.writeable
    with pytest.raises(ValueError, match="Python objects"):
        npyfile.mapped(tmp_path / "objects.npy")
