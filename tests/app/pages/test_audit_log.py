import csv

import pytest

from app.db import transaction
from app.models import User
from app.services import audit
from tests.app.pages.conftest import Browser


def note(by: User, *actions: str, detail: str = "") -> None:
    with transaction():
        for action in actions:
            audit.note(by, action, by, detail)


def test_log_is_shown_newest_first_with_who_and_what(staff_browser: Browser, staff: User) -> None:
    note(staff, "did this", "did that", detail="and so")

    page = staff_browser.text("/people/audit/")

    assert page.index(">did that</td>") < page.index(">did this</td>")
    assert "and so" in page
    assert f'href="/people/{staff.id}/"' in page


def test_log_is_filtered_and_says_when_nothing_fits(
    staff_browser: Browser, staff: User, observer: User
) -> None:
    note(staff, "did this")
    note(observer, "did that")

    page = staff_browser.text("/people/audit/?person=observer&subject=observer&action=did+that")
    none = staff_browser.text("/people/audit/?from=2020-01-01&to=2020-01-02")

    assert ">did that</td>" in page
    assert ">did this</td>" not in page
    assert "Nothing in the log fits" in none
    assert 'value="2020-01-01"' in none


def test_older_pages_keep_the_filter(staff_browser: Browser, staff: User) -> None:
    note(staff, *(f"act {number:03}" for number in range(audit.PAGE + 1)))

    first = staff_browser.text("/people/audit/?person=staff")
    link = next(
        part
        for part in first.split('"')
        if part.startswith("/people/audit/?person=staff&amp;before")
    )
    second = staff_browser.text(link.replace("&amp;", "&"))

    assert (">act 001</td>" in first, ">act 000</td>" in first) == (True, False)
    assert (">act 001</td>" in second, ">act 000</td>" in second) == (False, True)
    assert ">Older<" not in second


def test_log_is_sent_as_csv_no_spreadsheet_calculates(staff_browser: Browser, staff: User) -> None:
    note(staff, "did", detail="=1+1")
    note(staff, "did", detail='two\nlines, "quoted"')

    response = staff_browser.get("/people/audit/?format=csv&action=did")

    assert response.mimetype == "text/csv"
    assert "audit-log.csv" in response.headers["Content-Disposition"]
    head, *rows = csv.reader(response.text.splitlines(keepends=True))
    assert ",".join(head) == "time_utc,who,action,detail,subject_kind,subject_id,subject"
    assert [row[1:] for row in rows] == [
        ["staff", "did", 'two\nlines, "quoted"', "user", str(staff.id), "staff"],
        ["staff", "did", "'=1+1", "user", str(staff.id), "staff"],
    ]


@pytest.mark.parametrize(
    "query", ["from=yesterday", "to=0", "before=x", "before=1e99", "person=%00", "subject=a%00b"]
)
def test_nonsense_is_a_page_that_says_so(staff_browser: Browser, query: str) -> None:
    response = staff_browser.get(f"/people/audit/?{query}")

    assert response.status_code == 400
    assert query.partition("=")[0] in response.text
