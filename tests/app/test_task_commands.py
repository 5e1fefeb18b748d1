from click.testing import Result
from flask import Flask

from app.models import User
from app.services import task_files
from tests.app.pages.taskrows import make_task


def run(app: Flask, *words: str) -> Result:
    return app.test_cli_runner().invoke(args=words)


def test_preset_is_saved_listed_and_deleted(app: Flask) -> None:
    assert run(app, "preset", "list").output == "there is no preset\n"

    saved = run(app, "preset", "save", "usual", '{"filter": "R"}')

    assert saved.output == '1 usual: {"filter": "R"}\n'
    assert run(app, "preset", "list").output == saved.output
    assert run(app, "preset", "delete", "usual").output == "usual is gone\n"
    assert "there is no preset 'usual'" in run(app, "preset", "delete", "usual").output


def test_preset_with_a_name_no_step_knows_is_saved_with_a_word(app: Flask) -> None:
    saved = run(app, "preset", "save", "usual", '{"filtr": "R"}')

    assert saved.exit_code == 0
    assert "Is filter meant?" in saved.output


def test_preset_that_is_no_json_object_is_refused_in_a_line(app: Flask) -> None:
    for config, why in (("{bad", "CONFIG is not JSON"), ("[1]", "must be a JSON object")):
        refused = run(app, "preset", "save", "usual", config)
        assert refused.exit_code == 1
        assert why in refused.output


def test_tasks_are_listed_with_the_room_they_take_and_deleted(app: Flask, observer: User) -> None:
    task = make_task(observer, title="field")

    assert run(app, "task", "list").output == (
        f"{task.id} observer uploaded a.fits field: 0.0 MB\n1 task\n"
    )
    assert run(app, "task", "list", "--user", "staff").output == "0 tasks\n"
    folder = task_files.folder(task)
    assert run(app, "task", "delete", str(task.id)).output == f"task {task.id} is gone\n"

    assert not folder.exists()
    assert run(app, "task", "delete", "77").exit_code == 1
