"""What a request with a `type` may ask of frames and blocks: the verbs behind the table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from app.api.parsing import Fields, MissingFieldError
from app.api.splus.dialect import Answer
from app.api.splus.schemas import render_block, render_frame, render_group
from app.errors import NotFoundError
from app.models import Block, BlockKind, Frame, User
from app.services import blocks, frames, lineage, nights, operations
from app.services.frames import FrameFilters


@dataclass(frozen=True, slots=True)
class BlockWords:
    """What differs between the block endpoints: which blocks, and how answers are worded."""

    kind: BlockKind
    is_group: bool = False
    created: str = ""
    running: str = ""
    registered: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who asks, what of, and the fields."""

    user: User
    fields: Fields
    words: BlockWords | None = None

    @property
    def id(self) -> int:
        """The id of the row asked for."""
        return required(self.fields.integer("id"), "id")

    @property
    def block(self) -> Block:
        """The block asked for."""
        words = self.block_words
        return blocks.get(self.user, words.kind, self.id, is_group=words.is_group)

    @property
    def block_words(self) -> BlockWords:
        """Which block endpoint this is."""
        if self.words is None:
            raise RuntimeError("a block verb stands on an endpoint without blocks")
        return self.words

    @property
    def frame(self) -> Frame:
        """The frame asked for."""
        found = operations.individual_files(self.user, frame_id=self.id, filters={})
        if not found:
            raise NotFoundError(f"There is no individual file {self.id}.")
        return found[0]


Act = Callable[[Call], Answer]
Value = TypeVar("Value")


def required(value: Value | None, name: str) -> Value:
    """Return a value that must have been sent."""
    if value is None:
        raise MissingFieldError(f"Must provide {name}!")
    return value


def period(fields: Fields) -> tuple[date, date]:
    """Return the first and the last night, both of which count."""
    start = required(fields.day("startDate"), "startDate")
    return start, required(fields.day("endDate"), "endDate")


def wanted_valid(fields: Fields) -> bool:
    """Return which rows are asked for, the valid ones unless told otherwise."""
    valid = fields.flag("valid")
    return True if valid is None else valid


def patterns(fields: Fields) -> str:
    """Return the patterns file names must hold one of; the original's page spells it twice."""
    return ",".join(fields.words("contains") or fields.words("nameContains"))


# Frames


def get_frames(call: Call) -> Answer:
    """Return single files by id, by nights, or by a pattern of their names."""
    fields = call.fields
    filters: FrameFilters = {"valid": wanted_valid(fields), "contains": patterns(fields)}
    if fields.given("id"):
        frame = call.frame
        found = operations.individual_files(call.user, frame_id=frame.id, filters=filters)
    else:
        if fields.given("startDate") or fields.given("endDate"):
            filters["start"], filters["end"] = period(fields)
        elif not filters["contains"]:
            raise MissingFieldError("No id or dates found in request")
        found = operations.individual_files(call.user, filters=filters)
    related = lineage.of_frames(call.user, found)
    return {"msg": [render_frame(frame, related) for frame in found]}


def validate_frame(call: Call) -> Answer:
    """Turn the validity of a single file round."""
    frame = frames.toggle_valid(call.frame, by=call.user)
    return {"msg": f"updated value to {int(frame.is_valid)}"}


def set_frame_status(call: Call) -> Answer:
    """Set how far a single file counts as reduced."""
    frames.set_status(call.frame, required(call.fields.integer("status"), "status"), by=call.user)
    return {"msg": "updated value"}


def set_frame_comment(call: Call) -> Answer:
    """Replace the comment on a single file."""
    frames.set_comment(call.frame, call.fields.text("comment") or "", by=call.user)
    return {"msg": "updated value"}


# Blocks


def get_blocks(call: Call) -> Answer:
    """Return blocks by id or by the nights they begin in."""
    fields, words = call.fields, call.block_words
    valid = wanted_valid(fields)
    if fields.given("id"):
        block = call.block
        found: Sequence[Block] = [block] if block.is_valid is valid else []
    elif fields.given("startDate") or fields.given("endDate"):
        start, end = period(fields)
        found = blocks.find(
            call.user, words.kind, is_group=words.is_group, start=start, end=end, valid=valid
        )
    else:
        raise MissingFieldError("No id or dates found in request")
    return {"msg": _render_blocks(call.user, found, fields.words("contains"))}


def _render_blocks(
    user: User, found: Sequence[Block], contains: Sequence[str]
) -> list[dict[str, Any]]:
    parts = {
        block.id: nights.parts_of(user, block) if block.is_group else [block] for block in found
    }
    members = lineage.of_blocks(user, [part for some in parts.values() for part in some])
    every = [f for m in members.values() for f in (*m.raws, *m.products)]
    related = lineage.of_frames(user, every)
    shown = [block for block in found if _holds(parts[block.id], members, contains)]
    return [
        render_group(block, members, related, parts=parts[block.id])
        if block.is_group
        else render_block(block, members[block.id], related)
        for block in shown
    ]


def _holds(
    parts: Sequence[Block], members: Mapping[int, lineage.Members], contains: Sequence[str]
) -> bool:
    """Tell whether any frame of a block has any of the patterns in its name."""
    names = (raw.file_name.lower() for part in parts for raw in members[part.id].raws)
    return not contains or any(word.lower() in name for name in names for word in contains)


def create_block(call: Call) -> Answer:
    """Make blocks of one kind from the frames of some nights, one for each camera and setting."""
    fields, words = call.fields, call.block_words
    start, end = period(fields)
    made = blocks.create(
        words.kind,
        start,
        end,
        owner=call.user,
        band=fields.text("band"),
        contains=patterns(fields),
        field=fields.text("field"),
    )
    first = made[0]
    message = words.created.format(n=len(first.entries))
    return {"msg": message, "id": first.id, "ids": [block.id for block in made]}


def create_group(call: Call) -> Answer:
    """Make a block of all bands from the frames of some nights."""
    fields, words = call.fields, call.block_words
    start, end = period(fields)
    group = blocks.create_group(words.kind, start, end, owner=call.user, contains=patterns(fields))
    return {"msg": words.created, "id": group.id, "ids": [part.id for part in group.children]}


def process_block(call: Call) -> Answer:
    """Queue the work of a block, all of it or the steps of a code."""
    block = call.block
    job = blocks.process(block, owner=call.user, code=call.fields.text("code") or "")
    return {"msg": call.block_words.running.format(id=block.id), "job": job.id}


def validate_block(call: Call) -> Answer:
    """Turn the validity of a block round; its blocks by band follow."""
    blocks.toggle_valid(call.block, by=call.user)
    return {"msg": "updated value"}


def set_block_status(call: Call) -> Answer:
    """Set whether a block counts as processed."""
    blocks.set_status(call.block, required(call.fields.integer("status"), "status"), by=call.user)
    return {"msg": "updated value"}


def set_block_substatus(call: Call) -> Answer:
    """Set the status of every frame in a block and of what was made of it."""
    blocks.set_substatus(
        call.block, required(call.fields.integer("status"), "status"), by=call.user
    )
    return {"msg": "updated values"}


def set_block_comment(call: Call) -> Answer:
    """Replace the comment on a block."""
    blocks.set_comment(call.block, call.fields.text("comment") or "", by=call.user)
    return {"msg": "updated value"}


def set_block_superflat(call: Call) -> Answer:
    """Link every frame of a block to a super-flat; a negative id unlinks them."""
    superflat_id = required(call.fields.integer("superflatid"), "superflatid")
    wanted = superflat_id if superflat_id >= 0 else None
    blocks.set_superflat(call.block, wanted, by=call.user)
    return {"msg": "updated value"}


def add_to_block(call: Call) -> Answer:
    """Add a frame to a block, a block of one band to one of all bands."""
    blocks.add(call.block, required(call.fields.integer("objid"), "objid"), by=call.user)
    return {"msg": "added value"}


def remove_from_block(call: Call) -> Answer:
    """Take a frame out of a block, a block of one band out of one of all bands."""
    blocks.remove(call.block, required(call.fields.integer("objid"), "objid"), by=call.user)
    return {"msg": "removed value"}


def register_block(call: Call) -> Answer:
    """Make a block of a master that exists as a file, here or from elsewhere."""
    words = call.block_words
    path = required(call.fields.text("filepath"), "filepath")
    block = blocks.register(words.kind, path, owner=call.user)
    return {"msg": words.registered.format(id=block.id), "id": block.id}
