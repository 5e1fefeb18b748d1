from typing import Any

import pytest

from app.errors import InvalidRequestError
from app.services import task_config


def nested(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(depth):
        found = {"a": found}
    return found


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ([1], "config must be a JSON object"),
        ("text", "config must be a JSON object"),
        ({"a": "\0"}, "characters that are not text"),
        ({"a": ["\ud800"]}, "characters that are not text"),
        ({"\ud800": 1}, "characters that are not text"),
        ({"a": 2**63}, "too large"),
        ({"a": float("inf")}, "not finite"),
        ({"a": "x" * 300_000}, "too long"),
        (nested(30), "nested too deeply"),
    ],
)
def test_configuration_no_database_takes_is_refused(config: object, why: str) -> None:
    with pytest.raises(InvalidRequestError, match=why):
        task_config.checked(config)


def test_good_configuration_is_taken_as_it_is() -> None:
    config = {"filter": "R", "targets": [{"name": "a", "ra": 1.5}], "x": None, "y": True}

    assert task_config.checked(config) == config


@pytest.mark.parametrize("text", ["{'a': 1}", "{bad", "", "[NaN]", "[" * 100_000])
def test_text_that_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        task_config.read(text)
