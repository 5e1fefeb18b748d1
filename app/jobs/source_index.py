"""Sources of frames that were reduced before these were kept, found on their products."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy import select

from app import paths
from app.db import db, transaction
from app.errors import AppError, ConflictError
from app.jobs import storing
from app.jobs.skywork import SPECTROSCOPY, SkyFacts, facts_of
from app.models import Frame, Level
from app.services import cone, reference_stars, settings, source_files
from reduction import fitsio
from reduction.astrometry.solution import Solution
from reduction.astrometry.wcs import TanSip
from reduction.errors import ReductionError
from reduction.frameinfo import FrameInfo
from reduction.headers.product import translate_product
from reduction.headers.sky import solved_wcs
from reduction.image import Image
from reduction.onsky import OnSky, put_on_sky, with_psf
from reduction.photometry.zeropoint import ZeroPoint
from reduction.reference import AskCatalogue, Reference


@dataclass(frozen=True, slots=True)
class Indexed:
    """What came of one frame: how many sources, or why none."""

    file_name: str
    n_sources: int | None = None
    refusal: str = ""


def waiting(*, again: bool) -> list[int]:
    """Return the ids of the frames that were put on the sky and whose sources are not kept."""
    looked_at = select(Frame).where(
        Frame.level == Level.REDUCED,
        Frame.sky_state.is_not(None),
        Frame.technique != SPECTROSCOPY,
        Frame.content_sha256 != "",
    )
    found = db.session.scalars(looked_at.order_by(Frame.id))
    return [frame.id for frame in found if again or not source_files.are_kept(frame)]


def index(frame_ids: Sequence[int]) -> Iterator[Indexed]:
    """Find and keep the sources of frames, one after the other; who goes on is told of each."""
    for frame_id in frame_ids:
        frame = db.session.get(Frame, frame_id)
        if frame is None:  # deleted meanwhile
            continue
        name = frame.file_name
        try:
            yield Indexed(name, _index(frame))
        except (AppError, ReductionError, OSError) as error:
            yield Indexed(name, refusal=str(error))
        db.session.rollback()  # the next frame is looked at as it is then


def _index(frame: Frame) -> int:
    path = paths.current().data / frame.path
    sha256 = frame.content_sha256
    if fitsio.content_sha256(path) != sha256:
        raise ConflictError("its file is not what its row tells of: process its block again")
    image, cards = fitsio.read_product(path)
    wcs = solved_wcs(cards)
    info = _pointed(translate_product(fitsio.read_headers(path)), wcs, image)
    found = _found(frame, image, info, wcs)
    if settings.snapshot().flag("photometry.psf"):
        found = with_psf(found, image)
    facts = facts_of(found, info, image)
    _keep(frame, sha256, facts, wcs)
    return 0 if facts.table is None else len(facts.table)


def _pointed(info: FrameInfo, wcs: TanSip | None, image: Image) -> FrameInfo:
    """Return what is known of a frame with the place that was proved."""
    if wcs is None:
        return info
    ny, nx = image.data.shape
    ra, dec = wcs.sky(np.array([(nx - 1) / 2]), np.array([(ny - 1) / 2]))
    return replace(
        info, ra_deg=float(ra[0]), dec_deg=float(dec[0]), pixel_scale_arcsec=wcs.scale_arcsec
    )


def _found(frame: Frame, image: Image, info: FrameInfo, wcs: TanSip | None) -> OnSky:
    """Return what is on a frame, with the place and the zero point that its header has.

    Sources and matches are found anew; a frame that was not solved is not solved here.
    """
    ask: AskCatalogue = reference_stars.asker(info.band, info.mid_utc) if wcs else _nothing
    found = put_on_sky(image, info, ask)
    if wcs is None:
        return found
    solution = found.solution or _unmatched(frame, wcs)
    return replace(found, solution=replace(solution, wcs=wcs), zero_point=_zero_point(frame, found))


def _nothing(_ra_deg: float, _dec_deg: float, _radius_deg: float) -> Sequence[Reference]:
    return ()


def _unmatched(frame: Frame, wcs: TanSip) -> Solution:
    """Return a place that no catalogue of this site proves any more."""
    none, nothing = np.empty(0, np.int64), np.empty(0)
    rms_pix = (frame.wcs_rms_arcsec or 0.0) / wcs.scale_arcsec
    return Solution(wcs, none, none, nothing, nothing, rms_pix, rms_pix, 0, 0.0)


def _zero_point(frame: Frame, found: OnSky) -> ZeroPoint | None:
    """Return the zero point of a frame's row, with the stars of the one just found."""
    value, error = frame.zero_point_mag, frame.zero_point_error_mag
    if value is None:
        return None
    if found.zero_point is not None:
        # The row's error is all of it, the systematic part included.
        return replace(found.zero_point, value=value, error=error or 0.0, systematic_mag=0.0)
    return ZeroPoint(value, error or 0.0, None, None, (), 0.0, np.empty(0, bool), np.empty(0))


def _keep(frame: Frame, sha256: str, facts: SkyFacts, wcs: TanSip | None) -> None:
    """Store the sources, if the frame is still what they were found on."""
    if facts.table is None:
        return
    storing.source_file(paths.current(), frame.path, sha256, facts.table).put()
    with transaction():
        db.session.refresh(frame, with_for_update=True)
        if frame.content_sha256 != sha256:
            raise ConflictError("it was made anew meanwhile")
        cone.place(frame, facts.cells)
        if wcs is not None:
            frame.on_sky = {**(frame.on_sky or {}), "wcs": wcs.as_lists()}
