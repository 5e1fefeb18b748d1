"""The queue as clients of tasks see it."""

from apiflask import APIBlueprint
from flask.typing import ResponseReturnValue

from app.api.auth import current_user
from app.api.openapi import described
from app.api.stdweb import documents, schemas
from app.api.stdweb.dialect import RefusedError
from app.errors import NotAllowedError
from app.services import task_queue


def register(blueprint: APIBlueprint) -> None:
    """Put the calls under the prefix of `blueprint`."""
    blueprint.get("/queue/")(list_queue)
    blueprint.get("/queue/<entry_id>/")(show_queued)
    blueprint.post("/queue/<entry_id>/terminate/")(terminate)


@described(answer=documents.QUEUE)
def list_queue() -> ResponseReturnValue:
    """List what waits or runs, in the order it runs."""
    return [schemas.render_queued(entry) for entry in task_queue.entries(current_user())]


@described(answer=documents.STANDING)
def show_queued(entry_id: str) -> ResponseReturnValue:
    """Tell how one entry stands; one nobody knows is pending."""
    return schemas.render_standing(task_queue.standing(current_user(), entry_id))


@described(answer=documents.TERMINATED, refusals={403: documents.ERROR})
def terminate(entry_id: str) -> ResponseReturnValue:
    """End what works on a task one sees; staff end anything."""
    try:
        ended = task_queue.terminate(current_user(), entry_id)
    except NotAllowedError as error:
        raise RefusedError(str(error)) from error
    if ended.task is None:
        return {"id": entry_id, "revoked_count": ended.n_entries, "state": "terminated"}
    return {
        "id": entry_id,
        "task_id": ended.task.id,
        "revoked_count": ended.n_entries,
        "state": ended.task.state,
    }
