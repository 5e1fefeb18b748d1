"""Blocks: frames reduced together."""

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, utcnow
from app.models.frames import Frame
from app.models.observatory import Camera
from app.models.users import User


class BlockKind(StrEnum):
    """What a block makes. A super-flat is a fringe block."""

    BIAS = "bias"
    DARK = "dark"
    FLAT = "flat"
    SCI = "sci"
    FRINGE = "fringe"


class Block(Base):
    """Frames of one kind, camera and setting; or, as `is_group`, the blocks of all bands."""

    __tablename__ = "blocks"
    __table_args__ = (
        Index("ix_blocks_kind_start", "kind", "start_night"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    is_group: Mapped[bool] = mapped_column(default=False)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("blocks.id"), index=True)
    band: Mapped[str | None]
    camera_id: Mapped[int | None] = mapped_column(ForeignKey("cameras.id"))
    start_night: Mapped[date | None]
    end_night: Mapped[date | None]  # inclusive
    contains: Mapped[str] = mapped_column(default="")
    status: Mapped[int] = mapped_column(default=0)  # 1: processed
    is_valid: Mapped[bool] = mapped_column(default=True)
    comment: Mapped[str] = mapped_column(default="")
    master_id: Mapped[int | None] = mapped_column(ForeignKey("frames.id"))
    mask_path: Mapped[str] = mapped_column(default="")  # of a registered master
    plan_key: Mapped[str | None] = mapped_column(unique=True)  # of the nightly plan, one block each
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)

    parent: Mapped["Block | None"] = relationship(remote_side="Block.id", back_populates="children")
    children: Mapped[list["Block"]] = relationship(back_populates="parent", order_by="Block.id")
    camera: Mapped[Camera | None] = relationship()
    master: Mapped[Frame | None] = relationship(foreign_keys=master_id)
    owner: Mapped[User | None] = relationship()
    entries: Mapped[list["BlockFrame"]] = relationship(
        back_populates="block", cascade="all, delete-orphan", order_by="BlockFrame.frame_id"
    )


class BlockFrame(Base):
    """A raw frame's place in a block, and why it was left out of the master if it was."""

    __tablename__ = "block_frames"

    block_id: Mapped[int] = mapped_column(ForeignKey("blocks.id"), primary_key=True)
    frame_id: Mapped[int] = mapped_column(ForeignKey("frames.id"), primary_key=True, index=True)
    left_out: Mapped[str] = mapped_column(default="")
    product_id: Mapped[int | None] = mapped_column(ForeignKey("frames.id"), index=True)

    block: Mapped[Block] = relationship(back_populates="entries")
    frame: Mapped[Frame] = relationship(foreign_keys=frame_id)
    product: Mapped[Frame | None] = relationship(foreign_keys=product_id)


class SuperflatLink(Base):
    """The super-flat a frame is to be corrected with."""

    __tablename__ = "superflat_links"

    frame_id: Mapped[int] = mapped_column(ForeignKey("frames.id"), primary_key=True)
    block_id: Mapped[int] = mapped_column(ForeignKey("blocks.id"), index=True)

    block: Mapped[Block] = relationship()
