"""What a call to a route is made of, what may come of it, and how an answer is understood."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from werkzeug.test import TestResponse
from werkzeug.wrappers import Response

from tests.matrix.world import MISSING, Caller, Thing, World

OK: Final = "ok"
MISSED: Final = "missing"  # nothing there, or nothing they may see
REFUSED: Final = "refused"
INVALID: Final = "invalid"  # what was asked cannot be done, whoever asks
STRANGER: Final = "stranger"  # who is asking is not known

Rule = Callable[[World, Caller, Thing], set[str]]


@dataclass(frozen=True, slots=True)
class Call:
    """One way to call a route; `$id`, `$name` stand for the thing it is about, one of a kind.

    `rule` says what may come of it for somebody signed in; strangers are turned away first.
    """

    rule: Rule
    about: str = ""
    which: tuple[str, ...] = ()  # things of that kind; none named: all
    parts: Mapping[str, Any] = field(default_factory=dict)  # of the address
    query: Mapping[str, Any] = field(default_factory=dict)
    form: Mapping[str, Any] | None = None
    json: Mapping[str, Any] | None = None
    label: str = ""
    once: bool = False  # costly: asked by a few callers only

    def things(self, world: World) -> Mapping[str, Thing]:
        """Return what it is asked about, by name."""
        if not self.about:
            return {"": Thing(0)}
        known = world.things[self.about]
        return {name: known[name] for name in self.which or known}

    def filled(self, thing: Thing) -> dict[str, Any]:
        """Return the parts of the request, of this thing."""
        values = {"parts": self.parts, "query_string": self.query, "data": self.form}
        filled = {name: _fill(value, thing) for name, value in values.items()}
        return filled | {"json": _fill(self.json, thing)}


def _fill(value: Any, thing: Thing) -> Any:
    if isinstance(value, Mapping):
        return {key: _fill(one, thing) for key, one in value.items()}
    if isinstance(value, list):
        return [_fill(one, thing) for one in value]
    if value == "$id":
        return thing.id
    if isinstance(value, str):
        return value.replace("$id", str(thing.id)).replace("$name", thing.name or "nothing.fits")
    return value


# Who gets what.


def everyone(*outcomes: str) -> Rule:
    """The same for everyone signed in."""
    return lambda _world, _caller, _thing: set(outcomes or (OK,))


def who_sees(*outcomes: str) -> Rule:
    """Those who may see the thing; for others it is not there."""
    wanted = set(outcomes or (OK,))
    return lambda world, caller, thing: wanted if world.sees(caller, thing) else {MISSED}


def who_may_change(*outcomes: str) -> Rule:
    """Those who may change the thing; others are refused, or do not see it."""
    wanted = set(outcomes or (OK,))

    def rule(world: World, caller: Caller, thing: Thing) -> set[str]:
        if not world.sees(caller, thing):
            return {MISSED}
        return wanted if world.may_change(caller, thing) else {REFUSED}

    return rule


def staff(*outcomes: str) -> Rule:
    """Staff; others are refused before anything is looked up."""
    wanted = set(outcomes or (OK,))
    return lambda _world, caller, thing: (
        ({MISSED} if thing.id == MISSING else wanted) if caller.is_staff else {REFUSED}
    )


def superusers(*outcomes: str) -> Rule:
    """Superusers; others are refused."""
    wanted = set(outcomes or (OK,))
    return lambda _world, caller, _thing: wanted if caller.name == "superuser" else {REFUSED}


def outcomes_of(response: TestResponse) -> set[str]:
    """Return what an answer says; this one API words a refusal with status 200."""
    status = response.status_code
    location = response.headers.get("Location", "")
    if status == 401 or "/sign-in/" in location:
        return {STRANGER}
    by_status = {403: {REFUSED}, 404: {MISSED}}
    if status >= 400:
        return by_status.get(status, {INVALID} if status < 500 else {"broken"})
    if response.mimetype == "application/json" and response.request.path.startswith("/reduction/"):
        body = response.get_json()
        if isinstance(body, dict) and (body.get("status") is False or "error" in body):
            return {MISSED, INVALID}
    return {OK}


_VARIES: Final = re.compile(
    rb'name="csrf_token" value="[^"]*"|"X-CSRFToken": "[^"]*"'
    rb'|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[^"<]*'
)


def told(response: Response, thing: Thing) -> tuple[Any, ...]:
    """Return all an answer tells, but for the number it was asked about and the time."""
    number = str(thing.id).encode()
    body = _VARIES.sub(b"", response.get_data()).replace(number, b"N")
    if thing.name:
        body = body.replace(thing.name.encode(), b"NAME")
    headers = sorted(
        (name, value.replace(str(thing.id), "N"))
        for name, value in response.headers.items()
        if name not in {"Content-Length", "Date", "Set-Cookie"}
    )
    return response.status_code, headers, body


def difference(one: tuple[Any, ...], other: tuple[Any, ...]) -> str:
    """Return the first thing in which two answers differ."""
    if one[:2] != other[:2]:
        return f"{one[:2]} and {other[:2]}"
    at = next(
        (i for i, pair in enumerate(zip(one[2], other[2], strict=False)) if len(set(pair)) > 1), -1
    )
    return f"{one[2][max(0, at - 60) : at + 60]!r} and {other[2][max(0, at - 60) : at + 60]!r}"
