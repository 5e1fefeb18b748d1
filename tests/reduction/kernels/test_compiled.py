"""Loops that are compiled already, in a process that compiles nothing."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from reduction.camera import Section
from reduction.combine import CombineParams, combine
from reduction.kernels import counts
from reduction.kernels.compiled import digest_of
from reduction.readout import RawRows

ROOT = Path(__file__).resolve().parent.parent.parent.parent
COMBINED = """
import sys
import numpy as np
from tests.reduction.kernels.test_compiled import total_of_a_combination
from reduction.kernels import rows
from reduction.kernels.compiled import holds_compiler
words = np.arange(5, dtype=np.uint32)
words.flags.writeable = False
print(int(rows.sum_words(words)), total_of_a_combination())
print(*(name for name in ("numba", "numba.np.arrayobj", "scipy.linalg") if name in sys.modules))
print(holds_compiler())
"""


def total_of_a_combination() -> float:
    """Return the sum over a combination of five small frames of counts."""
    frames = [(np.arange(48 * 64).reshape(48, 64) * (7 + i) % 997).astype("<u2") for i in range(5)]
    sources = [RawRows(frame, Section(0, 48, 0, 64), False, False, 0.0) for frame in frames]
    return float(combine(sources, params=CombineParams("sigma_clip", 3.0, 3.0)).data.sum())


def test_loops_compiled_before_run_without_the_compiler(tmp_path: Path) -> None:
    environ = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}  # nobody else stores there
    compiling, loading = (
        subprocess.run(
            [sys.executable, "-c", COMBINED], capture_output=True, text=True, check=True, cwd=ROOT,
            env=environ,
        ).stdout.splitlines()
        for _ in range(2)
    )  # fmt: skip

    assert compiling[0].split() == loading[0].split() == ["10", str(total_of_a_combination())]
    assert "numba.np.arrayobj" in compiling[1]
    assert loading[1] == "numba"
    assert (compiling[2], loading[2]) == ("True", "False")


def test_a_loop_is_compiled_anew_where_one_it_uses_has_changed(tmp_path: Path) -> None:
    inner, middle, outer, other = (tmp_path / f"{name}.py" for name in ("a", "b", "c", "d"))
    inner.write_text("ONE = 1\n")
    middle.write_text("from reduction.kernels.a import ONE\n")
    outer.write_text("import numpy\nfrom reduction.kernels.b import (\n    ONE,\n)\n")
    other.write_text("ONE = 1\n")
    before = {path: digest_of(path) for path in (middle, outer, other)}

    inner.write_text("ONE = 2\n")
    digest_of.cache_clear()

    changed = [path.name for path, digest in before.items() if digest_of(path) != digest]
    assert changed == ["b.py", "c.py"]


def test_what_is_kept_of_a_loop_is_told_by_the_loops_it_uses() -> None:
    kept = counts.combine_counts._cache._cache_file  # type: ignore[attr-defined]

    assert kept._source_stamp == digest_of(Path(counts.__file__))
