"""What is done with a task: its steps, and repairs of its image."""

from apiflask import APIBlueprint
from flask.typing import ResponseReturnValue

from app.api.auth import current_user
from app.api.openapi import described
from app.api.parsing import read_fields
from app.api.stdweb import documents, schemas, telling
from app.api.stdweb.tasks import asked
from app.services import task_changes, task_parameters, task_queue, tasks

_EDGES = ("x1", "y1", "x2", "y2")
_REFUSALS = {400: documents.REFUSED, 409: documents.ERROR, **documents.NOT_YOURS}


def register(blueprint: APIBlueprint) -> None:
    """Put the calls under the prefix of `blueprint`."""
    for act in (process, cancel, fix, crop, destripe):
        blueprint.post(f"/tasks/<int:task_id>/{act.__name__}/")(act)


@described(body=documents.PROCESS, answer=documents.PROCESSED, refusals=_REFUSALS)
def process(task_id: int) -> ResponseReturnValue:
    """Queue steps of a task, one after the other."""
    task, fields = asked(task_id), read_fields()
    steps = tasks.checked_steps(schemas.parse_steps(fields))
    config = schemas.parse_step_config(fields)
    telling.refuse_unknown(fields, ("steps", "config"))
    tasks.process(task, steps, by=current_user(), config=config)
    answer = {
        "id": task.id,
        "state": task.state,
        "celery_id": task_queue.chain_id(task),
        "steps": [str(step) for step in steps],
    }
    doubts = task_parameters.unknown(config or {})
    return {**answer, "warnings": doubts} if doubts else answer


@described(answer=documents.CANCELLED, refusals=_REFUSALS)
def cancel(task_id: int) -> ResponseReturnValue:
    """Stop what runs on a task."""
    task = asked(task_id)
    n_entries = task_queue.n_revoked(task)
    tasks.cancel(task, by=current_user())
    return {"id": task.id, "state": task.state, "revoked_count": n_entries}


@described(answer=documents.CHANGED, refusals=_REFUSALS)
def fix(task_id: int) -> ResponseReturnValue:
    """Mend the header of a task's image."""
    task = asked(task_id)
    task_changes.fix(task, by=current_user())
    return {"id": task.id, "status": "fixed"}


@described(body=documents.CROP, body_required=False, answer=documents.CHANGED, refusals=_REFUSALS)
def crop(task_id: int) -> ResponseReturnValue:
    """Cut a task's image; negative numbers count from the far edge."""
    task, fields = asked(task_id), read_fields()
    telling.refuse_unknown(fields, _EDGES)
    x1, y1, x2, y2 = (schemas.parse_whole(fields, name) for name in _EDGES)
    task_changes.crop(task, (x1, y1, x2, y2), by=current_user())
    return {"id": task.id, "status": "cropped"}


@described(
    body=documents.DESTRIPE, body_required=False, answer=documents.CHANGED, refusals=_REFUSALS
)
def destripe(task_id: int) -> ResponseReturnValue:
    """Take stripes of the readout off a task's image."""
    task, fields = asked(task_id), read_fields()
    telling.refuse_unknown(fields, ("direction",))
    task_changes.destripe(task, fields.text("direction") or "both", by=current_user())
    return {"id": task.id, "status": "destriped"}
