"""Games with paths and with text no database takes: nothing outside is reached, nothing breaks."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import IntegerConverter, Rule

from app import paths
from app.models import User
from tests.app.pages.taskrows import make_task
from tests.app.services.rawfiles import fits_bytes, store
from tests.conftest import client_of
from tests.factories import make_block, make_frame

SECRET: Final = b"outside of everything"
GAMES: Final = (
    "../outside.fits", "RAW/../../outside.fits", "RAW/../../../outside.fits", "/etc/passwd",
    "RAW//etc/passwd", "RAW/link/outside.fits", "link/outside.fits", "RAW/loop/x", "RAW/out.fits",
    "..\\outside.fits", "....//outside.fits", "..;/outside.fits", "%2e%2e/outside.fits",
    "..%2foutside.fits", "%252e%252e%252foutside.fits", "RAW/%00/outside.fits", "file:///etc/passwd",
    "\\\\host\\share", "C:\\Windows", "~/outside.fits", "$HOME", "RAW/./././../../outside.fits",
    "x" * 5000, "/".join(["x" * 200] * 30), "RAW/\u202e/x", "RAW/a\nb", "CONFIG/../../outside.fits",
    "../run/select-0.lock", "../coelostat.db", "../logs/coelostat.log", "../config.toml",
    "LOGS/../../coelostat.db", "TMP/../../coelostat.db", "MASTERS/../../coelostat.db", ".", "..",
    "/",
    "RAW/.hidden/x.fits", "RAW/night/.part.fits", "proc/self/environ", "RAW/fifo", "RAW/night",
)  # fmt: skip
INSIDE: Final = frozenset({"/", "RAW/night"})


@pytest.fixture(autouse=True)
def outside(app: Flask, tmp_path: Path) -> Path:
    """A file nobody may reach, and the links that lead to it."""
    secret = tmp_path / "outside.fits"
    secret.write_bytes(SECRET)
    (tmp_path / "instance" / "outside.fits").write_bytes(SECRET)
    raw = paths.current().raw
    (raw / "link").symlink_to(tmp_path)
    (raw / "loop").symlink_to(raw / "loop")
    (raw / "out.fits").symlink_to(secret)
    store(raw / ".hidden" / "x.fits", SECRET)
    store(raw / "night" / ".part.fits", SECRET)
    store(raw / "night" / "a.fits", fits_bytes())
    return secret


@pytest.fixture(params=["observer", "staff"])
def caller(request: pytest.FixtureRequest, app: Flask) -> FlaskClient:
    user: User = request.getfixturevalue(request.param)
    return client_of(app, user)


def test_no_path_leads_out_of_the_house(caller: FlaskClient) -> None:
    wrong = []
    for game in GAMES:
        for address in (f"/media/{game}", f"/media/RAW/{game}", f"/static/{game}"):
            with caller.get(address) as response:
                body = response.get_data()
                is_refused = response.status_code in {400, 404, 308}
                if not is_refused or SECRET in body or b"root:" in body:
                    wrong.append((address[:80], response.status_code))

    assert wrong == []


def test_nothing_outside_is_scanned_registered_or_loaded(caller: FlaskClient) -> None:
    wrong = []
    for game in GAMES:
        for address, name, fixed in (
            ("/reduction/scan_folder", "path", {}),
            ("/reduction/biasblock", "filepath", {"type": "register"}),
            ("/reduction/flatbyfilter", "filepath", {"type": "register"}),
            ("/reduction/superflat", "filepath", {"type": "register"}),
            ("/reduction/set_conf", "config_name", {}),
        ):
            response = caller.post(address, json=fixed | {name: game})
            answer = response.get_json()
            is_refused = answer.get("status") is False or "error" in answer
            is_fair = is_refused or (game in INSIDE and "scan_folder" in address)
            if response.status_code not in {200, 403} or not is_fair:
                wrong.append((address, game[:60], response.status_code, answer))
        status = caller.post("/scan/", data={"folder": game}).status_code
        if status != (303 if game in INSIDE else 400):
            wrong.append(("/scan/", game[:60], status, {}))

    assert wrong == []


_UNSOUND: Final = ("\0", "a\0b", "\0\0")


def forms(app: Flask) -> Iterator[tuple[str, str]]:
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("pages.") and "POST" in (rule.methods or set()):
            yield rule.endpoint, _address(rule)


def queries(app: Flask) -> Iterator[tuple[str, str]]:
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or set()) and rule.endpoint != "pages.stream_events":
            yield rule.endpoint, _address(rule)


def _address(rule: Rule) -> str:
    values: dict[str, object] = {
        name: 1 if isinstance(converter, IntegerConverter) else "2026-11-20"
        for name, converter in rule._converters.items()
    }
    return (rule.build(values) or ("", ""))[1]


# Every name some page or call reads, so that none is read unchecked.
_FIELDS: Final = (
    *("name_has", "kind", "night", "state", "level", "after", "before", "month", "problems"),
    *("object", "file_name", "filter", "proposal_id", "obstype", "id", "page", "stretch", "cmap"),
    *("type", "contains", "startDate", "endDate", "band", "field", "path", "query", "comment"),
    *("username", "password", "email", "first_name", "role", "person", "code", "title", "abstract"),
    *("semester", "folder", "start", "end", "section", "item", "value", "back", "next", "plane"),
    *(
        "subject",
        "message",
        "name",
        "description",
        "pi",
        "groups",
        "action",
        "who",
        "what",
        "soar_id",
    ),
)


def test_text_that_is_no_text_is_refused_and_breaks_nothing(
    app: Flask,
    staff: User,
    staff_client: FlaskClient,
    record_property: Callable[[str, object], None],
) -> None:
    make_block("sci", [make_frame()])
    make_task(staff)
    broken, asked = [], 0
    for endpoint, address in queries(app):
        for text in _UNSOUND[1:2]:
            with staff_client.get(address, query_string=dict.fromkeys(_FIELDS, text)) as answer:
                asked += 1
                is_open = endpoint in {"static", "health.healthz"} or answer.mimetype == "text/html"
                if answer.status_code >= 500 and endpoint != "health.healthz":
                    broken.append((endpoint, "query", answer.status_code))
                if endpoint.startswith("pages.") and answer.status_code != 400:
                    broken.append((endpoint, "query", answer.status_code))
                assert is_open or answer.mimetype != ""
    for endpoint, address in forms(app):
        for text in _UNSOUND:
            answer = staff_client.post(address, data=dict.fromkeys(_FIELDS, text))
            asked += 1
            if answer.status_code != 400:
                broken.append((endpoint, "form", answer.status_code))

    record_property("counted: unsound text", {"requests": asked})
    assert broken == []


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\0"])
def test_half_a_character_in_json_is_refused_and_breaks_nothing(
    app: Flask, staff_client: FlaskClient, text: str
) -> None:
    make_block("sci", [make_frame()])
    sent = dict.fromkeys(_FIELDS, text)
    broken = []
    for rule in app.url_map.iter_rules():
        methods = (rule.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"}
        for method in methods if rule.endpoint != "splus.logout" else ():
            for body in (sent, {"type": "get", "contains": text}, {"id": 1, "comment": text}):
                answer = staff_client.open(_address(rule), method=method, json=body)
                if answer.status_code >= 500:
                    broken.append((rule.endpoint, method, answer.status_code))

    assert broken == []


@pytest.mark.parametrize(
    "body",
    [
        b"--x\r\nContent-Disposition: form-data\r\n\r\nhello\r\n--x--\r\n",
        b'--x\r\nContent-Disposition: form-data; name=""\r\n\r\nhello\r\n--x--\r\n',
        b'--x\r\nContent-Disposition: form-data; filename="a"\r\n\r\nhello\r\n--x--\r\n',
        b"--x\r\n\r\nhello\r\n--x--\r\n",
        b"--x",
        b"",
    ],
)
def test_a_part_without_a_name_breaks_nothing(
    app: Flask, staff_client: FlaskClient, body: bytes
) -> None:
    broken = []
    for rule in app.url_map.iter_rules():
        if "POST" in (rule.methods or set()) and rule.endpoint != "splus.logout":
            kind = "multipart/form-data; boundary=x"
            answer = staff_client.post(_address(rule), data=body, content_type=kind)
            if answer.status_code >= 500:
                broken.append((rule.endpoint, answer.status_code))

    assert broken == []
