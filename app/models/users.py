"""People, their tokens and their proposals."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, Table
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, utcnow


class User(Base):
    """Someone with an account: observer, staff or superuser."""

    __tablename__ = "users"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)
    email: Mapped[str] = mapped_column(default="", index=True)
    first_name: Mapped[str] = mapped_column(default="")
    last_name: Mapped[str] = mapped_column(default="")
    password_hash: Mapped[str | None]  # None: no password can match
    is_staff: Mapped[bool] = mapped_column(default=False)
    is_superuser: Mapped[bool] = mapped_column(default=False)
    is_active: Mapped[bool] = mapped_column(default=True)
    date_joined: Mapped[datetime] = mapped_column(default=utcnow)
    last_login: Mapped[datetime | None]

    tokens: Mapped[list["Token"]] = relationship(back_populates="user")

    @property
    def display_name(self) -> str:
        """Full name, or the user name where none is given."""
        return f"{self.first_name} {self.last_name}".strip() or self.username


class Token(Base):
    """A key for scripts; only its SHA-256 is kept."""

    __tablename__ = "tokens"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(default="")
    digest: Mapped[str] = mapped_column(unique=True)
    prefix: Mapped[str]  # the first characters, so that people recognise a key
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    user: Mapped[User] = relationship(back_populates="tokens")


class BrowserSession(Base):
    """A browser somebody signed in with; its cookie holds a key of which the SHA-256 is kept."""

    __tablename__ = "browser_sessions"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    digest: Mapped[str] = mapped_column(unique=True)
    agent: Mapped[str] = mapped_column(default="")  # the browser, in its own words
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    last_seen_at: Mapped[datetime] = mapped_column(default=utcnow)
    ended_at: Mapped[datetime | None]


class Invitation(Base):
    """A link by which somebody sets a first or a new password, once; only its SHA-256 is kept."""

    __tablename__ = "invitations"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    made_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    digest: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]

    user: Mapped[User] = relationship(foreign_keys=user_id)


group_members = Table(
    "group_members",
    Base.metadata,
    Column("group_id", ForeignKey("groups.id"), primary_key=True),
    Column("user_id", ForeignKey("users.id"), primary_key=True, index=True),
)

proposal_groups = Table(
    "proposal_groups",
    Base.metadata,
    Column("proposal_id", ForeignKey("proposals.id"), primary_key=True),
    Column("group_id", ForeignKey("groups.id"), primary_key=True, index=True),
)

proposal_members = Table(
    "proposal_members",
    Base.metadata,
    Column("proposal_id", ForeignKey("proposals.id"), primary_key=True),
    Column("user_id", ForeignKey("users.id"), primary_key=True, index=True),
)


class Group(Base):
    """People who are put on proposals together: a class, a team."""

    __tablename__ = "groups"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str] = mapped_column(default="")

    members: Mapped[list[User]] = relationship(secondary=group_members, order_by="User.username")


class Proposal(Base):
    """A programme frames belong to, by the code in their headers."""

    __tablename__ = "proposals"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    semester: Mapped[str] = mapped_column(default="")
    title: Mapped[str] = mapped_column(default="")
    abstract: Mapped[str] = mapped_column(default="")
    pi_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    # Days after its night when a frame is everyone's; None: as access.proprietary_days says.
    proprietary_days: Mapped[int | None]
    reduction: Mapped[dict[str, Any]] = mapped_column(default=dict)  # its own settings, by name

    pi: Mapped[User | None] = relationship()
    members: Mapped[list[User]] = relationship(secondary=proposal_members, order_by="User.id")
    groups: Mapped[list[Group]] = relationship(secondary=proposal_groups, order_by="Group.name")


class AuditEntry(Base):
    """Who changed what."""

    __tablename__ = "audit_log"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=utcnow, index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    action: Mapped[str]
    subject: Mapped[str] = mapped_column(index=True)
    detail: Mapped[str] = mapped_column(default="")

    user: Mapped[User | None] = relationship()
