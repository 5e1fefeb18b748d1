"""Which calibrations products went without, in the few words a list has room for."""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import Any, Final

import orjson
from sqlalchemy import Row, Select, Text, cast, func, select

from app.db import db
from app.models import Block, BlockFrame, Frame
from app.models import User as Person
from app.services import access

_STEP: Final = re.compile(r"no (bias|dark|flat)|(bias|dark|flat) not applied", re.ASCII)
_ORDER: Final = ("no bias", "no dark", "no flat")
_MISSING: Final = cast(Frame.missing, Text)
_HAS_MISSING: Final = func.json_array_length(Frame.missing) > 0


def short(sentences: Iterable[str]) -> tuple[str, ...]:
    """Return what is missing without the reasons: ``("no bias", "no flat")``."""
    found = {_short(sentence) for sentence in sentences}
    return (*(word for word in _ORDER if word in found), *sorted(found - set(_ORDER)))


def _short(sentence: str) -> str:
    step = _STEP.match(sentence)
    return f"no {step[1] or step[2]}" if step else re.split(r": | \(", sentence)[0]


def of_blocks(user: Person, block_ids: Collection[int]) -> Mapping[int, tuple[str, ...]]:
    """Return what the products `user` sees of blocks lack, by block; complete ones are left out."""
    seen = access.may_see(user, Frame)
    reduced = (
        select(BlockFrame.block_id, _MISSING)
        .join(Frame, Frame.id == BlockFrame.product_id)
        .where(BlockFrame.block_id.in_(block_ids), _HAS_MISSING, seen)
    )
    masters = (
        select(Block.id, _MISSING)
        .join(Frame, Frame.id == Block.master_id)
        .where(Block.id.in_(block_ids), _HAS_MISSING, seen)
    )
    return _shortened([*_rows(reduced), *_rows(masters)])


def of_nights(user: Person, first: date, end: date) -> Mapping[date, tuple[str, ...]]:
    """Return what the products of nights from `first` on, before `end`, lack, by night."""
    lacking = select(Frame.night, _MISSING).where(
        access.may_see(user, Frame), Frame.night >= first, Frame.night < end, _HAS_MISSING
    )
    return _shortened(_rows(lacking))


def _rows(query: Select[Any, Any]) -> Iterable[Row[Any, Any]]:
    return db.session.execute(query.distinct())


def _shortened(rows: Iterable[Row[Any, Any]]) -> dict[Any, tuple[str, ...]]:
    said: dict[Any, list[str]] = {}
    for key, text in rows:
        said.setdefault(key, []).extend(orjson.loads(text))
    return {key: short(sentences) for key, sentences in said.items()}
