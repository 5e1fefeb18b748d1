"""The README names what an observer can set and call."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Command, Context, Group
from flask import Flask

from app.cli import Commands
from app.config import SETTINGS, Setting

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_setting_is_in_the_readme_with_its_meaning(setting: Setting) -> None:
    rows = [line for line in README.splitlines() if line.startswith(f"| `{setting.name}` |")]

    assert [setting.help in row for row in rows] == [True]


def test_every_route_is_in_the_readme(app: Flask) -> None:
    rules = {rule.rule for rule in app.url_map.iter_rules()}

    assert sorted(rule for rule in rules if f"`{rule}`" not in README) == []


# Flask's own: the program starts its web server itself, and the last two are for programmers.
_FLASKS_OWN = {"run", "shell", "routes", "spec"}
_ALEMBICS = "db "  # of which a keeper needs one


def commands_below(group: Group, before: str = "") -> Iterator[str]:
    context = Context(group)
    for name in group.list_commands(context):
        found: Command | None = group.get_command(context, name)
        if isinstance(found, Group):
            yield from commands_below(found, f"{before}{name} ")
        else:
            yield f"{before}{name}"


def test_every_command_is_in_the_table_of_commands(app: Flask) -> None:
    assert isinstance(app.cli, Commands)
    table = README[README.index("| command | does |") :]
    table = table[: table.index("\n\n")]
    ours = {
        name
        for name in commands_below(app.cli)
        if name not in _FLASKS_OWN and not name.startswith(_ALEMBICS)
    }

    assert {"scan", "task list", "preset save"} <= ours
    assert sorted(name for name in ours if f"`{name}" not in table) == []
