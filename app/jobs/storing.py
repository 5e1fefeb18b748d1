"""Writing products: where they lie, room on the disk, the file and its small picture."""

import errno
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.db import db
from app.errors import UnavailableError
from app.jobs.runner import JobContext
from app.models import Block, BlockKind, Frame
from app.paths import Paths
from app.services import source_files
from app.services.previews import THUMB_WIDTH
from app.services.products import Written
from reduction import fitsio, preview
from reduction.cards import ProductCard
from reduction.image import Image
from reduction.photometry import parquet
from reduction.photometry.sourcetable import SourceTable
from reduction.wholefiles import Staged, put_all, stage

_MEGABYTE: Final = 1_000_000
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_+.-]+")
_FOLDERS: Final = {BlockKind.BIAS: "MASTERS/BIAS", BlockKind.DARK: "MASTERS/DARKS"}
_NO_BAND: Final = "NONE"
_NO_NIGHT: Final = "undated"


def master_path(block: Block, frame: Frame) -> str:
    """Return where a block's master lies, relative to the data root."""
    band = _plain(frame.band or _NO_BAND)
    folder = _FOLDERS.get(BlockKind(block.kind), f"MASTERS/FLATS/{band}")
    parts = [block.kind, *([band] if block.kind == BlockKind.FLAT else [])]
    parts += [_camera(frame), _night(frame), f"b{block.id}"]
    return f"{folder}/{'_'.join(parts)}.fits"


def reduced_path(frame: Frame) -> str:
    """Return where the reduced frame of a raw one lies, relative to the data root.

    A raw frame has one, whatever blocks it is in: its own number makes the name unique.
    """
    stem = _plain(frame.file_name.partition(".fit")[0].partition(".FIT")[0])
    name = f"{stem}_{_camera(frame)}_f{frame.id}_proc.fits"
    return f"PROCESSED/{_plain(frame.band or _NO_BAND)}/{_night(frame)}/{name}"


def _camera(frame: Frame) -> str:
    return _plain(frame.camera.name if frame.camera else "unidentified")


def _night(frame: Frame) -> str:
    return frame.night.isoformat() if frame.night else _NO_NIGHT


def _plain(text: str) -> str:
    """Return text that is good in a file name: no blanks, slashes or leading dots."""
    return _UNSAFE.sub("-", text).strip("-.") or "x"


def check_room(context: JobContext) -> None:
    """Refuse to write where the disk is nearly full.

    Raises
    ------
    UnavailableError
        With what is free, what is kept free, and where that is set.
    """
    free_mb = shutil.disk_usage(context.paths.data).free // _MEGABYTE
    reserve_mb = context.settings.integer("disk.reserve_mb")
    if free_mb < reserve_mb:
        raise UnavailableError(
            f"the disk is full: {free_mb} MB are free and {reserve_mb} MB are kept free "
            "(setting disk.reserve_mb); make room and process again"
        )


Cards = tuple[Sequence[ProductCard], Sequence[ProductCard]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A product with picture and sources on the disk, under names that nobody looks for yet."""

    relative: str
    thumb: str
    product: Staged
    picture: Staged
    sources: Staged | None = None

    @property
    def written(self) -> Written:
        """What the row of the product says of its files."""
        return Written(
            path=self.relative,
            size=self.product.size,
            sha256=self.product.sha256,
            header_text=self.product.header_text,
            thumb=self.thumb,
            sources=self.sources.path.name if self.sources is not None else None,
        )

    @property
    def files(self) -> Sequence[Staged]:
        """Its files, the product last."""
        return [*([self.sources] if self.sources is not None else ()), self.picture, self.product]

    def discard(self) -> None:
        """Remove them, but those that have their names by now."""
        for file in self.files:
            file.discard()


def prepare(
    at: Paths, relative: str, image: Image, cards: Cards, table: SourceTable | None = None
) -> Prepared:
    """Write a product and what goes with it beside their places; may run in another thread.

    `cards` are those of the file, and those of its pixels; `table` holds its sources.

    Raises
    ------
    UnavailableError
        If the disk is full; nothing half-written stays.
    """
    path = at.data / relative
    thumb = f"THUMBS/{relative.removesuffix('.fits')}.png"
    with _room_needed(at), ExitStack() as undone:
        path.parent.mkdir(parents=True, exist_ok=True)
        product = fitsio.stage_product(path, image, cards[0], sci_cards=cards[1])
        undone.callback(product.discard)
        picture = _picture(at.data / thumb, image)
        undone.callback(picture.discard)
        sources = source_file(at, relative, product.sha256, table) if table is not None else None
        undone.pop_all()
    return Prepared(relative, thumb, product, picture, sources)


def source_file(at: Paths, relative: str, sha256: str, table: SourceTable) -> Staged:
    """Write the sources of a product with this content beside it, under no name yet."""
    content = parquet.packed(table)
    return stage(at.data / source_files.name_of(relative, sha256), [content], size=len(content))


def _picture(path: Path, image: Image) -> Staged:
    content = preview.thumbnail(image.data, width=THUMB_WIDTH)
    path.parent.mkdir(parents=True, exist_ok=True)
    return stage(path, [memoryview(content)], size=len(content))


@contextmanager
def placed(
    context: JobContext, prepared: Prepared, rows: AbstractContextManager[None]
) -> Iterator[Written]:
    """Give what was prepared its names as the last act of the transaction that stores its rows.

    `rows` is a transaction of the job: where it was cancelled, or given to another worker, what
    was prepared is removed, and the product there was stays as its rows tell it.
    """
    try:
        with rows:
            yield prepared.written
            db.session.flush()  # what the database refuses, it is to refuse before
            with _room_needed(context.paths):
                put_all(prepared.files)
    except BaseException:
        prepared.discard()
        raise


@contextmanager
def _room_needed(at: Paths) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise UnavailableError(
            f"the disk of {at.data} is full: make room and process again"
        ) from error


def remove_replaced(context: JobContext, before: str | None, now: str) -> None:
    """Delete the file a product had before under another name, after its row names the new one."""
    if before is not None and before != now:
        (context.paths.data / before).unlink(missing_ok=True)


def remove_other_sources(context: JobContext, products: Sequence[str], kept: str | None) -> None:
    """Delete sources found on what products were before, and on what never got its row."""
    for relative in products:
        for path in source_files.beside(context.paths.data / relative):
            if path.name != kept:
                path.unlink(missing_ok=True)
