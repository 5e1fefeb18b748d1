"""The pages of tasks, and who gets what through them: one's own, one's groups', staff all."""

from typing import Any, Final

from tests.matrix.calls import INVALID, MISSED, OK, REFUSED, Call, everyone, who_sees
from tests.matrix.world import Caller, Thing, World

_TASK: Final = {"task_id": "$id"}
_IMAGE: Final = _TASK | {"name": "image.fits"}
_FRAMES: Final = ("free", "secret", "others", "reduced secret", "master", "missing")
_NOWHERE: Final = 77_000_999


def _task(rule: Any = None, parts: Any = None, **request: Any) -> tuple[Call, ...]:
    return (Call(rule or who_sees(), "task", parts=parts or _TASK, **request),)


def _deletes(world: World, caller: Caller, thing: Thing) -> set[str]:
    """Say who may delete a task: its owner and staff; members of its groups may not."""
    if not world.sees(caller, thing):
        return {MISSED}
    return {OK} if caller.is_staff or caller.name == thing.owner else {REFUSED}


def _keeps(world: World, caller: Caller, thing: Thing) -> set[str]:
    """Say who may make a preset of a task: staff."""
    if not world.sees(caller, thing):
        return {MISSED}
    return {OK} if caller.is_staff else {REFUSED}


TASK_PAGES: Final = {
    ("pages.show_tasks", "GET"): (
        Call(everyone()),
        Call(everyone(), query={"query": "fits", "whose": "mine"}, label="one's own"),
    ),
    ("pages.act_on_tasks", "POST"): (
        Call(everyone(), form={"action": "delete", "ids": _NOWHERE}, label="nothing there"),
        Call(everyone(INVALID), form={"action": "burn", "ids": _NOWHERE}, label="no such act"),
    ),
    ("pages.show_upload", "GET"): (Call(everyone()),),
    ("pages.submit_upload", "POST"): (Call(everyone(INVALID), form={"title": "no file"}),),
    ("pages.make_task", "POST"): (
        Call(everyone(INVALID), form={"files": "RAW/nothing.fits"}, label="no such file"),
    ),
    ("pages.make_task_of_frame", "POST"): (
        Call(who_sees(), "frame", _FRAMES, {"frame_id": "$id"}),
    ),
    ("pages.show_task", "GET"): _task(),
    ("pages.run_step", "POST"): (
        *_task(form={"step": "inspect", "do": "run"}, label="run"),
        *_task(form={"step": "photometry", "do": "save", "sn": "4"}, label="save"),
    ),
    ("pages.cancel_task", "POST"): _task(who_sees(INVALID)),
    ("pages.duplicate_task", "POST"): _task(),
    ("pages.delete_task", "POST"): _task(_deletes),
    ("pages.edit_task", "POST"): _task(form={"title": "another"}),
    ("pages.set_task_config", "POST"): _task(form={"config": '{"sn": 4}'}),
    ("pages.keep_preset", "POST"): _task(_keeps, form={"name": "usual"}),
    ("pages.delete_preset", "POST"): (
        Call(everyone(MISSED), parts={"preset_id": _NOWHERE}, label="none there"),
    ),
    ("pages.fix_task", "POST"): _task(),
    ("pages.crop_task", "POST"): _task(form={"x1": "1"}),
    ("pages.destripe_task", "POST"): _task(form={"direction": "both"}),
    ("pages.reset_task", "POST"): _task(who_sees(MISSED)),
    ("pages.show_task_file", "GET"): _task(parts=_IMAGE),
    ("pages.send_task_file", "GET"): _task(parts=_IMAGE),
    ("pages.send_task_picture", "GET"): _task(parts=_TASK | {"name": "objects.png"}),
    ("pages.send_task_preview", "GET"): _task(parts=_IMAGE),
    ("pages.send_task_cutout", "GET"): _task(parts=_IMAGE),
    ("pages.send_task_thumbnail", "GET"): _task(),
    ("pages.add_task_file", "POST"): _task(who_sees(INVALID), form={"name": "a.txt"}),
    ("pages.remove_task_file", "POST"): _task(who_sees(MISSED), form={"name": "nothing.fits"}),
}
