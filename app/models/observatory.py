"""Cameras, as their frames show them."""

from typing import Any

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class Camera(Base):
    """An instrument with one geometry. Frames of different cameras never meet in a block."""

    __tablename__ = "cameras"
    __table_args__ = (
        UniqueConstraint("instrument", "telescope", "nx", "ny", "binning_x", "binning_y"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    instrument: Mapped[str]  # "" where headers have no INSTRUME: an unidentified camera
    telescope: Mapped[str]  # "" where blank or driver-made, which matches any
    nx: Mapped[int]
    ny: Mapped[int]
    binning_x: Mapped[int] = mapped_column(default=1)
    binning_y: Mapped[int] = mapped_column(default=1)
    profile: Mapped[dict[str, Any]] = mapped_column(default=dict)  # over the headers' values
