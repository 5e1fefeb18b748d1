"""Numbered pages: every row on its page, however deep, while counts are kept for a while."""

import pytest
from flask import Flask, current_app
from sqlalchemy import ColumnElement, select

from app.db import db, transaction
from app.models import Frame
from app.services import numbered
from app.services.numbered import Numbering
from tests.factories import make_frame

BIAS: list[ColumnElement[bool]] = [Frame.kind == "bias"]


@pytest.fixture
def frames(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ids of 40 biases among as many flats, newest first; eight ids are counted together."""
    monkeypatch.setattr(numbered, "STEP", 8)
    monkeypatch.setattr(numbered, "DEEP", 5)
    with transaction():
        made = [
            Frame(path=f"RAW/{n}.fits", file_name=f"{n}.fits", kind=kind, nx=1, ny=1)
            for n in range(80)
            for kind in [("bias", "flat")[n % 2]]
        ]
        db.session.add_all(made)
    return [frame.id for frame in made if frame.kind == "bias"][::-1]


def forget() -> None:
    current_app.extensions.pop("coelostat.counts", None)


def window(start: int, size: int = 4) -> list[int]:
    query = select(Frame).where(*BIAS)
    found = Numbering("bias", BIAS).window(query, start=start, stop=start + size)
    return [frame.id for frame in found]


@pytest.mark.parametrize("start", range(41))
def test_row_stands_on_its_page_however_deep(frames: list[int], start: int) -> None:
    assert window(start) == frames[start : start + 4]


def test_deep_page_is_right_when_frames_came_after_it_was_counted(frames: list[int]) -> None:
    window(20)
    new = [make_frame("bias").id for _ in range(3)]

    assert Numbering("bias", BIAS).count() == 43
    assert window(20) == ([*new[::-1], *frames])[20:24]


def test_new_frames_are_counted_at_once_and_gone_ones_when_the_count_is_old(
    frames: list[int],
) -> None:
    numbering = Numbering("bias", BIAS)
    assert numbering.count() == 40
    make_frame("bias")
    make_frame("flat")
    with transaction():
        db.session.delete(db.session.get_one(Frame, frames[7]))

    assert numbering.count() == 41
    forget()
    assert numbering.count() == 40


def test_count_is_not_made_again_for_each_page(
    frames: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbered, "KEEP_S", 1000.0)
    numbering = Numbering("bias", BIAS)
    numbering.count()
    with transaction():
        db.session.get_one(Frame, frames[0]).kind = "flat"

    assert numbering.count() == 40


def test_count_is_made_again_when_it_has_grown_old(
    frames: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbered, "KEEP_S", 0.0)
    monkeypatch.setattr(numbered, "KEEP_TIMES", 0)
    numbering = Numbering("bias", BIAS)
    numbering.count()
    with transaction():
        db.session.get_one(Frame, frames[0]).kind = "flat"

    assert numbering.count() == 39


def test_conditions_of_another_key_have_a_count_of_their_own(frames: list[int]) -> None:
    make_frame("flat")

    assert Numbering("bias", BIAS).count() == 40
    assert Numbering("flat", [Frame.kind == "flat"]).count() == 41


def test_what_is_kept_does_not_grow_for_ever(
    frames: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbered, "_MAX_KEPT", 3)

    for key in range(10):
        Numbering(key, BIAS).count()

    assert len(current_app.extensions["coelostat.counts"]) <= 3
