from app.config import OPERATIONAL, SETTINGS
from app.db import db
from app.models import AuditEntry, User
from app.pages.settings_titles import ITEMS, SECTIONS
from app.services import settings
from tests.app.pages.conftest import Browser


def test_everyone_reads_every_setting_with_its_help(browser: Browser) -> None:
    page = browser.text("/settings/")

    for setting in OPERATIONAL.values():
        assert setting.item in page
        assert setting.help.replace("'", "&#39;") in page
    assert "Only staff may change these" in page
    assert "Save" not in page


def test_secrets_are_shown_to_nobody(staff_browser: Browser) -> None:
    page = staff_browser.text("/settings/")

    assert "database_url" not in page
    assert "smtp_password" not in page
    assert "sqlite" not in page


def test_observers_change_nothing(browser: Browser) -> None:
    response = browser.post("/settings/", section="scan", interval_s="99")

    assert response.status_code == 403
    assert settings.snapshot().integer("scan.interval_s") == 10


def test_staff_change_a_section_and_only_what_differs_is_noted(
    staff_browser: Browser, staff: User
) -> None:
    response = staff_browser.post("/settings/", section="scan", interval_s="30", settle_s="3")
    page = staff_browser.text("/settings/")

    now = settings.snapshot()
    assert response.headers["Location"].endswith("#scan")
    assert now.integer("scan.interval_s") == 30
    assert now.flag("scan.watch") is False  # a box that is not ticked sends nothing
    assert "Changed: watch, interval_s." in page
    entries = {entry.subject: entry.user_id for entry in db.session.query(AuditEntry)}
    assert entries == {"scan.watch": staff.id, "scan.interval_s": staff.id}


def test_one_bad_value_changes_none_and_is_shown_at_its_field(staff_browser: Browser) -> None:
    response = staff_browser.post("/settings/", section="scan", interval_s="30", settle_s="soon")

    assert response.status_code == 400
    assert "scan.settle_s must be a whole number, not &#39;soon&#39;" in response.text
    assert 'value="30"' in response.text
    assert settings.snapshot().integer("scan.interval_s") == 10


def test_unknown_section_is_refused(staff_browser: Browser) -> None:
    assert staff_browser.post("/settings/", section="server").status_code == 400


def section_of(page: str, name: str) -> str:
    return page.partition(f'<section class="card" id="{name}">')[2].partition("</section>")[0]


def test_answer_is_shown_in_the_section_that_was_saved_and_nowhere_else(
    staff_browser: Browser,
) -> None:
    response = staff_browser.post("/settings/", section="jobs", max_attempts="4")

    page = staff_browser.text("/settings/")

    assert response.headers["Location"] == "/settings/#jobs"
    assert "Changed: max_attempts." in section_of(page, "jobs")
    assert page.count("Changed: max_attempts.") == 1


def test_refusal_too_is_shown_in_the_section_that_was_to_be_saved(staff_browser: Browser) -> None:
    page = staff_browser.post("/settings/", section="jobs", max_attempts="0").text

    assert 'action="/settings/#jobs"' in page  # a browser keeps that place for the answer
    assert "Nothing was changed" in section_of(page, "jobs")
    assert page.count("Nothing was changed") == 1


def test_one_of_a_few_words_is_chosen_from_a_list(staff_browser: Browser) -> None:
    staff_browser.post("/settings/", section="access", visibility="members", token_days="0")

    shown = section_of(staff_browser.text("/settings/"), "access")

    assert '<select id="access-visibility" name="visibility"' in shown
    assert "<option>everyone</option>" in shown
    assert "<option selected>members</option>" in shown


def test_every_setting_and_section_has_a_title_beside_its_name(browser: Browser) -> None:
    page = browser.text("/settings/")

    shown = [setting for setting in SETTINGS if not setting.secret]
    assert {setting.name for setting in shown} == set(ITEMS)
    assert {setting.section for setting in shown} == set(SECTIONS)
    for setting in OPERATIONAL.values():
        title = ITEMS[setting.name]
        assert f'{title} <code class="muted">{setting.item}</code></label>' in page
    for name, title in SECTIONS.items():
        assert f'<h2>{title} <code class="muted">{name}</code></h2>' in page
    titles = [(setting.section, ITEMS[setting.name]) for setting in shown]
    assert len(set(titles)) == len(titles)
