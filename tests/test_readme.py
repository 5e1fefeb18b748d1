"""The README names what an observer can set and call."""

from pathlib import Path

import pytest
from flask import Flask

from app.config import SETTINGS, Setting

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_setting_is_in_the_readme_with_its_meaning(setting: Setting) -> None:
    rows = [line for line in README.splitlines() if line.startswith(f"| `{setting.name}` |")]

    assert [setting.help in row for row in rows] == [True]


def test_every_route_is_in_the_readme(app: Flask) -> None:
    rules = {rule.rule for rule in app.url_map.iter_rules()}

    assert sorted(rule for rule in rules if f"`{rule}`" not in README) == []
