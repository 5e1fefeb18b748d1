"""How a file begins whose header has the form of others before it."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from reduction.cards import Cards, FileHeaders, HduHeader
from reduction.guard import LIMITS, HduLayout, Limits, only_layout
from reduction.layouts import Layout, Plan, recent

_FITS, _END_BYTES = b"SIMPLE  =", len(b"END")
_TO_READ = os.O_RDONLY | os.O_CLOEXEC


class FileStart(NamedTuple):
    """The first header of a file, by the form it shares with others and what it has of its own.

    Attributes
    ----------
    head : bytes
        The file's first bytes, the whole header among them.
    status : os.stat_result
        Of the file, taken after they were read.
    plan : Plan
        How the header was compared with others of its layout.
    cards : tuple of bytes
        Those that may differ from others, as `plan` has them.
    """

    head: bytes
    status: os.stat_result
    plan: Plan
    cards: tuple[bytes, ...]

    @classmethod
    def of(cls, head: bytes, status: os.stat_result) -> "FileStart | None":
        """Return how a file begins, None where no other lately had a header of its form."""
        match = recent.match(head) if head.startswith(_FITS) else None
        return None if match is None else cls._make((head, status, *match))

    @property
    def layout(self) -> Layout:
        """The layout of the header."""
        return self.plan.layout

    @property
    def changed(self) -> dict[int, bytes]:
        """The cards that differ from the first of the layout, by number."""
        return self.plan.changed(self.cards)

    @property
    def header(self) -> Cards:
        """The header itself."""
        layout = self.plan.layout
        return Cards(self.head[: layout.n_bytes], known=(layout, self.changed))

    def kept(self) -> tuple[str, Layout, str]:
        """Return its changes, of which layout, and its digest, where it is the file's only header.

        As `FileHeaders` has them.
        """
        head, _, plan, cards = self
        layout = plan.layout
        digest = hashlib.sha256(head[: layout.n_bytes + _END_BYTES]).hexdigest()
        return plan.changes(cards), layout, digest

    def headers(self, limits: Limits = LIMITS) -> FileHeaders | None:
        """Return the headers of the file; None where `fitsio.read_headers` has to look at it."""
        only = only_layout(self.head, self.status.st_size, limits)
        return None if only is None else file_headers([only])


def read_start(path: str | Path) -> FileStart | None:
    """Read how a file begins, where others lately began with a header of the same form.

    Nothing of it has been believed yet: `reduction.headers.Series` sees that what it promises is
    what was found right in another.

    Parameters
    ----------
    path : str or Path
        Any file.

    Returns
    -------
    FileStart or None
        None where `read_headers` has to look at it.

    Raises
    ------
    OSError
        Where the file cannot be read.
    """
    if not recent.n_bytes:
        return None
    descriptor = os.open(path, _TO_READ)
    try:
        head = os.pread(descriptor, recent.n_bytes, 0)
        status = os.fstat(descriptor)  # after the reading: it tells whether that was in time
    finally:
        os.close(descriptor)
    return FileStart.of(head, status)


def file_headers(layouts: Sequence[HduLayout]) -> FileHeaders:
    """Return the headers of a file whose HDUs lie so."""
    ended = b"".join([hdu.cards.raw_bytes + b"END" for hdu in layouts])
    return FileHeaders(
        tuple([HduHeader(i, hdu.cards, hdu.shape) for i, hdu in enumerate(layouts)]),
        hashlib.sha256(ended).hexdigest(),
    )
