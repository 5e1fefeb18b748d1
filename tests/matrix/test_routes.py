"""Every route, by everyone, on a site that shows frames to all or to members only."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from flask import Flask
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from app.api.auth import PUBLIC
from tests.matrix.calls import MISSED, OK, STRANGER, Call, difference, outcomes_of, told
from tests.matrix.conftest import COUNTS, Keeper
from tests.matrix.table import TABLE
from tests.matrix.world import Caller, Thing, World

# Other spellings of routes that are asked in full: a few callers are enough there.
_ALIASES: Final = frozenset(
    {"splus.individual", "splus.individualfiles", "splus.flatblockbyfilter", "splus.field"}
    | {"splus.fieldimage", "splus.fieldimages", "splus.finaltiles"}
)
_FEW: Final = ("anonymous", "disabled user", "observer", "member", "staff")
_LIKE_OTHERS: Final = ("member by group", "principal investigator", "superuser")
# Turned away before a route knows what it is asked; one call of each shows it.
_TOKEN_ONLY: Final = ("expired token", "revoked token", "disabled user")
_LIKE_VALIDATE: Final = frozenset(
    {"setstatus", "setsubstatus", "setcomment", "setsuperflat", "add", "remove", "create"}
)
_TELLING: Final = ("secret", "others", "mixed", "missing")


def routes(app: Flask) -> Iterator[tuple[Rule, str]]:
    """Every rule of the URL map with each of its methods."""
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule, method


def test_every_route_has_a_row_in_the_table(app: Flask) -> None:
    known = {(rule.endpoint, method) for rule, method in routes(app)}

    missing = sorted(known - set(TABLE))
    gone = sorted(set(TABLE) - known)
    assert not missing, (
        f"tests/matrix/table.py has no row for {missing}: add one that says how the route is "
        "called, what thing it is about, and who may see (who_sees) or change (who_may_change) it"
    )
    assert not gone, f"tests/matrix/table.py has rows of routes that are no more: {gone}"


@dataclass(slots=True)
class Asking:
    """Asks one route, by everyone, about everything, and notes what is wrong."""

    world: World
    keeper: Keeper
    rule: Rule
    method: str
    wrong: list[str]

    def ask_all(self) -> None:
        for call in TABLE[self.rule.endpoint, self.method]:
            for caller in self._callers(call):
                self._ask_about_all(call, caller)

    def _callers(self, call: Call) -> list[Caller]:
        face = self.rule.endpoint.partition(".")[0]
        is_alias = self.rule.endpoint in _ALIASES or face in {"goodman_gsp", "stdweb_prefixed"}
        is_few = call.once or is_alias or self.world.is_open
        left_out: set[str] = set()
        if call is not TABLE[self.rule.endpoint, self.method][0]:
            left_out |= set(_TOKEN_ONLY)
        if self.rule.endpoint.startswith("splus.") and call.label in _LIKE_VALIDATE:
            left_out |= set(_LIKE_OTHERS)
        return [
            caller
            for name, caller in self.world.callers.items()
            if name not in left_out and (not is_few or name in _FEW)
        ]

    def _things(self, call: Call, caller: Caller) -> dict[str, Thing]:
        """Return what to ask about: strangers get nothing, and some are as good as others."""
        things = dict(call.things(self.world))
        if caller.is_stranger:
            return dict(list(things.items())[:1])
        if caller.name in _LIKE_OTHERS:
            return {k: v for k, v in things.items() if k in _TELLING} or things
        return things

    def _ask_about_all(self, call: Call, caller: Caller) -> None:
        hidden: dict[str, tuple[Any, ...]] = {}
        for name, thing in self._things(call, caller).items():
            response = self._sent(call, caller, thing)
            what = f"{caller.name}: {self.method} {self.rule.rule} {call.label} {name}".strip()
            self._judge(what, response, caller, self._expected(call, caller, thing))
            if not caller.is_stranger and not self.world.sees(caller, thing):
                hidden[name] = told(response, thing)
            response.close()
        self._compare(f"{caller.name}: {self.method} {self.rule.rule} {call.label}", hidden)

    def _sent(self, call: Call, caller: Caller, thing: Thing) -> TestResponse:
        request = call.filled(thing)
        _, address = self.rule.build(request.pop("parts")) or ("", "")
        if request["json"] is None:
            request.pop("json")
        return caller.client.open(address, method=self.method, **request)

    def _expected(self, call: Call, caller: Caller, thing: Thing) -> set[str]:
        if caller.is_stranger and self.rule.endpoint not in PUBLIC:
            return {STRANGER}
        if caller.is_stranger and self.rule.endpoint == "splus.media":
            return {MISSED} if self.world.media_open else {STRANGER}
        return call.rule(self.world, caller, thing)

    def _judge(self, what: str, response: TestResponse, caller: Caller, expected: set[str]) -> None:
        COUNTS["calls"] += 1
        found = outcomes_of(response)
        if not found & expected:
            self.wrong.append(
                f"{what}: {sorted(found)} ({response.status_code}), not {sorted(expected)}: "
                f"{response.get_data()[:200]!r}"
            )
        self._look_for_secrets(what, response, caller)
        self._look_for_changes(what, OK in found)

    def _look_for_secrets(self, what: str, response: TestResponse, caller: Caller) -> None:
        heard = response.get_data().lower() + str(response.headers).lower().encode()
        for word in self.world.forbidden_words(caller):
            COUNTS["searches for a secret"] += 1
            if word in heard:
                at = heard.index(word)
                self.wrong.append(f"{what}: tells {word!r}: {heard[max(0, at - 90) : at + 60]!r}")

    def _look_for_changes(self, what: str, is_done: bool) -> None:
        if self.method == "GET" and not self.keeper.writes:
            return
        COUNTS["looks at the database"] += 1
        if not self.keeper.writes:
            return
        if not is_done and not self.keeper.is_as_it_was():
            self.wrong.append(f"{what}: was refused and changed something: {self.keeper.writes}")
        self.keeper.restore()

    def _compare(self, what: str, hidden: dict[str, tuple[Any, ...]]) -> None:
        """Hold what is hidden to what is not there: the same answer to the last byte."""
        nothing = hidden.pop("missing", None)
        if self.rule.endpoint.startswith("stdweb"):  # documents a 403 for a task of others
            return
        for name, answer in hidden.items():
            COUNTS["hidden things compared with none"] += 1
            if nothing is not None and answer != nothing:
                self.wrong.append(
                    f"{what}: {name} is told from what is not there: {difference(answer, nothing)}"
                )


def test_nobody_gets_or_changes_what_is_not_theirs(
    app: Flask, world: World, keeper: Keeper, shown_to: str
) -> None:
    wrong: list[str] = []

    for rule, method in routes(app):
        if (rule.endpoint, method) in TABLE:
            Asking(world, keeper, rule, method, wrong).ask_all()

    assert not wrong, f"{len(wrong)} answers on a site open to {shown_to}:\n" + "\n".join(wrong)
