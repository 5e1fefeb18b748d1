import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from app.models import User
from app.pages.base import own_address, show_bytes, show_number
from app.services import nights
from tests.app.pages.conftest import Browser


@pytest.fixture
def without_months(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that breaks in the middle of a request."""

    def broken(_user: User) -> None:
        raise OperationalError("SELECT 1", None, RuntimeError("disk I/O error"))

    app.config["PROPAGATE_EXCEPTIONS"] = False
    monkeypatch.setattr(nights, "months", broken)


def test_unforeseen_error_is_a_sentence_without_its_details(
    browser: Browser, without_months: None
) -> None:
    response = browser.get("/nights/")

    assert response.status_code == 500
    assert response.mimetype == "text/html"
    assert "its log says what" in response.text
    assert "disk I/O" not in response.text
    assert "Content-Security-Policy" in response.headers


def test_script_of_ours_gets_a_sentence_too(browser: Browser, without_months: None) -> None:
    response = browser.part("/nights/", "nights")

    assert (response.status_code, response.mimetype) == (500, "text/plain")
    assert "Something went wrong" in response.text


def test_too_large_a_form_is_refused_on_a_page_and_in_json(
    browser: Browser, client: FlaskClient
) -> None:
    page = browser.post("/blocks/", name_has="x" * (9 << 20))
    face = client.post("/reduction/biasblock", data={"x": "x" * (9 << 20)})

    assert page.status_code == 413
    assert "more than the server takes" in page.text
    assert face.status_code == 413
    assert face.is_json


def test_missing_csrf_token_is_explained(browser: Browser) -> None:
    response = browser.client.post("/account/tokens/")

    assert response.status_code == 403
    assert "CSRF token missing or incorrect" in response.text


def test_wrong_method_is_said_in_the_words_of_the_place(
    browser: Browser, client: FlaskClient
) -> None:
    page, face = browser.get("/scan/"), client.put("/api/files/")

    assert (page.status_code, page.mimetype) == (405, "text/html")
    assert face.get_json() == {"detail": 'Method "PUT" not allowed.'}
    assert "GET" in face.headers["Allow"]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("/night/2026-11-20/?kind=bias", "/night/2026-11-20/?kind=bias"),
        ("//evil.example/", None),
        ("/\\evil.example", None),
        ("http://evil.example/", None),
        ("evil", None),
        ("/a\nb", None),
        ("", None),
        (None, None),
    ],
)
def test_only_paths_of_this_server_lead_back(address: str | None, expected: str | None) -> None:
    assert own_address(address) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.0, "0"), (3.14159, "3.142"), (65535.0, "65,535"), (1e-7, "1e-07")],
)
def test_numbers_are_written_as_people_do(value: float | None, text: str) -> None:
    assert show_number(value) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, ""), (0, "0 B"), (999, "999 B"), (33_554_432, "33.6 MB"), (7 * 10**12, "7 TB")],
)
def test_sizes_have_their_unit(size: int | None, text: str) -> None:
    assert show_bytes(size) == text


@pytest.mark.parametrize(
    "address",
    [
        "/frames/{}/",
        "/blocks/{}/",
        "/jobs/{}/",
        "/frames/{}/thumbnail.png",
        "/api/files/{}/download/",
    ],
)
def test_number_no_row_can_have_is_not_there(browser: Browser, address: str) -> None:
    for number in (2**63, 10**30):
        assert browser.get(address.format(number)).status_code == 404


LISTS = ["/quarantine/", "/blocks/", "/tasks/", "/frames/", "/night/2026-11-20/"]


@pytest.mark.parametrize("address", LISTS)
def test_lists_refuse_a_parameter_they_do_not_know_and_name_those_they_do(
    browser: Browser, address: str
) -> None:
    wrong = browser.get(f"{address}?naem_has=x")

    assert wrong.status_code == 400
    assert "naem_has" in wrong.text
    assert "there is no such parameter; these are: " in wrong.text
    assert browser.get(address).status_code == 200


@pytest.mark.parametrize("address", ["/people/", "/people/audit/"])
def test_lists_for_staff_refuse_a_parameter_they_do_not_know(
    staff_browser: Browser, address: str
) -> None:
    assert staff_browser.get(f"{address}?nobody=x").status_code == 400


@pytest.mark.parametrize(
    "address", ["/quarantine/?before=", "/blocks/?before=", "/night/2026-11-20/?after="]
)
def test_page_that_goes_on_from_nowhere_is_refused(browser: Browser, address: str) -> None:
    assert browser.get(f"{address}x").status_code == 400
    assert browser.get(f"{address}{10**30}").status_code == 400
    assert browser.get(address).status_code == 200
