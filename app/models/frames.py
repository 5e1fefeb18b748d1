"""Files seen in RAW, frames, and what came from what."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, BigInt, utcnow
from app.models.observatory import Camera
from app.models.users import Proposal


def _asked_at_commit(column: str) -> ForeignKey:
    """Return a reference that is asked for at the commit.

    Asked for with each statement, SQLite keeps what it needs to undo half of one: a copy of every
    page that changes, which takes a quarter of the time of storing many rows.
    """
    return ForeignKey(column, deferrable=True, initially="DEFERRED")


class FileState(StrEnum):
    """The one state every file in RAW is in."""

    WAITING = "waiting"  # still growing, or too young to tell
    REGISTERED = "registered"
    DUPLICATE = "duplicate"  # same content as another file, which the reason names
    QUARANTINED = "quarantined"  # the reason says why
    MISSING = "missing"  # was here and is gone; its rows stay


class ScannedFile(Base):
    """A path seen in RAW."""

    __tablename__ = "scanned_files"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(unique=True)  # relative to RAW, with forward slashes
    size: Mapped[int] = mapped_column(BigInt)
    mtime_ns: Mapped[int] = mapped_column(BigInt)
    state: Mapped[str] = mapped_column(index=True)
    reason: Mapped[str] = mapped_column(default="")
    code: Mapped[str] = mapped_column(default="")  # stable short name of the reason
    header_digest: Mapped[str] = mapped_column(default="", index=True)  # see `reduction.digests`
    content_sha256: Mapped[str] = mapped_column(default="")
    duplicate_of_id: Mapped[int | None] = mapped_column(_asked_at_commit("scanned_files.id"))
    first_seen_at: Mapped[datetime] = mapped_column(default=utcnow)
    changed_at: Mapped[datetime] = mapped_column(default=utcnow)


class Level:
    """How far a frame is reduced: Goodman's data_type."""

    RAW = 0
    MASTER = 1
    REDUCED = 2
    EXTRACTED = 3
    WAVELENGTH = 4
    FLUX = 5


class Frame(Base):
    """One FITS image, raw or made by us. None in a header-derived column is "not said"."""

    __tablename__ = "frames"
    __table_args__ = (
        UniqueConstraint("path", "part"),
        Index("ix_frames_night_kind", "night", "kind"),
        Index("ix_frames_level_id", "level", "id"),
        Index("ix_frames_level_night", "level", "night"),  # a night's raw frames; months with any
        Index("ix_frames_camera_kind_night", "camera_id", "kind", "night"),
        # For the list of frames, in the order of time. They leave out what tells no time, so that
        # SQLite takes them for queries that say so, and no other for the sake of its order.
        *(
            Index(
                f"ix_frames_{name}_start_utc",
                name,
                "start_utc",
                sqlite_where=text("start_utc IS NOT NULL"),
                postgresql_where=text("start_utc IS NOT NULL"),
            )
            for name in ("kind", "level", "camera_id")
        ),
        # These are asked for without the time, too.
        Index("ix_frames_band_start_utc", "band", "start_utc"),
        Index("ix_frames_object_name_start_utc", "object_name", "start_utc"),
        # A frame that a scan has just found has no hash yet, and most are of no proposal: neither
        # costs anything here.
        Index(
            "ix_frames_content_sha256",
            "content_sha256",
            sqlite_where=text("content_sha256 != ''"),
            postgresql_where=text("content_sha256 != ''"),
        ),
        Index(
            "ix_frames_proposal_id",
            "proposal_id",
            sqlite_where=text("proposal_id IS NOT NULL"),
            postgresql_where=text("proposal_id IS NOT NULL"),
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    file_id: Mapped[int | None] = mapped_column(_asked_at_commit("scanned_files.id"), index=True)
    path: Mapped[str]  # relative to the data root: RAW/..., MASTERS/..., PROCESSED/...
    part: Mapped[int] = mapped_column(default=0)  # which exposure of a file that holds several
    file_name: Mapped[str] = mapped_column(index=True)
    size: Mapped[int] = mapped_column(BigInt, default=0)
    content_sha256: Mapped[str] = mapped_column(default="")

    level: Mapped[int] = mapped_column(default=Level.RAW)
    kind: Mapped[str]
    kind_doubt: Mapped[str | None]
    technique: Mapped[str] = mapped_column(default="imaging")
    flat_source: Mapped[str | None]
    writer: Mapped[str] = mapped_column(default="")
    band: Mapped[str | None]
    band_raw: Mapped[str | None]
    exptime_s: Mapped[float | None]
    start_utc: Mapped[datetime | None] = mapped_column(index=True)
    mid_utc: Mapped[datetime | None]
    night: Mapped[date | None]
    object_name: Mapped[str | None]
    ra_deg: Mapped[float | None]
    dec_deg: Mapped[float | None]
    position_role: Mapped[str | None]
    airmass: Mapped[float | None]

    camera_id: Mapped[int | None] = mapped_column(_asked_at_commit("cameras.id"))
    nx: Mapped[int]
    ny: Mapped[int]
    binning_x: Mapped[int] = mapped_column(default=1)
    binning_y: Mapped[int] = mapped_column(default=1)
    readout_key: Mapped[str] = mapped_column(default="")  # mode, gain setting, offset, section
    gain_e_per_adu: Mapped[float | None]
    read_noise_e: Mapped[float | None]
    saturation_adu: Mapped[float | None]
    temp_c: Mapped[float | None]
    temp_set_c: Mapped[float | None]

    proposal_code: Mapped[str | None]
    proposal_id: Mapped[int | None] = mapped_column(_asked_at_commit("proposals.id"))
    observer: Mapped[str | None]
    owner_id: Mapped[int | None]  # the user who uploaded it or had it made; None: the observatory

    is_valid: Mapped[bool] = mapped_column(default=True)
    status: Mapped[int] = mapped_column(default=0)  # MAR: highest step up to which all are done
    comment: Mapped[str] = mapped_column(default="")
    unusable: Mapped[str | None]  # why it is registered but cannot be reduced

    steps_done: Mapped[list[str]] = mapped_column(default=list)
    missing: Mapped[list[str]] = mapped_column(default=list)  # calibrations it should have had
    fingerprint: Mapped[str] = mapped_column(default="")  # of recipe and inputs; "": redo
    outdated: Mapped[str | None]  # why what it was made from is no longer what it was
    notes: Mapped[list[str]] = mapped_column(default=list)
    is_thin: Mapped[bool] = mapped_column(default=False)
    ncombine: Mapped[int] = mapped_column(default=1)
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)  # flagged pixels by flag name
    unit: Mapped[str] = mapped_column(default="adu")
    mode: Mapped[float | None]
    median: Mapped[float | None]
    noise: Mapped[float | None]

    sky_state: Mapped[str | None]  # solved or unsolved; None: not tried
    sky_cause: Mapped[str | None]  # of an unsolved one, a stable short name
    scale_arcsec: Mapped[float | None]
    rotation_deg: Mapped[float | None]  # of north from the y axis, towards east
    wcs_rms_arcsec: Mapped[float | None]  # of stars left out of the fit, on one axis
    n_sources: Mapped[int | None]
    fwhm_pix: Mapped[float | None]
    ellipticity: Mapped[float | None]
    sky_level: Mapped[float | None]
    sky_noise: Mapped[float | None]
    zero_point_mag: Mapped[float | None]  # of one count a second
    zero_point_error_mag: Mapped[float | None]
    limit_mag: Mapped[float | None]  # five sigma, of a star
    quality: Mapped[list[str]] = mapped_column(default=list)  # marks: clouds, trailed, wide, ...
    on_sky: Mapped[dict[str, Any]] = mapped_column(default=dict, deferred=True)  # the rest of it

    thumb: Mapped[str | None]  # relative to the data root
    extras: Mapped[dict[str, Any]] = mapped_column(default=dict)  # values only one face asks for
    doubts: Mapped[dict[str, Any]] = mapped_column(default=dict)  # attribute -> doubt
    origins: Mapped[dict[str, Any]] = mapped_column(default=dict, deferred=True)
    header_text: Mapped[str] = mapped_column(default="", deferred=True)  # whole; else the two below
    header_base_id: Mapped[int | None]  # of the header text that this one's differs little from
    header_changes: Mapped[str] = mapped_column(default="", deferred=True)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    modified_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)

    file: Mapped[ScannedFile | None] = relationship()
    camera: Mapped[Camera | None] = relationship()
    proposal: Mapped[Proposal | None] = relationship()
    parents: Mapped[list["FrameParent"]] = relationship(
        foreign_keys="FrameParent.child_id", back_populates="child"
    )
    children: Mapped[list["FrameParent"]] = relationship(
        foreign_keys="FrameParent.parent_id", back_populates="parent"
    )


class HeaderText(Base):
    """The text of a header, which those of many other frames of its camera are told by."""

    __tablename__ = "header_texts"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


class FrameParent(Base):
    """One edge of provenance: `child` was made with `parent` in `role`."""

    __tablename__ = "frame_parents"

    child_id: Mapped[int] = mapped_column(ForeignKey("frames.id"), primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("frames.id"), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(primary_key=True)  # raw bias dark flat fringe member

    child: Mapped[Frame] = relationship(foreign_keys=child_id, back_populates="parents")
    parent: Mapped[Frame] = relationship(foreign_keys=parent_id, back_populates="children")


class FrameCell(Base):
    """One HEALPix cell that a solved frame reaches into: finds the frames that cover a place."""

    __tablename__ = "frame_cells"
    __table_args__ = ({"sqlite_with_rowid": False},)

    cell: Mapped[int] = mapped_column(primary_key=True)  # 4^(order + 1) + nested number
    frame_id: Mapped[int] = mapped_column(ForeignKey("frames.id"), primary_key=True, index=True)
