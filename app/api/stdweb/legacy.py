"""Three unofficial calls that some clients of STDWeb still make."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from apiflask import APIBlueprint
from flask.typing import ResponseReturnValue

from app.api.auth import current_user
from app.api.openapi import described
from app.api.parsing import Fields, read_fields
from app.api.stdweb import bodies, documents, schemas, telling
from app.api.stdweb.tasks import asked
from app.errors import InvalidRequestError
from app.models import Task
from app.services import task_config, task_files, task_parameters, tasks
from app.services.staging import Arrived

TEMPLATE: Final = "custom_template.fits"
_STEP_OF: Final = {
    "inspect": "inspect",
    "photometry": "photometry",
    "transients_simple": "simple_transients",
    "simple_transients": "simple_transients",
    "subtraction": "subtraction",
    "cleanup": "cleanup",
}
_DO: Final = {
    "do_inspect": "inspect",
    "do_photometry": "photometry",
    "do_simple_transients": "simple_transients",
    "do_subtraction": "subtraction",
}
_NO_PARAMETER: Final = {"file", "title", "preset", "groups", "config", *_DO, *telling.ANYWHERE}
_ALIASES: Final = {"template_catalog": "template"}


def register(blueprint: APIBlueprint) -> None:
    """Put the calls under the prefix of `blueprint`."""
    blueprint.post("/tasks/upload/")(upload_task)
    blueprint.post("/tasks/<int:task_id>/action/")(act_on_task)
    blueprint.post("/tasks/<int:task_id>/upload_template/")(upload_template)


@described(
    body=documents.LEGACY_UPLOAD,
    answer=documents.LEGACY_UPLOADED,
    status=201,
    refusals={400: documents.REFUSED, 503: documents.DETAIL},
)
def upload_task() -> ResponseReturnValue:
    """Upload an image and process it: any other field is a parameter of its steps."""
    with bodies.came() as found:
        arrived = bodies.only_file(found)
        if arrived is None:
            raise InvalidRequestError(file="No file was submitted.")
        steps = [step for name, step in _DO.items() if found.fields.flag(name)]
        wanted = tasks.checked_steps(steps) if steps else []
        task = _made(found.fields, arrived)
    if wanted:
        tasks.process(task, wanted, by=current_user())
    named = f" and queued: {', '.join(wanted)}" if wanted else ""
    said = _with_doubts(f"Task {task.id} made{named}", task.config)
    return {"message": said, "task": schemas.render_task(task)}, HTTPStatus.CREATED


def _with_doubts(said: str, given: Mapping[str, Any]) -> str:
    """Return a message, and behind it what no step knows of what was given."""
    doubts = task_parameters.unknown(given)
    return f"{said}. {' '.join(doubts)}" if doubts else said


def _made(fields: Fields, arrived: Arrived) -> Task:
    return tasks.create(
        current_user(),
        source=tasks.Upload(arrived),
        title=fields.text("title") or "",
        config={**_parameters(fields), **(schemas.parse_config(fields) or {})},
        preset_id=schemas.parse_preset(fields),
        groups=schemas.parse_groups(fields) or (),
    )


def _parameters(fields: Fields) -> dict[str, Any]:
    return {
        _ALIASES.get(name, name): value_of(value)
        for name, value in fields.items()
        if name not in _NO_PARAMETER
    }


def value_of(value: object) -> object:
    """Return a parameter of a form as what it looks like: a number, true or false, else text."""
    if not isinstance(value, str):
        return value
    try:
        found = task_config.read(value)
    except ValueError:
        plain = value.strip().lower()
        return plain == "true" if plain in {"true", "false"} else value
    return found if isinstance(found, bool | int | float) else value


@described(
    body=documents.ACTION,
    answer=documents.MESSAGE,
    refusals={400: documents.REFUSED, 409: documents.ERROR, **documents.NOT_YOURS},
)
def act_on_task(task_id: int) -> ResponseReturnValue:
    """Queue one step of a task, with parameters put over its configuration."""
    task, fields = asked(task_id), read_fields()
    action = fields.text("action") or ""
    if not action:
        raise InvalidRequestError("No action provided")
    step = _STEP_OF.get(action)
    if step is None:
        raise InvalidRequestError(f"Invalid action: {action[:80]}")
    telling.refuse_unknown(fields, tuple(documents.ACTION["properties"]))
    given = _given(fields)
    tasks.process(task, [step], by=current_user(), config=given)
    return {"message": _with_doubts(f"Started {action} for task {task.id}", given)}


def _given(fields: Fields) -> dict[str, Any]:
    """Return the parameters of an action: an object, or JSON in a text."""
    config = schemas.parse_step_config(Fields({"config": fields.get("params")}))
    found = {_ALIASES.get(name, name): value for name, value in (config or {}).items()}
    if catalogue := fields.text("template_catalog"):
        found["template"] = catalogue
    return found


@described(
    body=documents.TEMPLATE_FILE,
    answer=documents.MESSAGE,
    refusals={
        400: documents.REFUSED,
        409: documents.ERROR,
        415: documents.DETAIL,
        503: documents.DETAIL,
        **documents.NOT_YOURS,
    },
)
def upload_template(task_id: int) -> ResponseReturnValue:
    """Give a task a template image of its own."""
    task = asked(task_id)
    with bodies.came() as found:
        bodies.refuse_json(found.fields)
        arrived = bodies.only_file(found, "template_file")
        if arrived is None:
            raise InvalidRequestError("No template file provided")
        task_files.store(task, TEMPLATE, arrived)
    return {"message": f"Template uploaded for task {task.id}"}
