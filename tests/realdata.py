"""Where the real frames lie, if they do: beside the checkout, in ``shared/data``."""

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parent.parent.parent / "shared"
SHARED: Path | None = _BESIDE if (_BESIDE / "data" / "RAW").is_dir() else None
IN_CI = os.environ.get("COELOSTAT_CI") == "1"

# Under COELOSTAT_CI=1 nothing skips: the test runs, and its missing file is its failure.
needs_shared = pytest.mark.skipif(
    SHARED is None and not IN_CI,
    reason="the real frames are not here (a folder shared/data beside the checkout)",
)


def shared(*parts: str) -> Path:
    """Return a path below the shared folder, failing the test where there is none."""
    if SHARED is None:
        pytest.fail("COELOSTAT_CI=1 but there is no shared/data beside the checkout")
    return SHARED.joinpath(*parts)
