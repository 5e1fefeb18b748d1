"""The pages of proposals: what each of its people finds and does there."""

import re
from datetime import date

import pytest
from flask import Flask
from sqlalchemy import select

from app.db import db, transaction
from app.models import Group, Job, Proposal, User
from app.services import accounts, invitations, settings
from tests import mailserver
from tests.app.pages.conftest import Browser, browser_of
from tests.factories import make_frame, make_user


@pytest.fixture
def pi(app: Flask) -> User:
    return make_user("pi", first_name="Ana", last_name="Rojas", email="pi@site.org")


@pytest.fixture
def eva(app: Flask) -> User:
    return make_user("eva", email="eva@site.org")


@pytest.fixture
def proposal(pi: User, eva: User) -> Proposal:
    with transaction():
        made = Proposal(code="2026B-001", title="Variable stars", pi=pi, members=[eva])
        db.session.add(made)
    return made


@pytest.fixture
def pi_browser(app: Flask, pi: User) -> Browser:
    return browser_of(app, pi)


def page_of(proposal: Proposal) -> str:
    return f"/people/proposals/{proposal.id}/"


@pytest.mark.usefixtures("members_only")
def test_list_shows_what_each_may_see_with_its_frames_and_release(
    pi_browser: Browser, browser: Browser, staff_browser: Browser, proposal: Proposal
) -> None:
    for _ in range(3):
        make_frame(proposal_id=proposal.id, night=date(2026, 11, 20))
    with transaction():
        db.session.add(Proposal(code="bare"))

    own, foreign, all_ = (
        b.text("/people/proposals/") for b in (pi_browser, browser, staff_browser)
    )

    assert re.search(r'proposal=2026B-001">3</a>', own)
    assert "2027-11-20" in own
    assert "bare" not in own
    assert "2026B-001" not in foreign
    assert "You are on no proposal" in foreign
    assert "nobody yet" in all_
    assert ("Make a proposal" in all_, "Make a proposal" in own) == (True, False)


def test_navigation_leads_everyone_to_proposals_and_staff_to_people(
    browser: Browser, staff_browser: Browser
) -> None:
    for one, sees_people in ((browser, False), (staff_browser, True)):
        page = one.text("/people/proposals/")
        assert 'href="/people/proposals/" aria-current="page"' in page
        assert ('href="/people/">People' in page) is sees_people


@pytest.mark.usefixtures("members_only")
def test_page_says_when_the_newest_data_become_everyones(
    pi_browser: Browser, proposal: Proposal
) -> None:
    assert "It has no frames yet" in pi_browser.text(page_of(proposal))
    make_frame(proposal_id=proposal.id, night=date(2026, 11, 20))
    with transaction():
        proposal.proprietary_days = 30

    assert "of the night of 2026-11-20, become everyone&#39;s on 2026-12-20" in html(
        pi_browser, proposal
    )
    with transaction():
        proposal.proprietary_days = 0
    assert "everyone&#39;s at once" in html(pi_browser, proposal)


def html(browser: Browser, proposal: Proposal) -> str:
    return browser.text(page_of(proposal)).replace("everyone's", "everyone&#39;s")


def test_an_open_site_says_that_the_period_changes_nothing(
    pi_browser: Browser, proposal: Proposal
) -> None:
    assert "so the period changes nothing" in pi_browser.text(page_of(proposal))


@pytest.mark.usefixtures("members_only")
def test_a_hidden_proposal_is_not_found_by_any_of_its_addresses(
    browser: Browser, proposal: Proposal, eva: User
) -> None:
    address = page_of(proposal)

    answers = [
        browser.get(address),
        browser.post(address, title="x"),
        browser.post(f"{address}people/", email="new@site.org"),
        browser.post(f"{address}people/{eva.id}/remove/"),
        browser.post(f"{address}people/{eva.id}/link/"),
        browser.post(f"{address}mail/", subject="a", message="b"),
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert all("2026B" not in answer.text for answer in answers)


def test_members_and_others_see_the_page_and_may_not_change_it(
    app: Flask, browser: Browser, proposal: Proposal, eva: User
) -> None:
    address = page_of(proposal)
    for one, knows_addresses in ((browser, False), (browser_of(app, eva), True)):
        page = one.text(address)
        assert ("pi@site.org" in page) is knows_addresses
        assert "Add</button>" not in page
        assert "Remove" not in page
        refused = [
            one.post(address, title="x"),
            one.post(f"{address}people/", email="new@site.org"),
            one.post(f"{address}people/{eva.id}/remove/"),
            one.post(f"{address}people/{eva.id}/link/"),
        ]
        assert {answer.status_code for answer in refused} == {403}

    assert (proposal.title, proposal.members) == ("Variable stars", [eva])


def test_the_investigator_adds_and_removes_people_and_is_told_what_became_of_it(
    pi_browser: Browser, proposal: Proposal, eva: User
) -> None:
    address = f"{page_of(proposal)}people/"

    def said(where: str, **fields: str) -> str:
        answer = pi_browser.post(where, **fields)
        assert answer.status_code == 303
        found = re.search(r'<p class="message">(.*?)</p>', pi_browser.text(page_of(proposal)))
        assert found is not None
        return found[1]

    assert said(address, email="eva@site.org") == "eva is on 2026B-001 already."
    assert said(address, email="new@site.org").startswith("new is on 2026B-001 now, with a new")
    assert said(f"{address}{eva.id}/remove/") == "eva is no longer on 2026B-001."
    assert "nothing to remove" in said(f"{address}{eva.id}/remove/")
    assert [person.username for person in proposal.members] == ["new"]
    assert "not yet signed in" in pi_browser.text(page_of(proposal))


def test_an_address_that_is_none_stays_in_the_form_with_what_is_wrong(
    pi_browser: Browser, proposal: Proposal
) -> None:
    answer = pi_browser.post(f"{page_of(proposal)}people/", email="no address")

    assert answer.status_code == 400
    assert 'value="no address"' in answer.text
    assert 'class="why"' in answer.text


def test_a_new_link_is_shown_once_to_staff_and_lets_its_person_in(
    staff_browser: Browser, proposal: Proposal, pi: User
) -> None:
    staff_browser.post(f"{page_of(proposal)}people/", email="new@site.org")
    [new] = accounts.users_of_email("new@site.org")
    page = staff_browser.text(page_of(proposal))

    shown = staff_browser.post(f"{page_of(proposal)}people/{new.id}/link/")

    assert "Make a link for them below" in page
    assert page.count("New link") == 1
    found = re.search(r"http://localhost/welcome/([\w-]+)/", shown.text)
    assert found is not None
    assert found[1] not in staff_browser.text(page_of(proposal))
    assert invitations.accept(found[1], "night-sky-8") == new
    assert "New link" not in staff_browser.text(page_of(proposal))


def test_an_investigator_is_shown_no_link_and_is_told_that_staff_make_one(
    pi_browser: Browser, proposal: Proposal, eva: User
) -> None:
    pi_browser.post(f"{page_of(proposal)}people/", email="new@site.org")
    [new] = accounts.users_of_email("new@site.org")
    page = pi_browser.text(page_of(proposal))

    answer = pi_browser.post(f"{page_of(proposal)}people/{new.id}/link/")
    after = pi_browser.text(page_of(proposal))
    refused = pi_browser.post(f"{page_of(proposal)}people/{eva.id}/link/")

    assert "staff can make one, and pass it on" in page
    assert "staff then make a link to pass on" in page
    assert "link/" not in page
    assert "staff can make one, and pass it on" in after
    assert "/welcome/" not in page + answer.text + after
    assert refused.status_code == 403
    assert invitations.open_until(new) is None


def test_an_investigators_link_goes_by_mail_to_its_person(
    pi_browser: Browser, proposal: Proposal
) -> None:
    pi_browser.post(f"{page_of(proposal)}people/", email="new@site.org")
    [new] = accounts.users_of_email("new@site.org")
    mailserver.set_up(2525, **{"site.url": "https://dome.site.org"})
    page = pi_browser.text(page_of(proposal))

    answer = pi_browser.post(f"{page_of(proposal)}people/{new.id}/link/")
    after = pi_browser.text(page_of(proposal))

    assert "Mail a link" in page
    assert "A link to choose a password goes to them by mail." in after
    assert "/welcome/" not in answer.text + after
    [job] = db.session.scalars(select(Job))
    assert (job.function, job.arguments["person"]) == ("mail.invite", new.id)


def test_staff_make_and_edit_a_proposal(staff_browser: Browser, pi: User) -> None:
    with transaction():
        db.session.add_all([Group(name="class"), Group(name="team")])

    made = staff_browser.post(
        "/people/proposals/", code="2026B-9", pi="pi", proprietary_days="30", with_groups="1",
        groups="class",
    )  # fmt: skip
    proposal = db.session.get_one(Proposal, 1)
    first = (proposal.pi, proposal.proprietary_days, [g.name for g in proposal.groups])
    address = made.headers["Location"]
    edited = staff_browser.post(
        address, code="2026B-9", title="New", pi="", proprietary_days="", with_groups="1"
    )

    assert (made.status_code, address, edited.status_code) == (303, "/people/proposals/1/", 303)
    assert first == (pi, 30, ["class"])
    db.session.expire_all()
    assert (proposal.title, proposal.pi, proposal.proprietary_days) == ("New", None, None)
    assert proposal.groups == []
    page = staff_browser.text(address)
    assert "Nobody leads this proposal yet" in page
    assert "title: New" in page


@pytest.mark.parametrize("address", ["/people/proposals/", "/people/proposals/1/"])
def test_a_refused_form_keeps_what_was_typed(
    staff_browser: Browser, proposal: Proposal, address: str
) -> None:
    answer = staff_browser.post(
        address, code="new-code", title="<b>Typed</b>", pi="nobody", proprietary_days="30"
    )

    assert answer.status_code == 400
    assert "There is no user" in answer.text
    assert 'value="&lt;b&gt;Typed&lt;/b&gt;"' in answer.text
    assert 'value="new-code"' in answer.text


@pytest.mark.parametrize("days", ["-1", "soon", "1e9", "99999999999999999999"])
def test_days_that_are_none_are_refused_at_their_field(
    staff_browser: Browser, proposal: Proposal, days: str
) -> None:
    answer = staff_browser.post(page_of(proposal), code="2026B-001", proprietary_days=days)

    assert answer.status_code == 400
    assert f'value="{days}"' in answer.text
    assert proposal.proprietary_days is None


def test_people_write_to_each_other_where_mail_is_set_up(
    pi_browser: Browser, proposal: Proposal
) -> None:
    before = pi_browser.text(page_of(proposal))
    mailserver.set_up(2525)

    empty = pi_browser.post(f"{page_of(proposal)}mail/", subject="Clouds", message="")
    sent = pi_browser.post(f"{page_of(proposal)}mail/", subject="Clouds", message="Later.")

    assert "Mail is not set up here" in before
    assert "pi@site.org, eva@site.org" in before
    assert empty.status_code == 400
    assert 'value="Clouds"' in empty.text
    assert sent.status_code == 303
    assert "On its way to 2 people, by job 1." in pi_browser.text(page_of(proposal))
    assert db.session.get_one(Job, 1).arguments["message"] == "Later."


def test_a_letter_without_a_mail_server_is_answered_with_the_addresses(
    pi_browser: Browser, proposal: Proposal
) -> None:
    answer = pi_browser.post(f"{page_of(proposal)}mail/", subject="Clouds", message="Later.")

    assert answer.status_code == 409
    assert "eva@site.org" in answer.text


def test_a_frames_page_leads_to_its_proposal_for_who_may_see_it(
    pi_browser: Browser, browser: Browser, proposal: Proposal, staff: User
) -> None:
    frame = make_frame(proposal_id=proposal.id, night=date(2020, 1, 1))
    link = f'href="{page_of(proposal)}"'
    open_to_all = browser.text(f"/frames/{frame.id}/")
    settings.change("access", "visibility", "members", by=staff)

    own = pi_browser.text(f"/frames/{frame.id}/")
    released = browser.text(f"/frames/{frame.id}/")

    assert (link in open_to_all, link in own, link in released) == (True, True, False)


def test_frames_are_listed_by_proposal_in_any_case(browser: Browser, proposal: Proposal) -> None:
    ours, other = make_frame(proposal_id=proposal.id), make_frame()

    found = browser.text("/frames/?proposal=2026b-001")
    none = browser.text("/frames/?proposal=unknown")

    assert (ours.file_name in found, other.file_name in found) == (True, False)
    assert "No frame matches" in none
