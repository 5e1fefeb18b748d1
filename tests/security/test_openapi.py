"""Every documented call with whatever its schema allows and what it does not: no 5xx, no surprise.

The examples are drawn from a fixed seed, so that a run that fails fails again.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode

from app.api import openapi
from app.db import db, transaction
from app.models import User
from app.services import accounts
from tests.factories import make_block, make_frame, make_user

EXAMPLES: Final = 5  # of each call, good ones and bad ones
# Whatever a call does not list, each may answer.
_COMMON: Final = frozenset({400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 503})


@pytest.fixture
def key(app: Flask) -> str:
    """A key of somebody who may call everything: what is refused is refused for its sense."""
    user = make_user("fuzz", is_staff=True, is_superuser=True)
    make_block("sci", [make_frame(owner_id=user.id)])
    make_block("bias", [make_frame("bias")])
    return accounts.issue_token(user)


def calls(app: Flask) -> list[Any]:
    schema = schemathesis.openapi.from_dict(openapi.document(app))
    schema.app = app
    found: list[Any] = list(schema.get_all_operations())
    return [one.ok() for one in found]


def test_no_documented_call_breaks_whatever_it_is_sent(
    app: Flask, key: str, record_property: Callable[[str, object], None]
) -> None:
    wrong: list[str] = []
    statuses: Counter[int] = Counter()
    operations = calls(app)

    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _ask(operation, mode, key, statuses, wrong)
        _revive(key)

    asked = {f"answers {status}": count for status, count in statuses.items()}
    record_property("counted: fuzz of the API", asked | {"documented calls": len(operations)})
    assert len(operations) > 70
    assert not wrong, "\n".join(wrong)


def _ask(
    operation: Any, mode: GenerationMode, key: str, statuses: Counter[int], wrong: list[str]
) -> None:
    documented = {int(n) for n in operation.definition.raw["responses"] if n.isdecimal()}

    @seed(20261121)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        response = case.call(headers={"Authorization": f"Token {key}"})
        statuses[response.status_code] += 1
        kind = str((response.headers.get("content-type") or [""])[0]).split(";")[0]
        said = f"{operation.label}: {response.status_code} {kind}: {case.body!r} {case.query!r}"
        if response.status_code >= 500 and response.status_code != 503:
            wrong.append(f"broken: {said[:600]}")
        elif response.status_code not in documented | _COMMON:
            wrong.append(f"not documented: {said[:600]}")
        elif response.status_code != 204 and kind not in _kinds(operation, response.status_code):
            wrong.append(f"another content type: {said[:600]}")

    try:
        ask()
    except Unsatisfiable:  # nothing can be wrong with what a call that takes nothing is sent
        return


def _kinds(operation: Any, status: int) -> set[str]:
    """Return the content types an answer may have: those documented, or that of any refusal."""
    said = operation.definition.raw["responses"].get(str(status), {})
    return set(said.get("content", {})) or {"application/json", "text/html", ""}


def _revive(key: str) -> None:
    """Let the key live on: one of the calls ends it."""
    user = accounts.user_of_token(key)
    if user is None:
        with transaction():
            owner = db.session.query(User).filter_by(username="fuzz").one()
            for token in owner.tokens:
                token.revoked_at = None
