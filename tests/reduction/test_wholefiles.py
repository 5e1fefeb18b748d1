"""Files that are there whole, or not at all."""

import errno
import fcntl
import hashlib
import io
import mmap
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


def pages(letters: bytes) -> list[memoryview]:
    """Return pieces as a file written directly takes them: pages of memory, and some bytes."""
    held = mmap.mmap(-1, mmap.PAGESIZE * len(letters))
    held.write(b"".join(bytes([letter]) * mmap.PAGESIZE for letter in letters))
    whole = memoryview(held)
    cut = mmap.PAGESIZE * (len(letters) - 1)
    return [whole[:cut], whole[cut : cut + 100]]


def is_cached(path: Path) -> bool:
    """Tell whether the system has a file's first page in memory, as far as it says so."""
    with path.open("rb", buffering=0) as file:
        try:
            return os.preadv(file.fileno(), [bytearray(mmap.PAGESIZE)], 0, os.RWF_NOWAIT) > 0
        except OSError as error:
            return error.errno != errno.EAGAIN  # a file system in memory has all of it


def leaves_the_cache_alone(folder: Path) -> bool:
    """Tell whether direct writes to a folder are such, as the system itself writes them."""
    try:
        descriptor = os.open(folder / "try", os.O_CREAT | os.O_WRONLY | os.O_DIRECT)
    except OSError:
        return False
    os.write(descriptor, pages(b"ab")[0])
    os.close(descriptor)
    return not is_cached(folder / "try")


def test_file_written_directly_leaves_the_cache_alone_where_its_disk_can(tmp_path: Path) -> None:
    whole = b"".join(pages(b"abcd"))

    stage(tmp_path / "kept", pages(b"abcd"), size=len(whole)).put()
    stage(tmp_path / "direct", pages(b"abcd"), size=len(whole), direct=True).put()

    assert is_cached(tmp_path / "kept")
    assert is_cached(tmp_path / "direct") is not leaves_the_cache_alone(tmp_path)
    assert (tmp_path / "kept").read_bytes() == (tmp_path / "direct").read_bytes() == whole


def test_what_is_told_behind_stands_in_a_file_written_directly(tmp_path: Path) -> None:
    whole = b"".join(pages(b"abc"))

    def behind() -> Iterator[tuple[int, memoryview]]:
        yield 10, memoryview(b"first")
        yield len(whole) - 4, memoryview(b"last")

    stage(tmp_path / "a", pages(b"abc"), size=len(whole), behind=behind, direct=True).put()

    expected = whole[:10] + b"first" + whole[15:-4] + b"last"
    assert (tmp_path / "a").read_bytes() == expected


@pytest.mark.parametrize("refused", ["always", "once it is written to"])
def test_disk_that_takes_no_direct_writes_is_written_to_all_the_same(
    refused: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Some file systems refuse to be asked; others want larger blocks than ours.
    asked, fcntl_of = [], fcntl.fcntl

    def asks(file: io.FileIO, command: int, flags: int = 0) -> int:
        if command == fcntl.F_SETFL and flags & os.O_DIRECT:
            asked.append(file)
            if refused == "always":
                raise OSError(errno.EINVAL, "Invalid argument")
        return fcntl_of(file, command, flags)

    monkeypatch.setattr(fcntl, "fcntl", asks)
    pieces = pages(b"abc")
    if refused != "always":  # pieces that no disk takes directly
        held = memoryview(bytearray(b"".join(pieces)) + b"?")[1:]
        pieces = [held[:5001], held[5001:]]

    stage(tmp_path / "a", pieces, size=sum(map(len, pieces)), direct=True).put()

    assert len(asked) == 1
    assert (tmp_path / "a").read_bytes() == b"".join(pieces)


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
