"""What the pages show of nights, frames, blocks and files: questions only, nothing is changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.orm import joinedload

from app.db import db
from app.errors import NotFoundError
from app.models import Block, BlockFrame, Frame, FrameParent, Job, Level
from app.models import User as Person
from app.services import access, frames, quality, shortfalls
from app.services.block_members import label
from app.services.frames import FrameFilters

PAGE: Final = 200  # frames shown at once; a long night has a few hundred
_KIND_ORDER: Final = ("science", "standard", "flat", "dark", "bias", "arc")


@dataclass(slots=True)
class NightSummary:
    """How many frames a night has, raw ones by kind, and how many have something wrong."""

    night: date
    kinds: dict[str, int] = field(default_factory=dict)
    masters: int = 0
    reduced: int = 0
    problems: int = 0
    missing: tuple[str, ...] = ()  # calibrations its products went without

    @property
    def raw(self) -> int:
        """All raw frames."""
        return sum(self.kinds.values())


@dataclass(frozen=True, slots=True)
class Month:
    """A month that has frames."""

    first: date
    frames: int
    nights: int


@dataclass(slots=True)
class NightRow:
    """A frame of a night with where it is used and what was made of it."""

    frame: Frame
    blocks: list[Block] = field(default_factory=list)
    product: Frame | None = None
    masters: list[Frame] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """What an observer must know of the frame and of what was made of it."""
        found = problems_of(self.frame) + self.left_out
        if self.product is not None:
            found += [f"reduced: {text}" for text in problems_of(self.product)]
        return found


@dataclass(frozen=True, slots=True)
class NightPage:
    """Some frames of a night, in order of time; `next_id` continues."""

    rows: Sequence[NightRow]
    total: int
    next_id: int | None


@dataclass(frozen=True, slots=True)
class BlockRow:
    """A block with the number of its frames and products, its newest job, and what they lack."""

    block: Block
    frames: int
    products: int
    job: Job | None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kin:
    """A frame that another came from, or that came from it, and in which role."""

    frame: Frame
    role: str


def problems_of(frame: Frame) -> list[str]:
    """Return what keeps a frame from being used, or from being fully reduced."""
    found = [text for text in (frame.unusable, frame.kind_doubt, frame.outdated) if text]
    return found + list(frame.missing)


def _has_problem() -> ColumnElement[bool]:
    left_out = (
        select(BlockFrame.frame_id)
        .join(Block, Block.id == BlockFrame.block_id)
        .where(BlockFrame.frame_id == Frame.id, BlockFrame.left_out != "", Block.is_valid)
    )
    return or_(
        left_out.exists(),
        Frame.unusable.is_not(None),
        Frame.kind_doubt.is_not(None),
        Frame.outdated.is_not(None),
        func.json_array_length(Frame.missing) > 0,
    )


def months(user: Person) -> Sequence[Month]:
    """Return the months that have frames, newest first."""
    query = (
        select(Frame.night, func.count())
        .where(access.may_see(user, Frame), Frame.night.is_not(None), Frame.level == Level.RAW)
        .group_by(Frame.night)
    )
    counts: dict[date, list[int]] = {}
    for night, count in db.session.execute(query):
        if night is not None:
            counts.setdefault(night.replace(day=1), []).append(count)
    return [Month(first, sum(c), len(c)) for first, c in sorted(counts.items(), reverse=True)]


def calendar(user: Person, first: date, end: date) -> Mapping[date, NightSummary]:
    """Return what each night from `first` on, before `end`, has."""
    problem = _has_problem()
    query = (
        select(Frame.night, Frame.kind, Frame.level, problem, func.count())
        .where(access.may_see(user, Frame), Frame.night >= first, Frame.night < end)
        .group_by(Frame.night, Frame.kind, Frame.level, problem)
    )
    found: dict[date, NightSummary] = {}
    for night, kind, level, has_problem, count in db.session.execute(query):
        if night is None:
            continue
        summary = found.setdefault(night, NightSummary(night))
        summary.problems += count if has_problem else 0
        if level == Level.RAW:
            summary.kinds[kind] = summary.kinds.get(kind, 0) + count
        elif level == Level.MASTER:
            summary.masters += count
        else:
            summary.reduced += count
    lacking = shortfalls.of_nights(user, first, end)
    for summary in found.values():
        summary.missing = lacking.get(summary.night, ())
        summary.kinds = dict(sorted(summary.kinds.items(), key=lambda item: _order(item[0])))
    return found


def _order(kind: str) -> tuple[int, str]:
    return _KIND_ORDER.index(kind) if kind in _KIND_ORDER else len(_KIND_ORDER), kind


def neighbours(user: Person, night: date) -> tuple[date | None, date | None]:
    """Return the nights with frames before and after one."""
    mine = access.may_see(user, Frame)
    before = select(func.max(Frame.night)).where(mine, Frame.night < night)
    after = select(func.min(Frame.night)).where(mine, Frame.night > night)
    return db.session.scalar(before), db.session.scalar(after)


def newest_night(user: Person) -> date | None:
    """Return the last night that has frames."""
    return db.session.scalar(select(func.max(Frame.night)).where(access.may_see(user, Frame)))


def count_undated(user: Person) -> int:
    """Return how many frames tell no time, and so belong to no night."""
    query = select(func.count(Frame.id)).where(access.may_see(user, Frame), Frame.night.is_(None))
    return db.session.scalar(query) or 0


def page_of(
    user: Person,
    night: date | None,
    filters: FrameFilters,
    *,
    problems_only: bool = False,
    mark: str | None = None,
    after_id: int | None = None,
) -> NightPage:
    """Return frames of a night (None: those of no night) in order of time."""
    where = _conditions(night, filters, problems_only, mark)
    total = select(func.count(Frame.id)).where(access.may_see(user, Frame), *where)
    query = access.visible_to(user, Frame).where(*where, *_after(user, after_id))
    query = query.order_by(Frame.start_utc.is_(None), Frame.start_utc, Frame.id)
    found = db.session.scalars(query.options(joinedload(Frame.camera)).limit(PAGE + 1)).all()
    shown = found[:PAGE]
    next_id = shown[-1].id if len(found) > PAGE else None
    return NightPage(_with_context(user, shown), db.session.scalar(total) or 0, next_id)


def _conditions(
    night: date | None, filters: FrameFilters, problems_only: bool = False, mark: str | None = None
) -> list[ColumnElement[bool]]:
    found = frames.conditions(**filters)
    found.append(Frame.night == night if night is not None else Frame.night.is_(None))
    if problems_only:
        found.append(_has_problem())
    if mark:
        found.append(quality.is_or_became_marked(mark))
    return found


def _after(user: Person, frame_id: int | None) -> list[ColumnElement[bool]]:
    """Return the condition for what stands behind a frame in order of time."""
    mine = access.visible_to(user, Frame).where(Frame.id == frame_id)
    last: Frame | None = db.session.scalar(mine) if frame_id is not None else None
    if last is None:
        return []
    if last.start_utc is None:
        return [and_(Frame.start_utc.is_(None), Frame.id > last.id)]
    same = and_(Frame.start_utc == last.start_utc, Frame.id > last.id)
    return [or_(Frame.start_utc > last.start_utc, same, Frame.start_utc.is_(None))]


def _with_context(user: Person, shown: Sequence[Frame]) -> Sequence[NightRow]:
    rows = {frame.id: NightRow(frame) for frame in shown}
    entries = db.session.execute(
        select(BlockFrame.frame_id, BlockFrame.product_id, BlockFrame.left_out, Block)
        .join(Block, Block.id == BlockFrame.block_id)
        .where(BlockFrame.frame_id.in_(rows), access.may_see(user, Block))
        .order_by(Block.id)
    ).all()
    made_ids = {e.product_id for e in entries} | {e.Block.master_id for e in entries}
    made = access.visible_to(user, Frame).where(Frame.id.in_(made_ids - {None}))
    products = {frame.id: frame for frame in db.session.scalars(made)}
    for frame_id, product_id, reason, block in entries:
        row = rows[frame_id]
        row.blocks.append(block)
        if product_id in products:
            row.product = products[product_id]
        if reason and block.is_valid:
            row.left_out.append(_left_out(block, reason))
        elif not reason and block.master_id in products:
            row.masters.append(products[block.master_id])
    for frame_id, block in _makers(user, list(rows)):
        rows[frame_id].blocks.append(block)
    return list(rows.values())


def _makers(user: Person, product_ids: Sequence[int]) -> Sequence[tuple[int, Block]]:
    """Return which block made which master or reduced frame."""
    mine = access.may_see(user, Block)
    masters = select(Block.master_id, Block).where(Block.master_id.in_(product_ids), mine)
    reduced = (
        select(BlockFrame.product_id, Block)
        .join(Block, Block.id == BlockFrame.block_id)
        .where(BlockFrame.product_id.in_(product_ids), mine)
    )
    found = [*db.session.execute(masters), *db.session.execute(reduced)]
    made = {(int(frame_id or 0), block.id): block for frame_id, block in found}
    return [(frame_id, made[frame_id, block_id]) for frame_id, block_id in sorted(made)]


def facets(
    user: Person,
    night: date | None,
    filters: FrameFilters,
    *,
    problems_only: bool = False,
    mark: str | None = None,
) -> dict[str, dict[str, int]]:
    """Count a night's frames of each kind, and of each level, that the other conditions leave."""
    level, kind = filters.get("level"), filters.get("kind")
    others = _conditions(night, {**filters, "level": None, "kind": None}, problems_only, mark)
    left = func.count(case((and_(*others), 1)))  # 0 where none is: it may be chosen all the same
    query = select(Frame.level, Frame.kind, left).where(access.may_see(user, Frame))
    query = query.where(*_conditions(night, {}))
    levels: dict[str, int] = {}
    kinds: dict[str, int] = {}
    for number, name, count in db.session.execute(query.group_by(Frame.level, Frame.kind)):
        levels[str(number)] = levels.get(str(number), 0) + count * (kind in {None, name})
        kinds[name] = kinds.get(name, 0) + count * (level in {None, number})
    return {"levels": levels, "kinds": dict(sorted(kinds.items(), key=lambda k: _order(k[0])))}


# One frame


def parents_of(user: Person, frame: Frame) -> Sequence[Kin]:
    """Return what a frame was made from, as far as this user may see it."""
    return _kin(user, FrameParent.parent_id, FrameParent.child_id == frame.id)


def children_of(user: Person, frame: Frame, limit: int = 200) -> Sequence[Kin]:
    """Return what was made from a frame, newest first, as far as this user may see it."""
    return _kin(user, FrameParent.child_id, FrameParent.parent_id == frame.id)[:limit]


def _kin(user: Person, other: Any, condition: ColumnElement[bool]) -> Sequence[Kin]:  # noqa: ANN401
    query = (
        select(Frame, FrameParent.role)
        .join(FrameParent, other == Frame.id)
        .where(condition, access.may_see(user, Frame))
        .order_by(FrameParent.role, Frame.id.desc())
    )
    return [Kin(frame, role) for frame, role in db.session.execute(query)]


def blocks_of(user: Person, frame: Frame) -> Sequence[Block]:
    """Return the blocks a frame is in, or was made by."""
    inside = select(BlockFrame.block_id).where(
        or_(BlockFrame.frame_id == frame.id, BlockFrame.product_id == frame.id)
    )
    query = access.visible_to(user, Block).where(
        or_(Block.id.in_(inside), Block.master_id == frame.id)
    )
    return db.session.scalars(query.order_by(Block.id)).all()


def left_out_of(user: Person, frame: Frame) -> list[str]:
    """Return of which blocks a frame was left out, and why."""
    places = (
        select(Block, BlockFrame.left_out)
        .join(BlockFrame, BlockFrame.block_id == Block.id)
        .where(BlockFrame.frame_id == frame.id, BlockFrame.left_out != "", Block.is_valid)
        .where(access.may_see(user, Block))
    )
    found = db.session.execute(places.order_by(Block.id))
    return [_left_out(block, reason) for block, reason in found]


def _left_out(block: Block, reason: str) -> str:
    return f"left out of {label(block)}: {reason}"


# Blocks


def block(user: Person, block_id: int) -> Block:
    """Return a block of any kind."""
    query = access.visible_to(user, Block).where(Block.id == block_id)
    found: Block | None = db.session.scalar(query)
    if found is None:
        raise NotFoundError(f"There is no block {block_id}.")
    return found


def block_rows(
    user: Person,
    *,
    kind: str | None = None,
    night: date | None = None,
    before_id: int | None = None,
    limit: int = 100,
) -> Sequence[BlockRow]:
    """Return blocks, newest first, with their counts and jobs; children stand in their group."""
    query: Select[Any] = access.visible_to(user, Block).where(Block.parent_id.is_(None))
    if kind:
        query = query.where(Block.kind == kind)
    if night is not None:
        query = query.where(Block.start_night <= night, Block.end_night >= night)
    if before_id is not None:
        query = query.where(Block.id < before_id)
    query = query.options(joinedload(Block.camera), joinedload(Block.master))
    found = db.session.scalars(query.order_by(Block.id.desc()).limit(limit)).unique().all()
    return counted(user, found)


def counted(user: Person, blocks: Sequence[Block]) -> Sequence[BlockRow]:
    """Return blocks with the number of their frames and their newest jobs."""
    ids = [one.id for one in blocks]
    parts = {child.id: one.id for one in blocks if one.is_group for child in one.children}
    counts = db.session.execute(_counts(user, [*ids, *parts]))
    totals = dict.fromkeys(ids, (0, 0))
    for block_id, n_frames, n_products in counts:
        home = parts.get(block_id, block_id)
        if home in totals:
            totals[home] = totals[home][0] + n_frames, totals[home][1] + n_products
    newest = jobs_of_blocks(user, ids)
    lacking = shortfalls.of_blocks(user, [*ids, *parts])
    missing = {
        one.id: shortfalls.short(
            word
            for part in (one.id, *(c for c in parts if parts[c] == one.id))
            for word in lacking.get(part, ())
        )
        for one in blocks
    }
    return [BlockRow(one, *totals[one.id], newest.get(one.id), missing[one.id]) for one in blocks]


def _counts(user: Person, block_ids: Sequence[int]) -> Select[int, int, int]:
    """Return the query for how many frames `user` sees in each block, and products of them."""
    query = (
        select(BlockFrame.block_id, func.count(), func.count(BlockFrame.product_id))
        .where(BlockFrame.block_id.in_(block_ids))
        .group_by(BlockFrame.block_id)
    )
    if access.sees_every_frame(user):  # the link alone tells, without a look at the frame
        return query
    return query.join(Frame, Frame.id == BlockFrame.frame_id).where(access.may_see(user, Frame))


def parts_of(user: Person, block: Block) -> Sequence[Block]:
    """Return the blocks of one band in a block of all bands, as far as this user may see them."""
    query = access.visible_to(user, Block).where(Block.parent_id == block.id)
    return db.session.scalars(query.order_by(Block.id)).all()


def jobs_of_blocks(user: Person, block_ids: Sequence[int]) -> Mapping[int, Job]:
    """Return the newest job of each block that this user may see."""
    about = Job.arguments["block_id"].as_integer()
    query = (
        access.visible_to(user, Job)
        .where(Job.function.startswith("blocks."), about.in_(block_ids))
        .order_by(Job.id)
    )
    return {int(job.arguments["block_id"]): job for job in db.session.scalars(query)}


def job(user: Person, job_id: int) -> Job:
    """Return a job this user may see."""
    found: Job | None = db.session.scalar(access.visible_to(user, Job).where(Job.id == job_id))
    if found is None:
        raise NotFoundError(f"There is no job {job_id}, or it is another observer's.")
    return found
