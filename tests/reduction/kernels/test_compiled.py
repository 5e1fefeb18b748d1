"""Loops that are compiled already, in a process that compiles nothing."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from reduction.camera import Section
from reduction.combine import CombineParams, combine
from reduction.readout import RawRows

ROOT = Path(__file__).resolve().parent.parent.parent.parent
COMBINED = """
import sys
import numpy as np
from tests.reduction.kernels.test_compiled import total_of_a_combination
from reduction.kernels import rows
words = np.arange(5, dtype=np.uint32)
words.flags.writeable = False
print(int(rows.sum_words(words)), total_of_a_combination())
print(*(name for name in ("numba", "numba.np.arrayobj", "scipy.linalg") if name in sys.modules))
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
