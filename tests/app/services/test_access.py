"""The access rule: who sees, changes and deletes which frames, blocks, files and proposals."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.db import db, transaction, utcnow
from app.errors import NotAllowedError
from app.models import (
    Block,
    BlockFrame,
    BlockKind,
    Camera,
    Event,
    FileState,
    Frame,
    Group,
    Job,
    Level,
    Proposal,
    ScannedFile,
    User,
)
from app.services import access, accounts, settings
from tests.factories import make_frame, make_user

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def investigator() -> User:
    return make_user("investigator")


@pytest.fixture
def member() -> User:
    return make_user("member")


@pytest.fixture
def student() -> User:
    return make_user("student")


@pytest.fixture
def other() -> User:
    return make_user("other")


@pytest.fixture
def proposal(investigator: User, member: User, student: User) -> Proposal:
    with transaction():
        made = Proposal(code="2026B-001", pi_id=investigator.id, members=[member])
        made.groups = [Group(name="class of 2026", members=[student])]
        db.session.add(made)
    return made


def of(proposal: Proposal, **columns: Any) -> Frame:
    return make_frame(proposal_id=proposal.id, proposal_code=proposal.code, **columns)


def seen(user: User | None, model: type[object] = Frame) -> set[int]:
    return {row.id for row in db.session.scalars(access.visible_to(user, model))}


@pytest.mark.usefixtures("members_only")
def test_people_of_a_proposal_see_its_frames_by_name_and_by_group(
    proposal: Proposal, investigator: User, member: User, student: User, other: User, staff: User
) -> None:
    frame = of(proposal)

    for user in (investigator, member, student, staff):
        assert seen(user) == {frame.id}
    assert seen(other) == set()
    assert seen(None) == set()


def test_everyone_signed_in_sees_all_where_the_site_says_so(
    proposal: Proposal, other: User
) -> None:
    frame = of(proposal)

    assert seen(other) == {frame.id}
    assert seen(None) == set()


@pytest.mark.usefixtures("members_only")
def test_masters_frames_of_no_proposal_and_ones_own_uploads_are_seen(
    proposal: Proposal, other: User
) -> None:
    of(proposal)
    master = of(proposal, level=Level.MASTER, kind="bias")
    free = make_frame()
    own = of(proposal, owner_id=other.id)

    assert seen(other) == {master.id, free.id, own.id}


@pytest.mark.usefixtures("members_only")
@pytest.mark.parametrize(("days", "usual", "age", "is_open"), [
    (30, 365, 30, True),
    (30, 365, 29, False),
    (None, 10, 10, True),
    (None, 10, 9, False),
    (0, 365, 0, True),
    (36_500, 0, 3000, False),
])  # fmt: skip
def test_frames_are_everyones_after_the_proprietary_period(
    proposal: Proposal,
    other: User,
    staff: User,
    days: int | None,
    usual: int,
    age: int,
    is_open: bool,
) -> None:
    settings.change("access", "proprietary_days", usual, by=staff)
    with transaction():
        proposal.proprietary_days = days
    old = of(proposal, night=utcnow().date() - timedelta(age))
    undated = of(proposal, night=None)

    assert (old.id in seen(other)) is is_open
    assert undated.id not in seen(other)
    strangers = db.session.scalars(select(Frame.id).where(access.may_stranger_see())).all()
    assert (old.id in strangers) is is_open


def test_strangers_see_what_is_public_also_where_everyone_signed_in_sees_all(
    proposal: Proposal,
) -> None:
    of(proposal)
    old = of(proposal, night=utcnow().date() - timedelta(366))
    master, free = of(proposal, level=Level.MASTER, kind="bias"), make_frame()

    found = db.session.scalars(select(Frame.id).where(access.may_stranger_see())).all()

    assert set(found) == {old.id, master.id, free.id}


def test_rows_of_which_nothing_is_said_are_seen_by_nobody_by_oversight(
    staff: User, other: User
) -> None:
    assert seen(other, Camera) == set()
    for user in (staff, other, None):
        with pytest.raises(TypeError, match="Event"):
            access.visible_to(user, Event)


@pytest.mark.usefixtures("members_only")
def test_who_made_a_block_sees_it_while_none_of_its_frames_is_hidden(
    proposal: Proposal, member: User
) -> None:
    frame = of(proposal)
    with transaction():
        alone = Block(kind=BlockKind.SCI, entries=[BlockFrame(frame_id=frame.id)])
        group = Block(kind=BlockKind.SCI, is_group=True)
        child = Block(kind=BlockKind.SCI, parent=group, entries=[BlockFrame(frame_id=frame.id)])
        empty = Block(kind=BlockKind.SCI)
        made = [alone, group, child, empty]
        for block in made:
            block.owner_id = member.id
        db.session.add_all(made)
    before = seen(member, Block)

    with transaction():
        proposal.members = []

    assert before == {block.id for block in made}
    assert seen(member, Block) == {empty.id}


@pytest.mark.usefixtures("members_only")
def test_a_science_block_and_its_group_are_seen_with_the_first_of_their_frames(
    proposal: Proposal, member: User, other: User
) -> None:
    frame, free = of(proposal), make_frame()
    with transaction():
        group = Block(kind=BlockKind.SCI, is_group=True)
        hidden = Block(kind=BlockKind.SCI, parent=group, entries=[BlockFrame(frame_id=frame.id)])
        shared = Block(
            kind=BlockKind.SCI,
            entries=[BlockFrame(frame_id=frame.id), BlockFrame(frame_id=free.id)],
        )
        bias = Block(kind=BlockKind.BIAS)
        db.session.add_all([group, hidden, shared, bias])

    assert seen(member, Block) == {group.id, hidden.id, shared.id, bias.id}
    assert seen(other, Block) == {shared.id, bias.id}


@pytest.mark.usefixtures("members_only")
def test_files_are_as_private_as_their_frames(
    proposal: Proposal, member: User, other: User, staff: User
) -> None:
    with transaction():
        taken, bad = (
            ScannedFile(path=name, size=1, mtime_ns=1, state=state)
            for name, state in (("a.fits", FileState.REGISTERED), ("b", FileState.QUARANTINED))
        )
        db.session.add_all([taken, bad])
        db.session.flush()
        copy = ScannedFile(
            path="c.fits", size=1, mtime_ns=1, state=FileState.DUPLICATE, duplicate_of_id=taken.id
        )
        db.session.add(copy)
    of(proposal, file_id=taken.id)

    assert seen(member, ScannedFile) == {taken.id, copy.id}
    assert seen(other, ScannedFile) == set()
    assert seen(staff, ScannedFile) == {taken.id, copy.id, bad.id}


@pytest.mark.usefixtures("members_only")
def test_proposals_are_seen_by_their_people(proposal: Proposal, student: User, other: User) -> None:
    assert seen(student, Proposal) == {proposal.id}
    assert seen(other, Proposal) == set()


def test_frames_of_a_proposal_with_people_are_changed_by_them_alone(
    proposal: Proposal, student: User, other: User, staff: User
) -> None:
    with transaction():
        bare = Proposal(code="from-a-header")
        db.session.add(bare)
    theirs, free, of_nobody = of(proposal), make_frame(), of(bare)

    for user in (student, staff):
        access.check_change(user, theirs)
    for frame in (free, of_nobody):
        access.check_change(other, frame)
    with pytest.raises(NotAllowedError, match="2026B-001"):
        access.check_change(other, theirs)


def test_a_master_is_marked_by_everyone_where_everyone_sees_all(other: User) -> None:
    access.check_change(other, make_frame("bias", level=Level.MASTER))


@pytest.mark.usefixtures("members_only")
def test_a_master_is_marked_by_staff_where_frames_are_hidden(other: User, staff: User) -> None:
    master = make_frame("bias", level=Level.MASTER)

    access.check_change(staff, master)
    with pytest.raises(NotAllowedError, match="Masters are used for all: only staff may"):
        access.check_change(other, master)


@pytest.mark.usefixtures("members_only")
def test_where_frames_are_hidden_no_upload_tells_which_codes_exist(
    proposal: Proposal, member: User, other: User, staff: User
) -> None:
    with transaction():
        bare = Proposal(code="from-a-header")
        db.session.add(bare)

    assert [access.may_upload_to(member, one) for one in (proposal, bare, None)] == [
        True,
        False,
        False,
    ]
    assert not any(access.may_upload_to(other, one) for one in (proposal, bare, None))
    assert all(access.may_upload_to(staff, one) for one in (proposal, bare, None))


def test_a_block_is_changed_by_who_may_change_each_of_its_frames(
    proposal: Proposal, member: User, other: User
) -> None:
    frame = of(proposal)
    with transaction():
        block = Block(kind=BlockKind.SCI, entries=[BlockFrame(frame_id=frame.id)])
        group = Block(kind=BlockKind.SCI, is_group=True, children=[block])
        db.session.add(group)

    for one in (block, group):
        access.check_change_block(member, one)
        access.check_change_block(None, one)
        with pytest.raises(NotAllowedError):
            access.check_change_block(other, one)


def test_only_made_frames_are_deleted_and_only_by_their_people(
    proposal: Proposal, member: User, other: User, staff: User
) -> None:
    raw, made = of(proposal), of(proposal, level=Level.REDUCED)
    master = make_frame(level=Level.MASTER, kind="bias")
    own = make_frame(level=Level.REDUCED, owner_id=other.id)

    def deletable(user: User) -> set[int]:
        return set(db.session.scalars(select(Frame.id).where(access.may_delete(user))))

    assert deletable(member) == {made.id}
    assert deletable(other) == {own.id}
    assert deletable(staff) == {made.id, master.id, own.id}
    assert raw.id not in deletable(staff)


def test_who_was_taken_off_a_proposal_deletes_nothing_of_it(
    proposal: Proposal, member: User, staff: User
) -> None:
    with transaction():
        bare = Proposal(code="from-a-header")
        db.session.add(bare)
    own = of(proposal, level=Level.REDUCED, owner_id=member.id)
    in_bare = of(bare, level=Level.REDUCED, owner_id=member.id)
    of(bare, level=Level.REDUCED)

    def deletable() -> set[int]:
        return set(db.session.scalars(select(Frame.id).where(access.may_delete(member))))

    before = deletable()
    with transaction():
        proposal.members = []

    assert before == {own.id, in_bare.id}
    assert deletable() == {in_bare.id}


def test_who_leads_a_proposal_and_who_adds_to_it(
    proposal: Proposal, investigator: User, member: User, other: User, staff: User
) -> None:
    assert [access.may_lead(u, proposal) for u in (investigator, staff, member, other)] == [
        True, True, False, False,
    ]  # fmt: skip
    assert [access.may_add_to(u, proposal) for u in (investigator, staff, member, other)] == [
        True, True, True, False,
    ]  # fmt: skip
    assert access.may_add_to(other, None)


def test_who_is_of_a_proposal(
    proposal: Proposal, investigator: User, student: User, other: User, staff: User
) -> None:
    assert [access.is_of(user, proposal) for user in (investigator, student, staff, other)] == [
        True, True, True, False,
    ]  # fmt: skip
    access.check_lead(investigator, proposal)
    with pytest.raises(NotAllowedError, match="principal investigator and staff"):
        access.check_lead(student, proposal)


def test_an_investigator_has_links_for_new_people_of_their_own_alone(
    proposal: Proposal, investigator: User, staff: User
) -> None:
    names = ("new", "shared", "in_group", "script", "trusted", "known", "closed", "loose")
    people = {name: make_user(name) for name in names}
    with transaction():
        for name, person in people.items():
            person.password_hash = "kept" if name == "known" else None
            person.is_staff = name == "trusted"
            person.is_active = name != "closed"
        proposal.members = [person for name, person in people.items() if name != "loose"]
        foreign = Proposal(code="other", pi_id=staff.id, members=[people["shared"]])
        foreign.groups = [Group(name="team", members=[people["in_group"]])]
        db.session.add(foreign)
        accounts.issue_token(people["script"])

    def invitable(user: User) -> set[str]:
        return {name for name, person in people.items() if access.may_invite(user, person)}

    assert invitable(investigator) == {"new"}
    assert invitable(staff) == set(names) - {"trusted"}
    assert invitable(people["new"]) == set()
    with pytest.raises(NotAllowedError, match="Only staff"):
        access.check_invite(investigator, people["shared"])


@pytest.mark.usefixtures("members_only")
def test_a_closed_account_sees_nothing(member: User) -> None:
    make_frame()
    with transaction():
        member.is_active = False

    assert seen(member) == set()


def test_staff_manage_observers_and_only_superusers_staff(observer: User, staff: User) -> None:
    boss = make_user("boss", is_superuser=True)
    everybody = (observer, staff, boss)

    managed = {
        (by.username, who.username)
        for by in everybody
        for who in everybody
        if access.may_manage(by, who)
    }

    assert managed == {
        ("staff", "observer"),
        ("boss", "observer"),
        ("boss", "staff"),
        ("boss", "boss"),
    }
    with pytest.raises(NotAllowedError, match="do not have permission"):
        access.check_manage(observer, staff)
    with pytest.raises(NotAllowedError, match="Only a superuser"):
        access.check_manage(staff, boss)
    access.check_manage(None, boss)  # the command line


def test_everybody_may_touch_what_is_their_own(observer: User, staff: User) -> None:
    access.check_account(observer, observer)
    access.check_account(staff, observer)
    with pytest.raises(NotAllowedError):
        access.check_account(observer, staff)


@pytest.mark.usefixtures("members_only")
def test_blocks_that_hide_frames_are_told_from_those_that_do_not(
    proposal: Proposal, member: User, other: User, staff: User
) -> None:
    with transaction():
        bare = Proposal(code="from-a-header")  # nobody is on it: its frames are staff's to see
        db.session.add(bare)
    entries = [[of(proposal)], [make_frame()], [make_frame(), of(bare, night=None)], []]
    with transaction():
        made = [
            Block(kind=BlockKind.BIAS, entries=[BlockFrame(frame_id=frame.id) for frame in some])
            for some in entries
        ]
        db.session.add_all(made)
    ids = [block.id for block in made]

    for user, hidden in ((member, {2}), (other, {0, 2}), (staff, set()), (None, set())):
        assert access.hiding_blocks(user, ids) == {ids[n] for n in hidden}
        assert access.others_blocks(user, ids) == {ids[n] for n in hidden}


@pytest.mark.usefixtures("members_only")
def test_ones_own_job_is_hidden_while_its_block_has_frames_one_may_not_see(
    proposal: Proposal, member: User, other: User
) -> None:
    frame = of(proposal)
    with transaction():
        block = Block(kind=BlockKind.BIAS, entries=[BlockFrame(frame_id=frame.id)])
        db.session.add(block)
        db.session.flush()
        jobs = [
            Job(function="a.b", owner_id=user.id, arguments=arguments)
            for user in (member, other)
            for arguments in ({"block_id": block.id}, {"block_id": block.id + 1}, {})
        ]
        db.session.add_all(jobs)

    assert seen(member, Job) == {job.id for job in jobs[:3]}
    assert seen(other, Job) == {job.id for job in jobs[4:]}


@pytest.mark.usefixtures("members_only")
def test_a_super_flat_is_everyones(other: User) -> None:
    master = make_frame(level=Level.MASTER, kind="fringe")
    with transaction():
        block = Block(kind=BlockKind.FRINGE, master_id=master.id)
        db.session.add(block)

    assert seen(other, Block) == {block.id}


def test_uploaded_master_is_put_into_use_by_staff_alone(member: User, staff: User) -> None:
    uploaded = make_frame("bias", level=Level.MASTER, owner_id=member.id, is_valid=False)
    found = make_frame("bias", level=Level.MASTER, is_valid=False)

    access.check_validate(staff, uploaded)
    access.check_validate(member, found)
    with pytest.raises(NotAllowedError, match="once staff have looked at it"):
        access.check_validate(member, uploaded)
