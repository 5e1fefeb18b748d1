from collections.abc import Callable, Mapping
from typing import Any

import pytest

from app.models import TaskStep
from app.pages.task_fields import fields_of
from app.services.task_parameters import PARAMETERS, unknown
from reduction.oneimage import options


class Asked(dict[str, Any]):
    """A configuration that notes which names are looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return default


@pytest.mark.parametrize(
    "reader",
    [
        options.stack_options,
        options.inspect_options,
        options.photometry_options,
        options.is_timed,
    ],
)
def test_every_parameter_a_step_looks_at_is_known(
    reader: Callable[[Mapping[str, Any]], object],
) -> None:
    asked = Asked()

    reader(asked)

    assert asked.names
    assert asked.names <= PARAMETERS


def test_every_field_of_the_forms_is_known() -> None:
    assert {field.name for step in TaskStep for field in fields_of(step)} <= PARAMETERS


def test_what_inspection_puts_there_is_known() -> None:
    assert set(options.AFTER_INSPECT) <= PARAMETERS


def test_strange_names_are_told_up_to_a_limit_and_in_short() -> None:
    many = {f"nothing_{k}": 1 for k in range(30)}

    told = unknown({"x" * 500: 1, **many})

    assert len(told) == 11
    assert len(told[0]) < 200
    assert told[-1] == "config: 21 more names are known to no step."
