"""The sources of a reduced frame: a Parquet file beside it, which lives and dies with it.

Its name holds the digest of the frame's own file, so that a frame's row names the sources that were
found on just these pixels, before, while and after the frame is made again. A file no row names is
of a job that was cut short, and is swept.
"""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from sqlalchemy import select

from app import paths
from app.db import db
from app.errors import NotFoundError
from app.models import Frame, Level
from reduction.photometry import parquet
from reduction.photometry.sourcetable import SourceTable
from reduction.refcat.pixels import Ranges

_DIGITS: Final = 12  # of the digest, in the name
_PRODUCT: Final = ".fits"
_FOLDER: Final = "PROCESSED"
_AT_ONCE: Final = 500  # names in one query


def read(
    frame: Frame, *, columns: Sequence[str] | None = None, cells: Ranges | None = None
) -> SourceTable:
    """Return the sources of a frame, all columns or some, of the whole frame or of some cells.

    Raises
    ------
    NotFoundError
        If none were kept of it, or they cannot be read.
    """
    try:
        return parquet.read(find(frame), columns=columns, cells=cells)
    except FileNotFoundError as error:  # replaced just now
        raise NotFoundError(_none_of(frame)) from error
    except parquet.BadSourceFileError as error:
        raise NotFoundError(f"{error}: process its block again") from error


def find(frame: Frame) -> Path:
    """Return the file with the sources of a frame.

    Raises
    ------
    NotFoundError
        If none were kept of it; the message says what to do.
    """
    if not are_kept(frame):
        raise NotFoundError(_none_of(frame))
    return path_of(frame)


def _none_of(frame: Frame) -> str:
    if frame.level != Level.REDUCED:
        return f"{frame.file_name} is no reduced frame: sources are found on these"
    return (
        f"no sources are kept of {frame.file_name}: process its block with all steps, or have "
        "`flask sources index` look at it"
    )


def are_kept(frame: Frame) -> bool:
    """Tell whether there are sources of a frame to be read."""
    return frame.level == Level.REDUCED and path_of(frame).is_file()


def path_of(frame: Frame) -> Path:
    """Return where the sources of a frame lie, if any are kept."""
    return paths.current().data / name_beside(frame)


def name_beside(frame: Frame) -> str:
    """Return where the sources of a frame lie, if any are kept, relative to the data root."""
    return name_of(frame.path, frame.content_sha256)


def name_of(product: str, sha256: str) -> str:
    """Return where the sources of a product with this content lie, relative to the data root."""
    return f"{product.removesuffix(_PRODUCT)}.{sha256[:_DIGITS]}{parquet.SUFFIX}"


def beside(product: Path) -> list[Path]:
    """Return every file of sources found on a product, or on one before it of the same name."""
    name = glob.escape(product.name.removesuffix(_PRODUCT))
    return sorted(product.parent.glob(f"{name}.{'?' * _DIGITS}{parquet.SUFFIX}"))


def product_of(relative: str) -> str | None:
    """Return the path of the product whose sources a path would hold, None for other files."""
    stem, dot, digits = relative.removesuffix(parquet.SUFFIX).rpartition(".")
    if not relative.endswith(parquet.SUFFIX) or not dot or len(digits) != _DIGITS:
        return None
    return f"{stem}{_PRODUCT}"


def files() -> Iterator[Path]:
    """Yield every file of sources there is."""
    for place, _, names in os.walk(paths.current().data / _FOLDER):
        whole = (n for n in names if n.endswith(parquet.SUFFIX) and not n.startswith("."))
        yield from (Path(place) / name for name in whole)


def orphans(found: Iterable[Path]) -> list[Path]:
    """Return which files of sources no frame's row names."""
    left: list[Path] = []
    rest = iter(found)
    while some := list(islice(rest, _AT_ONCE)):
        named = _named([relative(path) for path in some])
        left += [path for path in some if relative(path) not in named]
    return left


def is_named(name: str) -> bool:
    """Tell whether a frame's row names a file of sources, given relative to the data root."""
    return name in _named([name])


def _named(names: Sequence[str]) -> set[str]:
    products = {product for name in names if (product := product_of(name)) is not None}
    query = select(Frame.path, Frame.content_sha256).where(
        Frame.path.in_(products), Frame.level == Level.REDUCED
    )
    return {name_of(*row) for row in db.session.execute(query)}


def relative(path: Path) -> str:
    """Return where a file lies, relative to the data root."""
    return path.relative_to(paths.current().data).as_posix()
