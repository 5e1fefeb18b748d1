"""How good reduced frames are: marks by the thresholds of the settings; nothing is deleted."""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Text, and_, cast, func, or_, select, update

from app.db import db, transaction
from app.errors import InvalidRequestError
from app.models import Frame, FrameParent, Job, Level, StoredSetting, User
from app.services import access, events, jobs, settings
from app.services.settings import Snapshot
from app.services.sky_groups import SOLVED, Comparison, Fact, Site, Usual, grouped, looked_at, read

# Every mark, in the order in which they are shown, and what it says of a frame.
MARKS: Final[Mapping[str, str]] = {
    "unsolved": "its place on the sky could not be proved",
    "bad_astrometry": "its stars scatter about where the catalogue has them",
    "no_zero_point": "its magnitudes are not known",
    "clouds": "its zero point is well below that of a clear sky",
    "shallow": "it is much less deep than others of its exposure time",
    "bright_sky": "its sky is bright: Moon, twilight or lamps",
    "trailed": "its stars are drawn out in one direction: tracking, wind or a bump",
    "elongated": "its stars are not round: focus, collimation or guiding",
    "wide": "its stars are wide: seeing or focus",
}
REMARK: Final = "quality.mark_all"
ALIGNED: Final = 0.8  # stars that were drawn out together agree on the direction
_SECTION: Final = "quality"
_MARKED_WITH: Final = "marked_with"  # beside the settings: the thresholds the marks are by


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The settings of section `quality`; 0 asks for no such mark."""

    fwhm_arcsec: float
    fwhm_times: float
    ellipticity: float
    trail_fwhm: float
    sky_mag: float
    sky_full: float
    depth_mag: float
    clouds_mag: float
    astrometry_pix: float
    usual_nights: int
    site: Site

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Thresholds":
        """Return the thresholds of the settings."""
        names = [name for name in cls.__slots__ if name not in {"usual_nights", "site"}]
        values = {name: snapshot.number(f"{_SECTION}.{name}") for name in names}
        days = snapshot.integer(f"{_SECTION}.usual_nights")
        return cls(**values, usual_nights=days, site=Site.of(snapshot))

    @property
    def digest(self) -> str:
        """What marks hang on besides the frames."""
        text = json.dumps([asdict(self), list(MARKS)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def marks_of(fact: Fact, usual: Usual, limits: Thresholds) -> list[str]:
    """Return what is wrong with a frame, by itself and against what is usual."""
    found = {*_of_place(fact, limits), *_of_light(fact, usual, limits)}
    found |= {*_of_stars(fact, usual, limits)}
    return [mark for mark in MARKS if mark in found]


def _of_place(fact: Fact, limits: Thresholds) -> Iterator[str]:
    if fact.sky_state != SOLVED:
        yield "unsolved"
    elif fact.zero_point_mag is None:
        yield "no_zero_point"
    if _is_over(fact.wcs_rms_arcsec, limits.astrometry_pix, fact.scale_arcsec):
        yield "bad_astrometry"


def _of_light(fact: Fact, usual: Usual, limits: Thresholds) -> Iterator[str]:
    if _is_over(usual.dimming(fact, limits.site), limits.clouds_mag):
        yield "clouds"
    depth, expected = fact.depth_of_a_second, usual.depth_of_a_second
    if depth is not None and expected is not None and _is_over(expected - depth, limits.depth_mag):
        yield "shallow"
    is_bright = fact.sky_mag is not None and fact.sky_mag < limits.sky_mag
    if is_bright or _is_over(fact.well_filled, limits.sky_full):
        yield "bright_sky"


def _of_stars(fact: Fact, usual: Usual, limits: Thresholds) -> Iterator[str]:
    if _is_trailed(fact, limits):
        yield "trailed"
    elif _is_over(fact.ellipticity, limits.ellipticity):
        yield "elongated"
    if _is_over(fact.fwhm_arcsec, limits.fwhm_arcsec) or _is_over(
        fact.fwhm_arcsec, limits.fwhm_times, usual.fwhm_arcsec
    ):
        yield "wide"


def _is_trailed(fact: Fact, limits: Thresholds) -> bool:
    is_aligned = (fact.trail_alignment or 0) >= ALIGNED
    return is_aligned and _is_over(fact.trail_pix, limits.trail_fwhm, fact.fwhm_pix)


def _is_over(value: float | None, most: float, unit: float | None = 1.0) -> bool:
    """Tell whether a value is more than a threshold in some unit; 0 is no threshold."""
    return value is not None and unit is not None and most > 0 and value > most * unit


# Marking frames: they are judged first, which reads many rows, and only then written to


@dataclass(frozen=True, slots=True)
class Verdict:
    """The marks a frame is to have, which are not those it has."""

    frame_id: int
    night: date | None
    marks: Sequence[str]


def judge_nights(
    first: date,
    last: date,
    limits: Thresholds,
    *,
    camera_ids: Collection[int | None] | None = None,
) -> list[Verdict]:
    """Return what changes for the frames of nights, both included; of some cameras, or of all."""
    start = first - timedelta(days=min(limits.usual_nights, (first - date.min).days))
    conditions = [Frame.night >= start, Frame.night <= last]
    if camera_ids is not None:
        conditions.append(_of_cameras(camera_ids))
    groups = grouped(read(*conditions)).values()
    return [verdict for group in groups for verdict in _judged(group, first, limits)]


def _of_cameras(camera_ids: Collection[int | None]) -> ColumnElement[bool]:
    named = Frame.camera_id.in_([one for one in camera_ids if one is not None])
    return named | Frame.camera_id.is_(None) if None in camera_ids else named


def _judged(group: Sequence[Fact], first: date, limits: Thresholds) -> Iterator[Verdict]:
    """Return what changes for the frames of a group from a night on."""
    compared = Comparison(
        group, limits.site, days=limits.usual_nights, clouds_mag=limits.clouds_mag
    )
    usual: dict[date, Usual] = {}
    for fact in group:
        if fact.night is None or fact.night < first:
            continue
        if fact.night not in usual:
            usual[fact.night] = compared.usual(fact.night)
        yield from _if_changed(fact, usual[fact.night], limits)


def _if_changed(fact: Fact, usual: Usual, limits: Thresholds) -> Iterator[Verdict]:
    marks = marks_of(fact, usual, limits)
    if marks != list(fact.quality):
        yield Verdict(fact.id, fact.night, marks)


def judge_alone(limits: Thresholds, *conditions: ColumnElement[bool]) -> list[Verdict]:
    """Return what changes for frames by themselves: of no night, or until that is over."""
    return [one for fact in read(*conditions) for one in _if_changed(fact, Usual(), limits)]


def judge_frames(frame_ids: Collection[int], limits: Thresholds) -> list[Verdict]:
    """Return what changes for frames just made, and for all that are compared with them."""
    made = select(Frame.night, Frame.camera_id).where(Frame.id.in_(frame_ids)).distinct()
    rows = db.session.execute(made).all()
    nights = [row.night for row in rows if row.night is not None]
    found: list[Verdict] = []
    if len(nights) < len(rows):
        found += judge_alone(limits, Frame.night.is_(None), Frame.id.in_(frame_ids))
    if nights:
        camera_ids = {row.camera_id for row in rows}
        found += judge_nights(min(nights), max(nights), limits, camera_ids=camera_ids)
    return found


def store(verdicts: Collection[Verdict]) -> int:
    """Mark frames in the open transaction, and tell open pages; return how many."""
    for one in verdicts:
        # A mark is no change of the frame: who asks what was modified is not told of it.
        values = {"quality": list(one.marks), "modified_at": Frame.modified_at}
        db.session.execute(update(Frame).where(Frame.id == one.frame_id).values(values))
    events.publish_nights({one.night for one in verdicts})
    return len(verdicts)


def nights_to_mark() -> Sequence[date]:
    """Return the nights that have frames to mark, the oldest first."""
    query = select(Frame.night).where(*looked_at(), Frame.night.is_not(None)).distinct()
    return [night for night in db.session.scalars(query.order_by(Frame.night)) if night]


# When the thresholds change


def marked_with() -> str:
    """Return the digest of the thresholds the marks are by; empty where none were set yet."""
    stored = db.session.get(StoredSetting, (_SECTION, _MARKED_WITH))
    return str(stored.value) if stored is not None else ""


def note_marked(limits: Thresholds) -> None:
    """Note, in the open transaction, by which thresholds all marks are."""
    db.session.merge(StoredSetting(section=_SECTION, item=_MARKED_WITH, value=limits.digest))


def mark_anew_if_due() -> Job | None:
    """Have all frames marked anew where the thresholds are no longer those of their marks."""
    limits = Thresholds.of(settings.snapshot())
    if marked_with() == limits.digest:
        return None
    with transaction():
        if db.session.scalar(select(Frame.id).where(*looked_at()).limit(1)) is None:
            note_marked(limits)
            return None
        return jobs.enqueue(
            REMARK, {}, label="quality marks of all frames", owner=None, dedupe_key=REMARK
        )


# Finding frames by their marks


def is_marked(mark: str) -> ColumnElement[bool]:
    """Return the condition of frames that have a mark.

    Raises
    ------
    InvalidRequestError
        If there is no such mark.
    """
    if mark not in MARKS:
        raise InvalidRequestError(mark=f"must be one of {', '.join(MARKS)}")
    return and_(
        Frame.level == Level.REDUCED,
        cast(Frame.quality, Text).contains(f'"{mark}"', autoescape=True),
    )


def is_or_became_marked(mark: str) -> ColumnElement[bool]:
    """Return the condition of frames that have a mark, and of raw ones whose reduced frame does."""
    of_products = (
        select(FrameParent.parent_id)
        .join(Frame, Frame.id == FrameParent.child_id)
        .where(FrameParent.role == "raw", is_marked(mark))
    )
    return or_(is_marked(mark), Frame.id.in_(of_products.correlate(None)))


def counts_of_night(user: User, night: date | None) -> Mapping[str, int]:
    """Return how many frames of a night (None: of no night) that `user` sees have each mark."""
    is_night = Frame.night == night if night is not None else Frame.night.is_(None)
    query = select(Frame.quality).where(
        access.may_see(user, Frame),
        is_night,
        Frame.level == Level.REDUCED,
        func.json_array_length(Frame.quality) > 0,
    )
    found = Counter(mark for marks in db.session.scalars(query) for mark in marks)
    return {mark: found[mark] for mark in MARKS if found[mark]}
