"""The calls of tasks, and who gets what through them; other people's are refused, not hidden.

STDWeb answers 403 for a task of others and 404 for one that is not there, as it is documented.
"""

from typing import Any, Final

from tests.matrix.calls import INVALID, MISSED, OK, REFUSED, Call, everyone
from tests.matrix.world import MISSING, Caller, Thing, World

_TASK: Final = {"task_id": "$id"}
_IMAGE: Final = _TASK | {"name": "image.fits"}
_NOTHING: Final = _TASK | {"name": "nothing.fits"}


def _theirs(*outcomes: str) -> Any:
    """Those who may see a task; others are told that it is not theirs."""
    wanted = set(outcomes or (OK,))

    def rule(world: World, caller: Caller, thing: Thing) -> set[str]:
        if thing.id == MISSING:
            return {MISSED}
        return wanted if world.sees(caller, thing) else {REFUSED}

    return rule


def _deletes(world: World, caller: Caller, thing: Thing) -> set[str]:
    """Say who may delete a task: its owner and staff; members of its groups may not."""
    if thing.id == MISSING:
        return {MISSED}
    is_theirs = caller.is_staff or caller.name == thing.owner
    return {OK} if is_theirs and world.sees(caller, thing) else {REFUSED}


def _terminates(_world: World, caller: Caller, _thing: Thing) -> set[str]:
    """Say who may end what is no task's: staff."""
    return {OK} if caller.is_staff else {REFUSED}


def _task(rule: Any = None, parts: Any = None, **request: Any) -> tuple[Call, ...]:
    return (Call(rule or _theirs(), "task", parts=parts or _TASK, **request),)


def _job(rule: Any) -> tuple[Call, ...]:
    return (Call(rule, "job", parts={"entry_id": "$id"}),)


_CALLS: Final = {
    "list_tasks GET": (
        Call(everyone()),
        Call(everyone(), query={"query": "z", "limit": "5"}, label="a page"),
        Call(everyone(), query={"state": "uploaded", "user": "member"}, label="of somebody"),
    ),
    "create_task POST": (
        Call(everyone(), json={"original_name": "x.fits"}, label="without a file"),
        Call(everyone(INVALID), json={"local_file": "RAW/nothing.fits"}, label="of no file"),
    ),
    "show_task GET": _task(),
    "change_task PATCH": _task(json={"title": "another"}),
    "change_task POST": _task(json={"config": {"sn": 4}}),
    "delete_task DELETE": _task(_deletes),
    "show_state GET": _task(),
    "duplicate_task POST": _task(),
    "process POST": _task(json={"steps": ["inspect"]}),
    "cancel POST": _task(_theirs(INVALID)),
    "fix POST": _task(),
    "crop POST": _task(json={"x1": 1}),
    "destripe POST": _task(json={"direction": "both"}),
    "list_files GET": _task(),
    "send_file GET": _task(parts=_IMAGE),
    "upload_file POST": _task(_theirs(INVALID), parts=_NOTHING, form={"note": "no file"}),
    "delete_file DELETE": _task(_theirs(MISSED), parts=_NOTHING),
    "preview GET": _task(parts=_IMAGE),
    "cutout GET": _task(parts=_IMAGE),
    "list_queue GET": (Call(everyone()),),
    "show_queued GET": _job(everyone()),
    "terminate POST": _job(_terminates),
    "list_presets GET": (Call(everyone()),),
    "show_preset GET": (Call(everyone(MISSED), parts={"preset_id": 77_000_999}),),
    "upload_task POST": (Call(everyone(INVALID), form={"title": "no file"}),),
    "act_on_task POST": _task(json={"action": "inspect"}),
    "upload_template POST": _task(_theirs(INVALID), form={"note": "no file"}),
}
_OPEN: Final = {
    "list_reference GET": (Call(everyone()),),
    "show_reference GET": (Call(everyone(), parts={"kind": "filters"}),),
}
# Each file of the site by each caller is a test of its own: test_files.py.
_FILES: Final = {
    "list_data GET": (Call(everyone()),),
    "show_data GET": (
        Call(everyone(MISSED), parts={"path": "RAW/nothing.fits"}, label="nothing"),
        Call(everyone(), parts={"path": "RAW"}, label="all of RAW"),
        Call(everyone(), parts={"path": "MASTERS"}, label="masters"),
    ),
    "preview_data GET": (Call(everyone(MISSED), parts={"path": "RAW/nothing.fits"}),),
}
STDWEB: Final = {
    (f"{face}.{call.split()[0]}", call.split()[1]): row
    for face in ("stdweb", "stdweb_prefixed")
    for call, row in (_CALLS | _OPEN).items()
} | {(f"stdweb_files.{call.split()[0]}", call.split()[1]): row for call, row in _FILES.items()}
