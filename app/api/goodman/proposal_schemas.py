"""Between Goodman's wire names of proposals and people and the domain."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

from app.api.parsing import Fields
from app.errors import InvalidRequestError
from app.models import Proposal, User
from app.services.proposals import Values

# What the wire calls a text, and what we do.
_TEXTS: Final[Mapping[str, str]] = {
    "soar_id": "code",
    "semester": "semester",
    "title": "title",
    "abstract": "abstract",
}
_WIRE_NAMES: Final = {ours: theirs for theirs, ours in _TEXTS.items()} | {"pi": "user"}
_WRITABLE: Final = (*_TEXTS, "user", "groups", "proprietary_days")
_ALSO: Final = "pi"  # what people call the user of a proposal
_ELSEWHERE: Final = "People are added and removed at proposals/collaborators/<id>/."


def parse_values(fields: Fields, proposal: Proposal | None = None) -> Values:
    """Read what is to be said of a proposal; what cannot be said here is refused, not ignored."""
    for name in sorted(set(fields) - {*_WRITABLE, _ALSO}):
        if name == "id" and proposal is not None and fields.integer("id") == proposal.id:
            continue
        known = f"There is no such field; these are: {', '.join(_WRITABLE)}."
        raise InvalidRequestError(**{name: _ELSEWHERE if name == "collaborators" else known})
    found: dict[str, Any] = {
        ours: fields.text(theirs) or "" for theirs, ours in _TEXTS.items() if theirs in fields
    }
    for name in (_ALSO, "user"):
        if name in fields:
            found["pi"] = _investigator(fields, name)
    if "groups" in fields:
        found["groups"] = fields.words("groups")
    if "proprietary_days" in fields:
        found["proprietary_days"] = fields.integer("proprietary_days")
    return cast(Values, found)


def _investigator(fields: Fields, name: str) -> str:
    """Return the user named: as a name, an e-mail, a number, or as a whole record of one."""
    sent = fields[name]
    if not isinstance(sent, dict):
        return fields.text(name) or ""
    if not sent.get("username"):
        raise InvalidRequestError(user="Give a user name, an e-mail or a number.")
    return Fields({"user": sent["username"]}).text("user") or ""


@contextmanager
def wire_names() -> Iterator[None]:
    """Name the fields of a refusal as the wire does."""
    try:
        yield
    except InvalidRequestError as error:
        renamed = {_WIRE_NAMES.get(name, name): why for name, why in error.fields.items()}
        raise InvalidRequestError("" if renamed else str(error), **renamed) from error


def render_serialized(proposal: Proposal, zone: ZoneInfo, *, with_emails: bool) -> dict[str, Any]:
    """Return a proposal as the archive serializes it."""
    pi = proposal.pi
    return {
        "id": proposal.id,
        "soar_id": proposal.code,
        "semester": proposal.semester,
        "title": proposal.title,
        "abstract": proposal.abstract,
        "user": _person(pi, zone, with_emails) if pi else None,
        "collaborators": [_person(one, zone, with_emails) for one in proposal.members],
    }


def render_record(proposal: Proposal, zone: ZoneInfo, *, with_emails: bool) -> dict[str, Any]:
    """Return a proposal with what only this server knows of it."""
    return render_serialized(proposal, zone, with_emails=with_emails) | {
        "groups": [group.name for group in proposal.groups],
        "proprietary_days": proposal.proprietary_days,
    }


def _person(user: User, zone: ZoneInfo, with_emails: bool) -> dict[str, Any]:
    return {
        "id": user.id,
        "username": user.username,
        "last_login": _local(user.last_login, zone),
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email if with_emails else "",
        "is_staff": user.is_staff,
        "is_active": user.is_active,
        "date_joined": _local(user.date_joined, zone),
    }


def _local(moment: datetime | None, zone: ZoneInfo) -> str | None:
    return moment.astimezone(zone).isoformat() if moment else None
