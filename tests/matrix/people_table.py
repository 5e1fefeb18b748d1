"""The routes of people, accounts and proposals, and who gets what through them."""

from typing import Any, Final

from tests.matrix.calls import INVALID, MISSED, OK, REFUSED, Call, everyone, staff, who_sees
from tests.matrix.world import MISSING, PASSWORD, Caller, Thing, World

_PROPOSAL: Final = {"proposal_id": "$id"}
_USER: Final = {"user_id": "$id"}
_GROUP: Final = {"group_id": "$id"}
_PEOPLE: Final = ("observer", "member", "staff", "missing")
_MISSING_ROW: Final = 77_000_999


def _leads(world: World, caller: Caller, thing: Thing) -> set[str]:
    """Say who may put people on a proposal: its investigator and staff."""
    if not world.sees(caller, thing):
        return {MISSED}
    is_pi = caller.name == "principal investigator" and thing.proposals == {"A"}
    return {OK} if caller.is_staff or is_pi else {REFUSED}


def _leads_none(world: World, caller: Caller, thing: Thing) -> set[str]:
    """Say the same of what is about somebody who is not there."""
    found = _leads(world, caller, thing)
    return {MISSED, INVALID, OK} if found == {OK} else found


def _edits(world: World, caller: Caller, thing: Thing) -> set[str]:
    """Say who may change a proposal itself: staff."""
    if not world.sees(caller, thing):
        return {MISSED}
    return {OK} if caller.is_staff else {REFUSED}


def _writes(world: World, caller: Caller, thing: Thing) -> set[str]:
    """Say who may write to its people: they themselves and staff; no mail server is set up."""
    if not world.sees(caller, thing):
        return {MISSED}
    return {INVALID} if caller.is_staff or caller.on in thing.proposals else {REFUSED}


def _manages(world: World, caller: Caller, thing: Thing) -> set[str]:
    """Say who may change an account: staff those of observers, superusers all."""
    if not caller.is_staff:
        return {REFUSED}
    people = {user.id: name for name, user in _users(world).items()}
    if thing.id not in people:
        return {MISSED}
    if people[thing.id] in {"staff", "superuser"} and caller.name != "superuser":
        return {REFUSED, INVALID, OK} if people[thing.id] == caller.name else {REFUSED}
    return {OK, INVALID}


def _users(world: World) -> dict[str, Thing]:
    return {name: thing for name, thing in world.things["user"].items() if name != "missing"}


def _person(rule: Any = _manages, **request: Any) -> tuple[Call, ...]:
    return (Call(rule, "user", _PEOPLE, _USER, **request),)


def _is_staff(_world: World, caller: Caller, _thing: Thing) -> set[str]:
    return {MISSED, INVALID} if caller.is_staff else {REFUSED}


# Calls here come with a token, by which nobody gives an account another key, name or password.
PEOPLE: Final = {
    ("pages.show_account", "GET"): (Call(everyone()),),
    ("pages.make_token", "POST"): (Call(everyone(REFUSED), form={"name": "laptop"}),),
    ("pages.revoke_token", "POST"): (
        Call(
            lambda _w, c, t: {OK} if t.owner == c.name else {MISSED},
            "token",
            parts={"token_id": "$id"},
        ),
    ),
    ("pages.change_password", "POST"): (Call(everyone(REFUSED)),),
    ("pages.edit_account", "POST"): (Call(everyone(REFUSED), form={"first_name": "Ada"}),),
    ("pages.end_browser", "POST"): (Call(everyone(MISSED), parts={"session_id": _MISSING_ROW}),),
    ("pages.sign_out", "POST"): (Call(everyone("stranger", OK)),),
    ("pages.show_people", "GET"): (Call(staff()),),
    ("pages.add_person", "POST"): (
        Call(staff(), form={"username": "new", "password": PASSWORD, "email": "new@obs.example"}),
    ),
    ("pages.show_person", "GET"): (Call(staff(), "user", _PEOPLE, _USER),),
    ("pages.edit_person", "POST"): _person(form={"first_name": "Ada"}),
    ("pages.set_person_role", "POST"): (
        Call(
            lambda w, c, t: (
                {REFUSED}
                if c.name != "superuser"
                and (not c.is_staff or t.id != w.things["user"]["missing"].id)
                else {OK, INVALID, MISSED}
            ),
            "user",
            ("observer", "missing"),
            _USER,
            form={"role": "staff"},
        ),
    ),
    ("pages.set_person_active", "POST"): _person(form={"active": "1"}),
    ("pages.invite_person", "POST"): (
        Call(
            lambda w, c, t: {REFUSED} | ({MISSED} if c.is_staff and t.id == MISSING else set()),
            "user",
            _PEOPLE,
            _USER,
        ),
    ),
    ("pages.set_person_password", "POST"): (
        Call(everyone(REFUSED, MISSED), "user", _PEOPLE, _USER, form={"password": PASSWORD}),
    ),
    ("pages.sign_person_out", "POST"): _person(),
    ("pages.revoke_persons_token", "POST"): (
        Call(_is_staff, "user", _PEOPLE, _USER | {"token_id": _MISSING_ROW}),
    ),
    ("pages.end_persons_browser", "POST"): (
        Call(_is_staff, "user", _PEOPLE, _USER | {"session_id": _MISSING_ROW}),
    ),
    ("pages.change_persons_groups", "POST"): (
        Call(_is_staff, "user", _PEOPLE, _USER, form={"group": str(_MISSING_ROW)}),
    ),
    ("pages.show_groups", "GET"): (Call(staff()),),
    ("pages.add_group", "POST"): (Call(staff(), form={"name": "class"}),),
    ("pages.show_group", "GET"): (Call(staff(), "group", parts=_GROUP),),
    ("pages.edit_group", "POST"): (Call(staff(), "group", parts=_GROUP, form={"name": "x"}),),
    ("pages.change_group_members", "POST"): (
        Call(staff(), "group", parts=_GROUP, form={"person": "observer"}),
    ),
    ("pages.delete_group", "POST"): (Call(staff(), "group", parts=_GROUP),),
    ("pages.show_audit_log", "GET"): (Call(staff()),),
    ("pages.show_proposals", "GET"): (Call(everyone()),),
    ("pages.make_proposal", "POST"): (Call(staff(), form={"code": "2026B-NEW"}),),
    ("pages.show_proposal", "GET"): (Call(who_sees(), "proposal", parts=_PROPOSAL),),
    ("pages.edit_proposal", "POST"): (
        Call(_edits, "proposal", parts=_PROPOSAL, form={"semester": "2027A"}),
    ),
    ("pages.set_proposal_reduction", "POST"): (
        Call(_leads, "proposal", parts=_PROPOSAL, form={"min_bias": "5"}),
    ),
    ("pages.add_proposal_person", "POST"): (
        Call(_leads, "proposal", parts=_PROPOSAL, form={"email": "somebody@obs.example"}),
    ),
    ("pages.remove_proposal_person", "POST"): (
        Call(_leads_none, "proposal", parts=_PROPOSAL | {"user_id": _MISSING_ROW}),
    ),
    ("pages.link_proposal_person", "POST"): (
        Call(_leads_none, "proposal", parts=_PROPOSAL | {"user_id": _MISSING_ROW}),
    ),
    ("pages.mail_proposal_people", "POST"): (
        Call(_writes, "proposal", parts=_PROPOSAL, form={"subject": "Hello", "message": "Come."}),
    ),
}
