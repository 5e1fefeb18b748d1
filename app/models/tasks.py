"""Single images that are processed in steps, and the named settings they start from."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, ForeignKey, Integer, Table
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, utcnow
from app.models.users import Group, User


class TaskStep(StrEnum):
    """What can be done with the image of a task, under the names its clients know."""

    STACK = "stack"
    INSPECT = "inspect"
    PHOTOMETRY = "photometry"
    SIMPLE_TRANSIENTS = "simple_transients"
    SUBTRACTION = "subtraction"
    CLEANUP = "cleanup"


task_groups = Table(
    "task_groups",
    Base.metadata,
    Column("task_id", ForeignKey("tasks.id"), primary_key=True),
    Column("group_id", ForeignKey("groups.id"), primary_key=True, index=True),
)
# Of what a task is made. No foreign key to the frames: it is to be told of one that is gone, too.
task_frames = Table(
    "task_frames",
    Base.metadata,
    Column("task_id", ForeignKey("tasks.id"), primary_key=True),
    Column("frame_id", Integer, primary_key=True, autoincrement=False),
)


class Task(Base):
    """One image in steps, with its configuration and a folder of its own."""

    __tablename__ = "tasks"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    original_name: Mapped[str] = mapped_column(default="")
    title: Mapped[str] = mapped_column(default="")
    state: Mapped[str] = mapped_column(default="initial", index=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    job_id: Mapped[int | None] = mapped_column(index=True)  # the open one; None: nothing runs
    config: Mapped[dict[str, Any]] = mapped_column(default=dict)
    source: Mapped[str] = mapped_column(default="")  # path below the data root it was copied from
    created_at: Mapped[datetime] = mapped_column(default=utcnow, index=True)
    modified_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)
    completed_at: Mapped[datetime | None]  # when the last step ended

    owner: Mapped[User] = relationship()
    groups: Mapped[list[Group]] = relationship(secondary=task_groups, order_by="Group.name")


class Preset(Base):
    """A named configuration that tasks may start from."""

    __tablename__ = "presets"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    config: Mapped[dict[str, Any]] = mapped_column(default=dict)
