"""Masters still to be made: of the night's own blocks, and of raw frames of near nights."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Final

from sqlalchemy import ColumnElement, select

from app.db import db
from app.models import Block, BlockFrame, BlockKind, Frame, Level
from app.services import calibrations, likeness
from app.services.calibration_key import MEMBER_KINDS, Tolerances, same_exposure
from app.services.calibrations import CalibrationChoice, Candidate, Memory
from app.services.plan_blocks import CALIBRATIONS, PlannedBlock, grouped
from app.services.settings import Snapshot

_NIGHTS: Final = 12  # looked at for a frame and kind, nearest first


class Shelf:
    """Masters the blocks of a night and of near ones would make; one that is made is no promise.

    Near nights are looked at only for frames whose own night has nothing for them; `seen` says
    which frames count.
    """

    def __init__(
        self, blocks: Sequence[PlannedBlock], at: Snapshot, seen: ColumnElement[bool]
    ) -> None:
        self._at = at
        self._near = Tolerances.of(at)
        self._seen = seen
        self._memory = Memory()
        self._own = _by_kind(blocks)
        self._of_night: dict[date, dict[BlockKind, list[PlannedBlock]]] = {}
        self._offered: dict[str, PlannedBlock] = {}  # of other nights, by plan key

    def __call__(self, kind: BlockKind, frame: Frame) -> list[Candidate]:
        """Return those of `kind` that a frame of this camera and setting could use."""
        own = self._fitting(self._own[kind], frame)
        return [_candidate(block) for block in [*own, *self._elsewhere(kind, frame, own)]]

    def choose(self, frame: Frame) -> CalibrationChoice:
        """Return what a frame would be calibrated with, counting what is still to be made."""
        return calibrations.choose(frame, self._at, planned=self, memory=self._memory)

    def borrowed(self, choices: Iterable[CalibrationChoice]) -> tuple[PlannedBlock, ...]:
        """Return the blocks of other nights that choices and the masters behind them rest on."""
        taken: dict[str, PlannedBlock] = {}
        open_own = [block for kind in CALIBRATIONS for block in self._own[kind]]
        wanted = [key for choice in choices for key in _keys(choice)]
        wanted += [key for block in open_own for key in self._needs(block)]
        while wanted:
            key = wanted.pop()
            if key in self._offered and key not in taken:
                taken[key] = self._offered[key]
                wanted += self._needs(taken[key])
        return tuple(sorted(taken.values(), key=lambda b: (CALIBRATIONS.index(b.kind), b.plan_key)))

    def _needs(self, block: PlannedBlock) -> list[str]:
        """Return the plan keys of what a block's own frames are corrected with."""
        if block.kind == BlockKind.BIAS:
            return []
        choice = self.choose(block.members[len(block.members) // 2])
        found = [choice.bias] if block.kind == BlockKind.DARK else [choice.bias, choice.dark]
        return [one.plan_key for one in found if one.plan_key]

    def _fitting(self, blocks: Sequence[PlannedBlock], frame: Frame) -> list[PlannedBlock]:
        return [b for b in blocks if likeness.fits(b.first, frame, b.kind, self._near)]

    def _is_enough(self, block: PlannedBlock, frame: Frame) -> bool:
        """Tell whether nothing better can be found farther away: a dark may have to be scaled."""
        return block.kind != BlockKind.DARK or same_exposure(
            block.first.exptime_s, frame.exptime_s, self._near.exptime
        )

    def _elsewhere(
        self, kind: BlockKind, frame: Frame, own: Sequence[PlannedBlock]
    ) -> list[PlannedBlock]:
        """Return what near nights offer, up to the first that has just what is wanted."""
        if any(self._is_enough(block, frame) for block in own):
            return []
        found: list[PlannedBlock] = []
        for night in self._nights_near(kind, frame):
            found += self._fitting(self._blocks_of(night)[kind], frame)
            if any(self._is_enough(block, frame) for block in found):
                break
        self._offered |= {block.plan_key: block for block in found}
        return found

    def _nights_near(self, kind: BlockKind, frame: Frame) -> list[date]:
        """Return the nights with raw frames of a kind for a frame, nearest first."""
        if frame.night is None:
            return []
        night, days = frame.night, self._at.integer(f"calibration.max_age_days_{kind}")
        reach = timedelta(days=days)
        query = (
            select(Frame.night)
            .where(*loose([kind]), *likeness.fitting(frame, kind, self._near), self._seen)
            .where(Frame.night.between(night - reach, night + reach), Frame.night != night)
        )
        near = {one for one in db.session.scalars(query.distinct()) if one is not None}
        return sorted(near, key=lambda one: (abs((night - one).days), one))[:_NIGHTS]

    def _blocks_of(self, night: date) -> dict[BlockKind, list[PlannedBlock]]:
        """Return the blocks of calibrations that a night's frames make and that have no master."""
        if night not in self._of_night:
            kinds = [kind for wanted in CALIBRATIONS for kind in MEMBER_KINDS[wanted]]
            query = select(Frame).where(
                Frame.night == night, Frame.level == Level.RAW, Frame.kind.in_(kinds), self._seen
            )
            found = db.session.scalars(query.order_by(Frame.start_utc, Frame.id)).all()
            self._of_night[night] = _by_kind(grouped(found, night, self._at)[0])
        return self._of_night[night]


def loose(kinds: Iterable[BlockKind]) -> list[ColumnElement[bool]]:
    """Return the conditions on good raw frames whose block has no master yet, if they have one."""
    settled = (
        select(BlockFrame.frame_id)
        .join(Block, Block.id == BlockFrame.block_id)
        .where(_is_settled())
    )
    return [
        Frame.level == Level.RAW,
        Frame.kind.in_([kind for wanted in kinds for kind in MEMBER_KINDS[wanted]]),
        Frame.is_valid.is_(True),
        Frame.kind_doubt.is_(None),
        Frame.unusable.is_(None),
        Frame.id.not_in(settled),
    ]


def _is_settled() -> ColumnElement[bool]:
    """Return the condition on blocks that will make no new master: made already, or invalid."""
    return (Block.master_id.is_not(None) & (Block.status > 0)) | Block.is_valid.is_(False)


def _by_kind(blocks: Sequence[PlannedBlock]) -> dict[BlockKind, list[PlannedBlock]]:
    """Return the blocks that will make a master, by kind."""
    ids = {block.block_id for block in blocks if block.block_id is not None}
    settled = set(db.session.scalars(select(Block.id).where(Block.id.in_(ids), _is_settled())))
    found: dict[BlockKind, list[PlannedBlock]] = defaultdict(list)
    for block in blocks:
        if block.block_id not in settled:
            found[block.kind].append(block)
    return found


def _candidate(block: PlannedBlock) -> Candidate:
    first = block.first
    return Candidate(
        night=first.night,  # type: ignore[arg-type]  # a plan is of one night
        block_id=block.block_id,
        plan_key=block.plan_key,
        exptime_s=first.exptime_s,
        scales=True,
        light=first.flat_source or "",
        is_thin=block.is_thin,
        frames=len(block.members),
    )


def _keys(choice: CalibrationChoice) -> list[str]:
    return [one.plan_key for one in (choice.bias, choice.dark, choice.flat) if one.plan_key]
