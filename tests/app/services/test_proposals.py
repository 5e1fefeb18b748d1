"""Proposals: who makes and edits them, who is put on them, when their frames are released."""

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from app.db import db, transaction, utcnow
from app.errors import InvalidRequestError, NotAllowedError, NotFoundError
from app.models import AuditEntry, Frame, Group, Job, Proposal, User
from app.services import access, accounts, audit, invitations, proposals
from app.services.proposals import Change
from tests import mailserver
from tests.factories import make_frame, make_user

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def pi() -> User:
    return make_user("pi", email="pi@site.org")


@pytest.fixture
def proposal(pi: User, staff: User) -> Proposal:
    return proposals.create(by=staff, code="2026B-001", pi="pi")


def acts(proposal: Proposal) -> list[str]:
    return [act.text for act in audit.of(proposal)]


def count(model: type[Any]) -> int:
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def test_staff_make_a_proposal_with_everything_it_has(staff: User, pi: User) -> None:
    with transaction():
        db.session.add(Group(name="class"))

    made = proposals.create(
        by=staff,
        code=" 2026B-002 ",
        semester="2026B",
        title="Stars",
        abstract="Line one.\nLine two.",
        pi="pi",
        groups=["class"],
        proprietary_days=0,
    )

    db.session.expire_all()
    assert (made.code, made.semester, made.title) == ("2026B-002", "2026B", "Stars")
    assert (made.abstract, made.pi, made.proprietary_days) == ("Line one.\nLine two.", pi, 0)
    assert [group.name for group in made.groups] == ["class"]
    assert acts(made) == ["made the proposal: 2026B-002"]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"code": ""}, "code"),
    ({"code": "  "}, "code"),
    ({"code": "x" * 101}, "code"),
    ({"code": "two\nlines"}, "code"),
    ({"code": "2026b-001"}, "code"),
    ({"code": "a", "title": "nul\0"}, "title"),
    ({"code": "a", "abstract": "half \ud800"}, "abstract"),
    ({"code": "a", "pi": "nobody"}, "pi"),
    ({"code": "a", "pi": "no@address@at.all"}, "pi"),
    ({"code": "a", "pi": "99999"}, "pi"),
    ({"code": "a", "groups": ["none"]}, "groups"),
    ({"code": "a", "proprietary_days": -1}, "proprietary_days"),
    ({"code": "a", "proprietary_days": 36_501}, "proprietary_days"),
]


def test_what_no_proposal_can_be_is_refused_by_its_field_and_makes_nothing(
    proposal: Proposal, staff: User
) -> None:
    refused: list[str] = []
    for values, _ in WRONG:
        with pytest.raises(InvalidRequestError) as error:
            proposals.create(by=staff, **values)
        refused += error.value.fields

    assert refused == [field for _, field in WRONG]
    assert count(Proposal) == 1


def test_only_staff_make_and_edit(proposal: Proposal, pi: User) -> None:
    with pytest.raises(NotAllowedError):
        proposals.create(by=pi, code="2026B-002")
    with pytest.raises(NotAllowedError):
        proposals.edit(proposal, by=pi, title="Mine")

    assert (count(Proposal), proposal.title) == (1, "")


def test_an_edit_changes_what_is_given_and_notes_what_changed(
    proposal: Proposal, staff: User, pi: User
) -> None:
    proposals.edit(proposal, by=staff, title="Stars", proprietary_days=30)
    proposals.edit(proposal, by=staff, title="Stars", pi="", proprietary_days=None)

    assert (proposal.code, proposal.title, proposal.pi) == ("2026B-001", "Stars", None)
    assert acts(proposal)[:2] == [
        "changed: principal investigator: nobody; proprietary period: the site's",
        "changed: title: Stars; proprietary period: 30 days",
    ]


def test_an_edit_that_changes_nothing_is_not_noted(proposal: Proposal, staff: User) -> None:
    proposals.edit(proposal, by=staff, code="2026B-001", pi="pi")

    assert len(acts(proposal)) == 1


def test_a_refused_edit_leaves_all_as_it_was(proposal: Proposal, staff: User) -> None:
    with pytest.raises(InvalidRequestError):
        proposals.edit(proposal, by=staff, title="Stars", pi="nobody")

    db.session.expire_all()
    assert proposal.title == ""


@pytest.mark.usefixtures("members_only")
def test_a_proposal_read_in_a_header_gets_its_investigator_who_then_sees_its_frames(
    staff: User, pi: User
) -> None:
    with transaction():
        bare = Proposal(code="SOAR2020B-008")
        db.session.add(bare)
    frame = make_frame(proposal_id=bare.id, proposal_code=bare.code)
    visible = access.visible_to(pi, Frame)
    before = db.session.scalars(visible).all()

    proposals.edit(bare, by=staff, pi="pi@site.org")

    assert before == []
    assert db.session.scalars(visible).all() == [frame]


def test_frames_of_its_code_that_belong_to_none_become_its_own(
    proposal: Proposal, staff: User
) -> None:
    loose = make_frame(proposal_code="2026B-007")
    taken = make_frame(proposal_code="2026B-007", proposal_id=proposal.id)

    made = proposals.create(by=staff, code="2026B-007")

    db.session.expire_all()
    assert (loose.proposal_id, taken.proposal_id) == (made.id, proposal.id)


def test_the_investigator_puts_a_known_person_on_it_by_e_mail_in_any_case(
    proposal: Proposal, pi: User
) -> None:
    eva = make_user("eva", email="Eva@site.org")

    outcome = proposals.add_collaborator(proposal, " eva@SITE.org ", by=pi)

    assert (outcome.change, proposal.members) == (Change.ADDED, [eva])
    assert acts(proposal)[0] == "added a collaborator: eva"


def test_an_unknown_e_mail_makes_an_account_that_nobody_can_sign_in_to_yet(
    proposal: Proposal, pi: User
) -> None:
    outcome = proposals.add_collaborator(proposal, "user@server.net", by=pi)

    [made] = proposal.members
    assert (outcome.change, outcome.is_invited) == (Change.CREATED, False)
    assert (made.username, made.email, made.password_hash) == ("user", "user@server.net", None)
    assert (made.is_active, made.is_staff) == (True, False)
    assert proposals.not_signed_in([made, pi]) == {made.id}


def test_an_invitation_is_mailed_where_mail_is_set_up_and_only_to_a_new_account(
    proposal: Proposal, pi: User
) -> None:
    mailserver.set_up(2525, **{"site.url": "https://dome.site.org"})
    make_user("eva", email="eva@site.org")

    new = proposals.add_collaborator(proposal, "user@server.net", by=pi)
    known = proposals.add_collaborator(proposal, "eva@site.org", by=pi)

    assert (new.is_invited, known.is_invited) == (True, False)
    jobs = db.session.scalars(select(Job)).all()
    assert [job.function for job in jobs] == ["mail.invite"]


def test_a_link_another_investigator_had_made_is_worth_nothing_on_a_second_proposal(
    proposal: Proposal, pi: User, staff: User
) -> None:
    mailserver.set_up(2525, **{"site.url": "https://dome.site.org"})
    make_user("ben", email="ben@site.org")
    other = proposals.create(by=staff, code="2026B-002", pi="ben")
    led = proposals.create(by=staff, code="2026B-003")
    proposals.add_collaborator(proposal, "new@site.org", by=pi)
    [new] = accounts.users_of_email("new@site.org")
    keys = [invitations.invite(new, by=pi, is_mailed=True)]

    added = proposals.add_collaborator(other, "new@site.org", by=make_user("root", is_staff=True))
    keys.append(invitations.invite(new, by=pi, is_mailed=True))
    proposals.edit(led, by=staff, pi="new@site.org")

    assert (added.change, added.is_invited) == (Change.ADDED, True)  # with a link of their own
    for key in keys:
        with pytest.raises(NotFoundError):
            invitations.accept(key, "night-sky-8")
    passed_on = invitations.invite(new, by=staff)
    proposals.remove_collaborator(other, "new@site.org", by=staff)
    proposals.add_collaborator(other, "new@site.org", by=staff)
    assert invitations.invited(passed_on) == new


def test_adding_twice_and_removing_twice_are_harmless_and_said(
    proposal: Proposal, pi: User
) -> None:
    make_user("eva", email="eva@site.org")
    done = [
        proposals.add_collaborator(proposal, "eva@site.org", by=pi).change,
        proposals.add_collaborator(proposal, "eva@site.org", by=pi).change,
        proposals.add_collaborator(proposal, "pi@site.org", by=pi).change,
        proposals.remove_collaborator(proposal, "EVA@site.org", by=pi).change,
        proposals.remove_collaborator(proposal, "eva@site.org", by=pi).change,
    ]

    assert done == [
        Change.ADDED, Change.ALREADY_ON, Change.ALREADY_ON, Change.REMOVED, Change.NOT_ON,
    ]  # fmt: skip
    assert proposal.members == []
    assert acts(proposal)[:2] == ["removed a collaborator: eva", "added a collaborator: eva"]


def test_removing_an_unknown_e_mail_makes_no_account(proposal: Proposal, pi: User) -> None:
    people = count(User)

    for email in ("nobody@site.org", "no address", ""):
        assert proposals.remove_collaborator(proposal, email, by=pi).change == Change.NOT_ON

    assert count(User) == people


def test_nobody_is_removed_by_an_address_of_two(proposal: Proposal, pi: User) -> None:
    with transaction():
        proposal.members = [make_user(name, email="both@site.org") for name in ("a", "b")]

    with pytest.raises(InvalidRequestError, match="a, b"):
        proposals.remove_collaborator(proposal, "both@site.org", by=pi)

    assert len(proposal.members) == 2


def test_neither_members_nor_others_say_who_is_on_it(proposal: Proposal, pi: User) -> None:
    eva, other = make_user("eva", email="eva@site.org"), make_user("other")
    proposals.add_collaborator(proposal, "eva@site.org", by=pi)

    for by in (eva, other):
        with pytest.raises(NotAllowedError, match="principal investigator"):
            proposals.add_collaborator(proposal, "new@site.org", by=by)
        with pytest.raises(NotAllowedError):
            proposals.remove_collaborator(proposal, "eva@site.org", by=by)
        with pytest.raises(NotAllowedError):
            proposals.remove_person(proposal, eva.id, by=by)

    assert proposal.members == [eva]
    assert accounts.users_of_email("new@site.org") == []


def test_a_link_is_for_the_investigators_own_new_people_only(
    proposal: Proposal, pi: User, staff: User
) -> None:
    proposals.add_collaborator(proposal, "new@site.org", by=pi)
    eva = make_user("eva", email="eva@site.org")
    proposals.add_collaborator(proposal, "eva@site.org", by=pi)
    [new] = accounts.users_of_email("new@site.org")

    assert proposals.check_invite(proposal, new.id, by=pi) == new
    assert proposals.check_invite(proposal, eva.id, by=staff) == eva
    with pytest.raises(NotAllowedError, match="Only staff"):
        proposals.check_invite(proposal, eva.id, by=pi)
    with pytest.raises(NotFoundError):
        proposals.check_invite(proposal, staff.id, by=pi)
    with pytest.raises(NotAllowedError):
        proposals.check_invite(proposal, new.id, by=eva)


@pytest.mark.usefixtures("members_only")
def test_proposals_are_found_by_who_may_see_them(
    proposal: Proposal, pi: User, staff: User, observer: User
) -> None:
    proposals.create(by=staff, code="77", semester="2026A")

    assert [one.code for one in proposals.find(staff)] == ["77", "2026B-001"]
    assert [one.code for one in proposals.find(pi)] == ["2026B-001"]
    assert proposals.find(observer) == []
    assert proposals.named(pi, "2026b-001") == proposals.named(pi, str(proposal.id)) == proposal
    assert proposals.named(staff, "77").code == "77"
    for text in (str(proposal.id), "2026B-001", "none", "9" * 30, "\0"):
        with pytest.raises(NotFoundError):
            proposals.named(observer, text)


@pytest.mark.usefixtures("members_only")
def test_frames_are_counted_as_each_may_see_them(
    proposal: Proposal, pi: User, observer: User
) -> None:
    today = utcnow().date()
    for age in (0, 400):
        make_frame(proposal_id=proposal.id, night=today - timedelta(age))

    assert proposals.frame_counts(pi, [proposal]) == {proposal.id: 2}
    assert proposals.frame_counts(observer, [proposal]) == {proposal.id: 1}


def test_the_newest_frames_are_released_when_their_period_is_over(
    proposal: Proposal, staff: User
) -> None:
    empty = proposals.create(by=staff, code="none", proprietary_days=5)
    for night in (date(2026, 1, 1), date(2026, 3, 1), None):
        make_frame(proposal_id=proposal.id, night=night)

    found = proposals.releases([proposal, empty])

    assert (found[proposal.id].days, found[proposal.id].is_sites) == (365, True)
    assert found[proposal.id].on == date(2027, 3, 1)
    assert (found[empty.id].days, found[empty.id].on) == (5, None)


def test_what_a_person_did_to_a_proposal_is_noted_with_who_did_it(
    proposal: Proposal, pi: User
) -> None:
    proposals.add_collaborator(proposal, "new@site.org", by=pi)

    entry = db.session.scalars(
        select(AuditEntry).where(AuditEntry.action == "added a collaborator")
    ).one()
    assert (entry.user_id, entry.subject) == (pi.id, f"proposal {proposal.id}")
