"""Operational settings: defaults in code and config.toml, changed at run time as rows."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from sqlalchemy import Connection, select

from app import config
from app.config import OPERATIONAL, ConfigError, Setting, SettingValue
from app.db import db, transaction
from app.errors import InvalidRequestError
from app.models import AuditEntry, StoredSetting, User

log = logging.getLogger(__name__)

_SNAPSHOT: Final = "settings"
_DEFAULTS: Final[Mapping[str, SettingValue]] = {s.name: s.default for s in OPERATIONAL.values()}
_STORED: Final = select(*StoredSetting.__table__.columns)  # made once, and no objects of it


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All operational settings at one moment, for the length of a request or a job."""

    values: Mapping[str, SettingValue]

    def flag(self, name: str) -> bool:
        """Return a true-or-false setting."""
        return bool(self.values[name])

    def integer(self, name: str) -> int:
        """Return a whole number."""
        return int(str(self.values[name]))

    def number(self, name: str) -> float:
        """Return a number."""
        return float(str(self.values[name]))

    def text(self, name: str) -> str:
        """Return a text."""
        return str(self.values[name])


def snapshot() -> Snapshot:
    """Return every operational setting as it stands now.

    It is read once a transaction, for a request asks several times: the next transaction sees
    what another process changed.
    """
    session = db.session()
    known = session.info.get(_SNAPSHOT)
    if known is not None and known[0] is session.get_transaction():
        found: Snapshot = known[1]
        return found
    made = Snapshot(_values(session.connection()))
    session.info[_SNAPSHOT] = session.get_transaction(), made
    return made


def _values(connection: Connection) -> dict[str, SettingValue]:
    values = {**_DEFAULTS, **config.current().defaults}
    for name, stored in _stored(connection):
        setting = OPERATIONAL.get(name)
        if setting is not None:  # a row of an older version may name one that is gone
            values[name] = _usable(setting, stored, values[name])
    return values


def _stored(connection: Connection) -> list[tuple[str, object]]:
    rows = connection.execute(_STORED).all()
    return [(f"{section}.{item}", value) for section, item, value in rows]


def _usable(setting: Setting, stored: object, default: SettingValue) -> SettingValue:
    """Return a stored value, or what holds without it where an older version let nonsense in."""
    try:
        return config.coerce(setting, stored)
    except ConfigError as error:
        _warn_once(f"{error}; {default!r} is used instead")
        return default


@cache
def _warn_once(text: str) -> None:
    log.warning("%s", text)


def change(section: str, item: str, value: object, *, by: User) -> Setting:
    """Set an operational setting from whatever a form or a script sent.

    Raises
    ------
    InvalidRequestError
        If there is no such setting or nothing could work with the value.
    """
    setting = OPERATIONAL.get(f"{section}.{item}")
    if setting is None:
        raise InvalidRequestError(item=f"there is no setting {section}.{item}")
    try:
        coerced = config.coerce(setting, value)
    except ConfigError as error:
        raise InvalidRequestError(value=str(error)) from error
    with transaction():
        db.session.merge(StoredSetting(section=section, item=item, value=coerced))
        db.session().info.pop(_SNAPSHOT, None)
        db.session.add(
            AuditEntry(user_id=by.id, action="setting", subject=setting.name, detail=str(coerced))
        )
    return setting
