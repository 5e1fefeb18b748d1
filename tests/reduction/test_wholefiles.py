"""Files that are there whole, or not at all."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reduction.wholefiles import stage

CONTENT = bytes(range(256)) * 100
# Writes two contents in turn under one name, until it is killed.
WRITER = """
import sys
from itertools import cycle
from pathlib import Path
from reduction.wholefiles import stage
path = Path(sys.argv[1])
for letter in cycle((b"a", b"b")):
    pieces = [memoryview(letter * 100_000)] * 20
    stage(path, pieces, size=2_000_000).put()
    print(flush=True)
"""


def test_staged_file_has_its_content_and_not_yet_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(b"old")

    staged = stage(path, [memoryview(CONTENT)], size=len(CONTENT), digest=True)

    assert path.read_bytes() == b"old"
    assert staged.temporary.read_bytes() == CONTENT
    assert staged.temporary.parent == tmp_path
    assert (staged.size, staged.sha256) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


def test_file_that_is_put_replaces_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(b"old")

    stage(path, [memoryview(CONTENT[:7]), memoryview(CONTENT[7:])], size=len(CONTENT)).put()

    assert path.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [path]


def test_file_that_is_discarded_leaves_nothing_even_when_it_was_put(tmp_path: Path) -> None:
    first = stage(tmp_path / "a", [memoryview(CONTENT)], size=len(CONTENT))
    second = stage(tmp_path / "b", [memoryview(CONTENT)], size=len(CONTENT))
    second.put()

    first.discard()
    second.discard()

    assert list(tmp_path.iterdir()) == [tmp_path / "b"]


def test_empty_file_can_be_staged(tmp_path: Path) -> None:
    stage(tmp_path / "a", [], size=0).put()

    assert (tmp_path / "a").read_bytes() == b""


def test_error_while_the_content_is_made_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[memoryview]:
        yield memoryview(CONTENT)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        stage(tmp_path / "a", broken(), size=2 * len(CONTENT))

    assert list(tmp_path.iterdir()) == []


def test_file_system_that_reserves_no_room_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", refuses)

    stage(tmp_path / "a", [memoryview(CONTENT)], size=len(CONTENT)).put()

    assert (tmp_path / "a").read_bytes() == CONTENT


def test_writer_that_is_killed_at_any_moment_leaves_one_whole_content(tmp_path: Path) -> None:
    path = tmp_path / "product.fits"
    root = Path(__file__).parents[2]
    for number in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            cwd=root,
            stdout=subprocess.PIPE,
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(0.0037 * number)
            writer.send_signal(signal.SIGKILL)

        content = path.read_bytes()
        assert content in (b"a" * 2_000_000, b"b" * 2_000_000)
