"""Rows for tests, each with sensible values for whatever a test does not care about."""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

from app.db import db, transaction
from app.models import Block, BlockFrame, Camera, Frame, User
from app.services import accounts
from tests.numbering import number

# Scrypt takes a tenth of a second, as it should; thousands of tests have a user of one password.
hashed = cache(accounts.hash_password)


def make_user(username: str = "observer", password: str = "night-sky-7", **values: Any) -> User:
    with transaction():
        user = User(username=username, password_hash=hashed(password), **values)
        db.session.add(user)
    return user


def make_camera(name: str = "Simulated", **values: Any) -> Camera:
    defaults = {"instrument": name, "telescope": "", "nx": 64, "ny": 48}
    with transaction():
        camera = Camera(name=name, **(defaults | values))
        db.session.add(camera)
    return camera


def make_frame(kind: str = "science", **values: Any) -> Frame:
    n = number("frame")
    defaults: dict[str, Any] = {
        "path": f"RAW/2026-11-20/{kind}_{n:04d}.fits",
        "file_name": f"{kind}_{n:04d}.fits",
        "kind": kind,
        "nx": 64,
        "ny": 48,
        "night": date(2026, 11, 20),
        "start_utc": datetime(2026, 11, 20, 22, 0, tzinfo=UTC) + timedelta(seconds=n),
        "exptime_s": 0.0 if kind == "bias" else 30.0,
        "band": "r" if kind in {"flat", "science"} else None,
    }
    with transaction():
        frame = Frame(**(defaults | values))
        db.session.add(frame)
    return frame


def make_block(kind: str = "bias", frames: list[Frame] | None = None, **values: Any) -> Block:
    defaults: dict[str, Any] = {"start_night": date(2026, 11, 20), "end_night": date(2026, 11, 20)}
    with transaction():
        block = Block(kind=kind, **(defaults | values))
        block.entries = [BlockFrame(frame=frame) for frame in frames or []]
        db.session.add(block)
    return block
