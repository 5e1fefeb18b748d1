"""Arrays of files read where they lie, by several threads too."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reduction import npyfile


def test_threads_read_headers_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(12).reshape(3, 4))
    load, inside, most = np.load, [0], [0]

    def watched(*args: Any, **kwargs: Any) -> Any:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.01)  # another thread's turn
        try:
            return load(*args, **kwargs)
        finally:
            inside[0] -= 1

    monkeypatch.setattr(np, "load", watched)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: npyfile.mapped(path)[2, 3], range(20)))

    assert found == [11] * 20
    assert most == [1]


def test_map_is_read_only_and_holds_no_objects(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(3))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))

    assert not npyfile.mapped(tmp_path / "a.npy").flags.writeable
    with pytest.raises(ValueError, match="Python objects"):
        npyfile.mapped(tmp_path / "objects.npy")
