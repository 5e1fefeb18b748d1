"""Which masters fit a frame: of its camera, setting and light, and about as cold."""

from sqlalchemy import ColumnElement, func, select

from app.models import Block, BlockKind, Frame, Level
from app.services import proposal_reduction
from app.services.calibration_key import (
    Tolerances,
    same_temperature,
    setup_of,
    temperature,
)


def usable(kind: BlockKind) -> list[ColumnElement[bool]]:
    """Return what makes a row a master that may be used; foreign ones are born invalid."""
    refused = select(Block.master_id).where(Block.is_valid.is_(False), Block.master_id.is_not(None))
    return [
        Frame.level == Level.MASTER,
        Frame.kind == kind,
        Frame.is_valid.is_(True),
        Frame.unusable.is_(None),
        Frame.kind_doubt.is_(None),
        Frame.night.is_not(None),
        Frame.id.not_in(refused),
    ]


def same_setting(frame: Frame, kind: BlockKind) -> list[ColumnElement[bool]]:
    """Return what a master, or a raw frame for one, shares with a frame it calibrates."""
    conditions: list[ColumnElement[bool]] = [
        Frame.camera_id.is_not_distinct_from(frame.camera_id),
        Frame.readout_key == frame.readout_key,
        Frame.binning_x == frame.binning_x,
        Frame.binning_y == frame.binning_y,
        Frame.nx == frame.nx,
        Frame.ny == frame.ny,
    ]
    if kind == BlockKind.FLAT:
        conditions += [Frame.technique.in_(_techniques(frame)), Frame.band == frame.band]
    return conditions


def _techniques(frame: Frame) -> set[str]:
    """Return the techniques of the flats for a frame: its own, and what its proposal calls it."""
    said = proposal_reduction.rules_of(frame).technique
    return {frame.technique, frame.technique if said == proposal_reduction.DEFAULT else said}


def near_temperature(frame: Frame, near: Tolerances) -> ColumnElement[bool]:
    """Return the condition on frames about as cold as a frame."""
    column = func.coalesce(Frame.temp_c, Frame.temp_set_c)
    temp_c = temperature(frame)
    if temp_c is None:
        return column.is_(None)
    return column.between(temp_c - near.temp_c, temp_c + near.temp_c)


def fitting(frame: Frame, kind: BlockKind, near: Tolerances) -> list[ColumnElement[bool]]:
    """Return the conditions on raw frames of which a master for a frame could be made."""
    cold = [near_temperature(frame, near)] if kind == BlockKind.DARK else []
    return [*same_setting(frame, kind), *cold]


def setup_fits(master: Frame, frame: Frame, kind: BlockKind) -> bool:
    """Tell whether a flat was taken through the spectrograph's set-up of a frame."""
    if kind != BlockKind.FLAT or proposal_reduction.rules_of(frame).technique == "imaging":
        return True
    return setup_of(master) == setup_of(frame)


def fits(master: Frame, frame: Frame, kind: BlockKind, near: Tolerances) -> bool:
    """Tell whether a master made of frames like `master` could calibrate `frame`."""
    if setting(master) != setting(frame):
        return False
    if kind == BlockKind.DARK:
        return same_temperature(temperature(master), temperature(frame), near.temp_c)
    if kind == BlockKind.FLAT:
        same_light = master.technique in _techniques(frame) and master.band == frame.band
        return same_light and setup_fits(master, frame, kind)
    return True


def setting(frame: Frame) -> tuple[object, ...]:
    """Return camera, readout and geometry of a frame."""
    binning, size = (frame.binning_x, frame.binning_y), (frame.nx, frame.ny)
    return frame.camera_id, frame.readout_key, binning, size
