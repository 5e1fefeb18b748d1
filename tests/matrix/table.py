"""Every route, how it is called here, and what may come of that: one row a method of an endpoint.

A new route gets a row: the calls that show who may see or change what through it. `who_sees` and
`who_may_change` ask for the thing the call is about; `everyone` is for what names no frame.
"""

from collections.abc import Mapping
from typing import Any, Final

from tests.matrix import solved
from tests.matrix.calls import (
    INVALID,
    MISSED,
    OK,
    REFUSED,
    STRANGER,
    Call,
    everyone,
    staff,
    who_may_change,
    who_sees,
)
from tests.matrix.people_table import PEOPLE
from tests.matrix.stdweb_table import STDWEB
from tests.matrix.task_table import TASK_PAGES
from tests.matrix.world import PASSWORD

Row = tuple[Call, ...]
_DATES: Final = {"startDate": "2026-11-20", "endDate": "2026-11-20"}
_NIGHT: Final = {"name": "2026-11-20"}
_FRAME: Final = {"frame_id": "$id"}
_BLOCK: Final = {"block_id": "$id"}
_JOB: Final = {"job_id": "$id"}
_FRAMES: Final = (
    *("free", "secret", "others", "released", "bare", "secret bias", "reduced secret"),
    *("master", "missing"),
)
_SINGLE: Final = tuple(name for name in _FRAMES if name != "master")
_BLOCKS: Final = (
    *("free", "secret", "others", "mixed", "mixed bias", "group", "hidden group", "hidden child"),
    *("fringe", "missing"),
)
_ONE_BAND: Final = ("free", "secret", "others", "bare", "mixed", "child", "hidden child", "missing")


def _frame(rule: Any = None, **request: Any) -> Row:
    return (Call(rule or who_sees(), "frame", _FRAMES, _FRAME, **request),)


def _block(rule: Any = None, **request: Any) -> Row:
    return (Call(rule or who_sees(), "block", _BLOCKS, _BLOCK, **request),)


def _typed(
    kind: str, which: tuple[str, ...], verbs: Mapping[str, Any]
) -> dict[tuple[str, str], Row]:
    """Return the rows of an address whose calls carry a `type`."""
    calls = []
    for verb, (rule, fields) in verbs.items():
        about = "block" if which and "id" in fields else ""
        request = {"type": verb, **fields}
        calls.append(Call(rule, about, which if about else (), json=request, label=verb))
    query = {"type": "get", "id": "$id"} if which else {"type": "get", **_DATES}
    seen = who_sees() if which else everyone()
    get = Call(seen, "block" if which else "", which, query=query)
    return {(f"splus.{kind}", "POST"): tuple(calls), (f"splus.{kind}", "GET"): (get,)}


_ID: Final = {"id": "$id"}
_GET: Final = {
    "get": (who_sees(), _ID),
    "validate": (who_may_change(), _ID),
    "setstatus": (who_may_change(), _ID | {"status": "0"}),
    "setcomment": (who_may_change(), _ID | {"comment": "seen"}),
}
_CHANGES: Final = _GET | {
    "setsubstatus": (who_may_change(), _ID | {"status": "0"}),
    "process": (who_may_change(OK, INVALID), _ID),
    "add": (who_may_change(MISSED), _ID | {"objid": 77_000_999}),
    "remove": (who_may_change(MISSED), _ID | {"objid": 77_000_999}),
}
_CREATE: Final = {"create": (everyone(OK, INVALID), _DATES | {"band": "r"})}
_REGISTER: Final = {"register": (everyone(INVALID), {"filepath": "RAW/2026-11-20-zorbax/x.fits"})}
_SUPERFLAT: Final = {
    "setsuperflat": (who_may_change(OK, INVALID), _ID | {"superflatid": "-1"}),
}

_FILE_VERBS: Final = {
    "get": (who_sees(), _ID),
    "validate": (who_may_change(), _ID),
    "setstatus": (who_may_change(), _ID | {"status": "0"}),
    "setcomment": (who_may_change(), _ID | {"comment": "seen"}),
}


def _single_files(endpoint: str) -> dict[tuple[str, str], Row]:
    calls = tuple(
        Call(rule, "frame", _SINGLE, json={"type": verb, **fields}, label=verb)
        for verb, (rule, fields) in _FILE_VERBS.items()
    )
    lists = (
        Call(everyone(), json={"type": "get", **_DATES}, label="get by night"),
        Call(everyone(), json={"type": "get", "contains": "z,q"}, label="get by name"),
    )
    query = {"type": "get", "id": "$id"}
    return {
        (f"splus.{endpoint}", "POST"): calls + lists,
        (f"splus.{endpoint}", "GET"): (Call(who_sees(), "frame", _SINGLE, query=query),),
    }


_TILES: Final = {
    "get": (everyone(OK, INVALID), _DATES),
    "process": (everyone(INVALID), {"id": 1}),
    "validate": (everyone(INVALID), {"id": 1}),
}


def _both(endpoint: str, *calls: Call) -> dict[tuple[str, str], Row]:
    return {(endpoint, method): calls for method in ("GET", "POST")}


_ALL_VERBS: Final = _CHANGES | _CREATE
MAR: Final = {
    **_single_files("individualfile"),
    **_single_files("individualfiles"),
    **_single_files("individual"),
    **_typed("biasblock", ("bias", "mixed bias", "missing"), _ALL_VERBS | _REGISTER),
    **_typed("darkblock", ("missing",), _ALL_VERBS | _REGISTER),
    **_typed("flatbyfilter", ("flat", "flat child", "missing"), _ALL_VERBS | _REGISTER),
    **_typed("flatblockbyfilter", ("flat", "missing"), _GET),
    **_typed("flatblock", ("flat group", "missing"), _ALL_VERBS),
    **_typed("scibyfilter", _ONE_BAND, _ALL_VERBS | _SUPERFLAT),
    **_typed("sciblock", ("group", "hidden group", "missing"), _ALL_VERBS | _SUPERFLAT),
    **_typed("superflat", ("fringe", "missing"), _GET | _REGISTER),
    **_typed("finaltiles", (), _TILES),
    **_typed("fieldimages", (), _TILES),
    **_typed("fieldimage", (), _TILES),
    **_typed("field", (), _TILES),
    **_both("splus.get_process", Call(everyone())),
    **_both("splus.get_logs", Call(lambda w, c, _: {OK} if w.is_open or c.is_staff else {REFUSED})),
    **_both("splus.get_queue", Call(everyone())),
    **_both("splus.get_settings", Call(everyone())),
    **_both("splus.get_operations", Call(everyone())),
    **_both("splus.get_progress", Call(everyone())),
    ("splus.clear_logs", "POST"): (Call(staff()),),
    ("splus.reset_threads", "POST"): (Call(staff()),),
    ("splus.change_setting", "POST"): (
        Call(staff(), json={"section": "site", "item": "name", "value": "Dome"}),
    ),
    ("splus.load_settings", "POST"): (Call(staff(), json={"config_name": "night"}),),
    ("splus.scan_folder", "POST"): (
        Call(everyone(), json={"path": "RAW"}, label="all of RAW"),
        Call(everyone(INVALID), json={"path": "2026-11-20-nothing"}, label="no folder"),
    ),
    ("splus.remove_from_queue", "POST"): (Call(who_sees(OK, INVALID), "job", json={"id": "$id"}),),
    ("splus.run_select", "POST"): (
        Call(
            everyone(INVALID), json={"query": "select * from proposals"}, label="closed", once=True
        ),
    ),
    ("splus.get_colour_image", "POST"): (Call(everyone(INVALID), json={"field": "x"}),),
    ("splus.request_band_images", "POST"): (Call(everyone(INVALID), json={"field": "x"}),),
    ("splus.login", "POST"): (
        Call(everyone(INVALID), json={"username": "nobody", "password": "x"}),
    ),
    ("splus.logout", "POST"): (Call(everyone()),),
    ("splus.register", "POST"): (
        Call(staff(), json={"username": "new", "password": PASSWORD, "email": "new@obs.example"}),
    ),
    ("splus.user", "GET"): (Call(everyone()),),
    # Every file by every caller is a test of its own: test_files.py.
    ("splus.media", "GET"): (Call(everyone(MISSED), parts={"relative": "RAW/nothing.fits"}),),
}

_WHICH: Final = {"id": "$id"}
_PROPOSALS: Final = ("secret", "others", "missing")


def _leads(world: Any, caller: Any, thing: Any) -> set[str]:
    """Say who may put people on a proposal: its investigator and staff."""
    if not world.sees(caller, thing):
        return {MISSED}
    is_pi = caller.name == "principal investigator" and thing.proposals == {"A"}
    return {OK} if caller.is_staff or is_pi else {REFUSED}


def _edits(world: Any, caller: Any, thing: Any) -> set[str]:
    """Say who may change a proposal itself: staff."""
    if not world.sees(caller, thing):
        return {MISSED}
    return {OK} if caller.is_staff else {REFUSED}


def _writes(world: Any, caller: Any, thing: Any) -> set[str]:
    """Say who may write to a proposal's people: they themselves and staff; no mail is set up."""
    if not world.sees(caller, thing):
        return {MISSED}
    may = caller.is_staff or caller.on in thing.proposals
    return {INVALID} if may else {REFUSED}


def _deletes(world: Any, caller: Any, thing: Any) -> set[str]:
    """Say who may delete a file: of what was made, its people; raw files nobody."""
    if not world.sees(caller, thing):
        return {MISSED}
    is_product = thing.name.endswith("_proc.fits")
    if caller.is_staff:
        is_raw = not is_product and not thing.is_shared
        return {INVALID, REFUSED} if is_raw else {OK, INVALID}
    theirs = is_product and caller.on in thing.proposals
    return {OK} if theirs else {REFUSED, INVALID}


_COLLABORATOR: Final = {"email": "somebody@obs.example", "action": "add"}
_COLLABORATORS: Final = (
    Call(_leads, "proposal", _PROPOSALS, {"proposal_id": "$id"}, json=_COLLABORATOR),
)
_SPECTRA: Final = (Call(who_sees(INVALID), "frame", ("free", "secret", "missing"), json=_WHICH),)
_GOODMAN: Final = {
    "show_status GET": (Call(everyone()),),
    "list_files GET": (
        Call(everyone()),
        Call(everyone(), query={"object": "z"}, label="of an object"),
        Call(everyone(), query={"file_name": "q"}, label="of a name"),
    ),
    "show_header GET": (
        Call(who_sees(), "frame", _FRAMES, query=_WHICH),
        Call(who_sees(), "frame", _FRAMES, query={"file_name": "$name"}, label="by name"),
    ),
    "visualize GET": (Call(who_sees(), "frame", _FRAMES, query=_WHICH),),
    "download GET": (Call(who_sees(), "frame", _FRAMES, _FRAME),),
    "upload POST": (Call(everyone(INVALID), json={}, label="nothing"),),
    "delete_files DELETE": (Call(_deletes, "frame", _FRAMES, query=_WHICH),),
    "make_calibrations POST": (Call(everyone(MISSED), json={"ids": [77_000_999]}),),
    "reclassify_files POST": (
        Call(who_may_change(OK, INVALID), "frame", ("free", "secret", "missing"), json=_WHICH),
    ),
    "reduce_files POST": (
        Call(who_may_change(OK, INVALID), "frame", ("free", "secret", "missing"), json=_WHICH),
    ),
    "extract_spectrum POST": _SPECTRA,
    "calibrate_wavelength POST": _SPECTRA,
    "send_mail POST": (
        Call(
            _writes,
            "frame",
            ("secret", "others", "missing"),
            json={"file_id": "$id", "subject": "Hello", "message": "Come."},
        ),
    ),
    "list_proposals GET": (Call(everyone()),),
    "create_proposal POST": (Call(staff(), json={"soar_id": "2026B-NEW"}),),
    "show_proposal GET": (Call(who_sees(), "proposal", parts={"proposal_id": "$id"}),),
    "edit_proposal PATCH": (
        Call(_edits, "proposal", parts={"proposal_id": "$id"}, json={"semester": "2027A"}),
    ),
    "show_collaborators GET": (
        Call(who_sees(), "proposal", parts={"proposal_id": "$id"}),
        Call(_leads, "proposal", parts={"proposal_id": "$id"}, json=_COLLABORATOR, label="add"),
    ),
    "show_settings GET": (Call(who_sees(), "proposal", parts={"proposal_id": "$id"}),),
    "change_settings PATCH": (
        Call(_leads, "proposal", parts={"proposal_id": "$id"}, json={"min_bias": 5}),
    ),
    **{f"change_collaborators {method}": _COLLABORATORS for method in ("POST", "PATCH", "PUT")},
}
GOODMAN: Final = {
    (f"{prefix}.{name.split()[0]}", name.split()[1]): row
    for prefix in ("goodman", "goodman_gsp")
    for name, row in _GOODMAN.items()
}

_PLACE: Final = solved.ASKED
_REDUCED: Final = ("reduced free", "reduced secret", "missing")
SOURCES: Final = {
    ("pages.show_sources", "GET"): (
        Call(everyone()),
        Call(everyone(), query=_PLACE, label="at a place"),
        Call(everyone(INVALID), query={"ra": "north", "dec": "0"}, label="nowhere"),
    ),
    ("sources.find_sources", "GET"): (
        Call(everyone(), query=_PLACE),
        Call(everyone(), query=_PLACE | {"format": "csv"}, label="csv"),
        Call(everyone(INVALID), query={"ra": "north", "dec": "0"}, label="nowhere"),
    ),
    ("sources.find_frames", "GET"): (
        Call(everyone(), query={name: _PLACE[name] for name in ("ra", "dec")}),
        Call(everyone(INVALID), query={"ra": "0", "dec": "100"}, label="nowhere"),
    ),
    ("sources.send_sources", "GET"): (
        Call(who_sees(), "frame", _REDUCED, _FRAME),
        Call(who_sees(), "frame", _REDUCED, _FRAME, query={"format": "csv"}, label="csv"),
        Call(who_sees(MISSED), "frame", ("free", "secret", "missing"), _FRAME, label="raw"),
    ),
}
_SKY: Final = (
    Call(who_sees(), "frame", _REDUCED, _FRAME),
    Call(who_sees(MISSED), "frame", ("free", "secret", "missing"), _FRAME, label="raw"),
)

_TILE: Final = {"plane": "SCI", "level": 0, "column": 0, "row": 0}
PAGES: Final = {
    ("pages.show_nights", "GET"): (
        Call(everyone()),
        Call(everyone(), query={"month": "2026-11"}, label="a month"),
    ),
    ("pages.show_night", "GET"): (
        Call(everyone(), parts=_NIGHT),
        Call(everyone(), parts=_NIGHT, query={"level": "", "problems": "1"}, label="problems"),
        Call(everyone(), parts=_NIGHT, query={"level": "reduced"}, label="reduced"),
    ),
    ("pages.process_night", "POST"): (Call(everyone(), parts=_NIGHT),),
    ("pages.show_night_trends", "GET"): (Call(everyone(), parts=_NIGHT),),
    ("pages.send_night_trends", "GET"): (Call(everyone(), parts=_NIGHT),),
    ("pages.show_trends", "GET"): (
        Call(everyone()),
        Call(everyone(), query={"from": "2026-11-01", "to": "2026-11-30"}, label="a month"),
    ),
    ("pages.send_trends", "GET"): (Call(everyone()),),
    ("pages.list_frames", "GET"): (
        Call(everyone()),
        Call(everyone(), query={"format": "json"}, label="json"),
        Call(everyone(), query={"name_has": "z", "format": "json"}, label="by name"),
        Call(everyone(), query={"mark": "clouds"}, label="by mark"),
    ),
    ("pages.show_frame", "GET"): _frame(),
    ("pages.send_thumbnail", "GET"): _frame(),
    ("pages.describe_picture", "GET"): _frame(),
    **{(f"pages.{view}", "GET"): _SKY for view in ("show_sky", "list_sources", "list_missed")},
    ("pages.show_pixel", "GET"): _frame(query={"x": 1, "y": 1}),
    ("pages.download_frame", "GET"): _frame(),
    ("pages.send_tile", "GET"): (Call(who_sees(), "frame", _FRAMES, _FRAME | _TILE),),
    ("pages.delete_frame", "POST"): (Call(_deletes, "frame", _FRAMES, _FRAME),),
    ("pages.toggle_frame_valid", "POST"): _frame(who_may_change()),
    ("pages.reduce_frame", "POST"): _frame(who_may_change(OK, INVALID)),
    ("pages.comment_frame", "POST"): _frame(who_may_change(), form={"comment": "seen"}),
    ("pages.show_blocks", "GET"): (
        Call(everyone()),
        Call(everyone(), query={"kind": "sci"}, label="science"),
        Call(everyone(), query={"night": "2026-11-20"}, label="of a night"),
    ),
    ("pages.show_block", "GET"): _block(),
    ("pages.make_block", "POST"): (
        Call(
            everyone(OK, INVALID),
            form={"kind": "sci", "start": "2026-11-20", "name_has": "a"},
            label="science",
        ),
        Call(everyone(OK, INVALID), form={"kind": "bias", "start": "2026-11-20"}, label="bias"),
    ),
    ("pages.process_block", "POST"): _block(who_may_change(OK, INVALID)),
    ("pages.toggle_block_valid", "POST"): _block(who_may_change()),
    ("pages.comment_block", "POST"): _block(who_may_change(), form={"comment": "seen"}),
    ("pages.show_plan", "GET"): (Call(everyone(), query={"night": "2026-11-20"}),),
    ("pages.make_plan", "POST"): (Call(everyone(), parts=_NIGHT),),
    ("pages.show_files", "GET"): (
        Call(everyone()),
        Call(everyone(), query={"name_has": "2026"}, label="by name"),
        Call(everyone(), query={"state": "registered"}, label="registered"),
    ),
    ("pages.scan", "POST"): (
        Call(everyone(), form={"folder": ""}),
        Call(everyone(INVALID), form={"folder": "2026-11-20-nothing"}, label="no folder"),
    ),
    ("pages.show_jobs", "GET"): (Call(everyone()),),
    ("pages.show_job", "GET"): (Call(who_sees(), "job", parts=_JOB),),
    ("pages.cancel_job", "POST"): (Call(who_sees(OK, INVALID), "job", parts=_JOB),),
    # What it tells is a test of its own: it has no end to be read to.
    ("pages.stream_events", "GET"): (),
    ("pages.show_settings", "GET"): (Call(everyone()),),
    ("pages.change_settings", "POST"): (Call(staff(), form={"section": "site", "name": "Dome"}),),
    ("pages.show_docs", "GET"): (Call(everyone()),),
    ("pages.send_openapi", "GET"): (Call(everyone(), once=True),),
}

_GUESSED: Final = everyone(MISSED, INVALID)  # or too many guesses
OPEN: Final = {
    ("static", "GET"): (Call(everyone(), parts={"filename": "style.css"}),),
    ("health.healthz", "GET"): (Call(everyone(OK, "broken")),),  # 503: no workers here
    ("pages.sign_in", "GET"): (Call(everyone()),),
    ("pages.submit_sign_in", "POST"): (Call(everyone(INVALID, STRANGER), form={"username": "x"}),),
    ("pages.show_welcome", "GET"): (Call(_GUESSED, parts={"key": "no-such-key"}),),
    ("pages.accept_invitation", "POST"): (
        Call(_GUESSED, parts={"key": "no-such-key"}, form={"password": PASSWORD}),
    ),
    **{
        (f"{face}.obtain_token", "POST"): (
            Call(everyone(INVALID), json={"username": "nobody", "password": "x"}),
        )
        for face in ("stdweb", "stdweb_prefixed", "bhtom", "atlas")
    },
}

TABLE: Final[Mapping[tuple[str, str], Row]] = {
    **OPEN,
    **PAGES,
    **PEOPLE,
    **TASK_PAGES,
    **SOURCES,
    **MAR,
    **GOODMAN,
    **STDWEB,
}
