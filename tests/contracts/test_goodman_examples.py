"""The archive's two documented scripts, as they are printed, run by real clients on a real server.

Repaired in them is only what the printed page allows: host, key and a misspelt module.
"""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.db import db, transaction
from app.models import Proposal, User
from app.services import accounts, settings
from tests.factories import make_frame, make_user

LIST_RAW_FILES = """
import requests

api_key = 'some-fake-api-key-that-does-not-work'

# define request headers
headers = {'Authorization': f"Token {api_key}",
           'Content-Type': 'application/json'}

#define parameters
# 0: Raw files
# 1: Calibration Files (Master flats or bias)
# 2: Reduced files
# 3: Extracted 1D spectrum
# 4: Wavelength calibrated
# 5: Flux Calibrated
parameters = {"data_type": "0"}

# remotehost should be replaced with the actual host
# also the url can be composed as http://remotehost/api/files/?data_type=0
# in that case you don't need to pass the params argument.
response = requests.get(
         url='http://remotehost/api/files/',
         params=parameters,
         headers=headers)

if response.status_code == 200:
    json_response = response.json()

# alternatively you can use response.raise_for_status() and catch any exception

from request.exceptions import HTTPError

try:
    response.raise_for_status()
except HTTPError as http_error:
    log.exception(http_error)
"""

ADD_COLLABORATOR = """
import requests

api_key = 'some-fake-api-key-that-does-not-work'

# define request headers
headers = {'Authorization': f"Token {api_key}",
           'Content-Type': 'application/json'}

#define payload
payload = {
    "email": "user@server.net",
    "action": "add"
    }


# remotehost should be replaced with the actual host
response = requests.get(
         url='http://remotehost/api/proposals/collaborators/5/',
         data=payload,
         headers=headers)

if response.status_code == 200:
    json_response = response.json()
"""

PERSON_TYPES: dict[str, type | tuple[type, ...]] = {
    "id": int,
    "username": str,
    "last_login": (str, type(None)),
    "first_name": str,
    "last_name": str,
    "email": str,
    "is_staff": bool,
    "is_active": bool,
    "date_joined": str,
}


@pytest.fixture
def investigator(staff: User) -> User:
    """Who leads proposal 5, at a site of another zone than UTC."""
    settings.change("site", "timezone", "America/Santiago", by=staff)
    user = make_user("pi", first_name="Observer", last_name="Observer", email="pi@dome.cl")
    with transaction():
        db.session.add(
            Proposal(
                id=5,
                code="calibrate",
                semester="2020A",
                title="Calibrations",
                abstract="How calibrations will be handled.",
                pi=user,
            )
        )
    return user


def run(script: str, origin: str, user: User) -> dict[str, Any]:
    """Run a printed script as its reader would, and return the names it leaves behind."""
    repaired = (
        script.replace("http://remotehost", origin)
        .replace("some-fake-api-key-that-does-not-work", accounts.issue_token(user))
        .replace("from request.exceptions", "from requests.exceptions")
    )
    names: dict[str, Any] = {}
    exec(compile(repaired, "the printed script", "exec"), names)  # noqa: S102 - typed in above
    names["response"].close()
    return names


def test_the_list_of_raw_files_is_printed_as_documented(origin: str, observer: User) -> None:
    raw = [make_frame() for _ in range(21)]
    make_frame(level=2)

    names = run(LIST_RAW_FILES, origin, observer)

    answer = names["json_response"]
    assert answer["count"] == 21
    assert answer["next"] == f"{origin}/api/files/?data_type=0&page=2"
    assert answer["previous"] is None
    assert [row["id"] for row in answer["results"]] == [frame.id for frame in raw][:0:-1]
    assert {row["data_type"] for row in answer["results"]} == {"0"}


def test_a_collaborator_is_added_and_the_proposal_printed_as_documented(
    origin: str, investigator: User
) -> None:
    names = run(ADD_COLLABORATOR, origin, investigator)

    answer = names["json_response"]
    assert list(answer) == [
        "id", "soar_id", "semester", "title", "abstract", "user", "collaborators",
    ]  # fmt: skip
    assert [answer[name] for name in list(answer)[:5]] == [
        5, "calibrate", "2020A", "Calibrations", "How calibrations will be handled.",
    ]  # fmt: skip
    [added] = answer["collaborators"]
    for person in (answer["user"], added):
        assert list(person) == list(PERSON_TYPES)
        assert {k for k, kind in PERSON_TYPES.items() if not isinstance(person[k], kind)} == set()
    assert answer["user"]["username"] == "pi"
    assert (added["username"], added["email"]) == ("user", "user@server.net")
    assert (added["last_login"], added["is_active"], added["is_staff"]) == (None, True, False)
    joined = datetime.fromisoformat(added["date_joined"])
    assert joined.utcoffset() == joined.astimezone(ZoneInfo("America/Santiago")).utcoffset()


def test_the_added_person_exists_once_and_has_no_password_that_could_be_guessed(
    origin: str, investigator: User
) -> None:
    for _ in range(2):
        answer = run(ADD_COLLABORATOR, origin, investigator)["json_response"]

    assert [one["email"] for one in answer["collaborators"]] == ["user@server.net"]
    [made] = accounts.users_of_email("user@server.net")
    assert made.password_hash is None
    assert made.is_active


def test_the_printed_script_changes_nothing_for_whoever_does_not_lead_the_proposal(
    origin: str, investigator: User
) -> None:
    names = run(ADD_COLLABORATOR, origin, make_user("somebody"))

    assert names["response"].status_code == 403
    assert "json_response" not in names
    assert accounts.users_of_email("user@server.net") == []
