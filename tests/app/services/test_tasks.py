from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from flask import Flask

from app import paths
from app.db import db, transaction
from app.errors import ConflictError, InvalidRequestError, NotAllowedError, NotFoundError
from app.models import AuditEntry, Job, JobState, Proposal, Task, User
from app.services import access, groups, jobs, placing, presets, settings, task_files, tasks
from app.services.staging import Arrived
from app.services.tasks import LocalFile, Upload
from tests.app.services.rawfiles import fits_bytes, store
from tests.factories import make_frame, make_user

NAME = "night1/img_001.fits"


@pytest.fixture
def raw(app: Flask) -> Path:
    return store(paths.current().raw / NAME, fits_bytes(OBJECT="M 31"))


@pytest.fixture
def friend(app: Flask, observer: User, staff: User) -> User:
    """Somebody who is in a group with the observer."""
    user = make_user("friend")
    groups.set_members(groups.create("collab", by=staff), [observer, user], by=staff)
    return user


def arrived(tmp_path: Path, content: bytes, name: str = "a.fits") -> Arrived:
    path = tmp_path / name
    path.write_bytes(content)
    return Arrived(name, path, len(content))


def found_by(user: User, **filters: str) -> list[int]:
    return [task.id for task in db.session.scalars(tasks.find(user, **filters))]


# Made


def test_uploaded_file_becomes_the_image_of_a_task(observer: User, tmp_path: Path) -> None:
    content = fits_bytes()

    task = tasks.create(observer, source=Upload(arrived(tmp_path, content)), title=" first ")

    assert (task.state, task.original_name, task.title) == ("uploaded", "a.fits", "first")
    assert task_files.locate(task, "image.fits").read_bytes() == content
    assert not (tmp_path / "a.fits").exists()


def test_file_of_the_site_is_copied_and_stays_as_it_is(observer: User, raw: Path) -> None:
    before = raw.read_bytes()

    task = tasks.create(observer, source=LocalFile(NAME))

    copy = task_files.locate(task, "image.fits")
    assert (task.original_name, task.source) == ("img_001.fits", f"RAW/{NAME}")
    assert copy.read_bytes() == before == raw.read_bytes()
    assert copy.stat().st_ino != raw.stat().st_ino


def test_one_extension_of_a_file_becomes_a_plain_image(observer: User, raw: Path) -> None:
    task = tasks.create(observer, source=LocalFile(f"RAW/{NAME}", 0))

    head = task_files.locate(task, "image.fits").read_bytes()[:2880]
    assert b"BITPIX  =                  -32" in head
    assert b"OBJECT  = 'M 31" in head


@pytest.mark.parametrize(
    ("source", "field", "why"),
    [
        (LocalFile("none.fits"), "local_file", "File not found in data directory"),
        (LocalFile("../../etc/passwd"), "local_file", "Invalid path"),
        (LocalFile("RAW/../../x"), "local_file", "Invalid path"),
        (LocalFile("night1"), "local_file", "File not found in data directory"),
        (LocalFile(NAME, 7), "ext", "Cannot read extension 7 from night1/img_001.fits: list index"),
        (LocalFile("text.txt"), "local_file", "does not begin with SIMPLE"),
    ],
)
def test_file_nobody_can_use_is_refused_and_no_task_made(
    observer: User, raw: Path, source: LocalFile, field: str, why: str
) -> None:
    (paths.current().raw / "text.txt").write_text("no image")

    with pytest.raises(InvalidRequestError) as refused:
        tasks.create(observer, source=source)

    assert why in refused.value.fields[field]
    assert found_by(observer) == []
    assert list(paths.current().tasks.iterdir()) == []


def test_file_of_a_hidden_proposal_is_as_one_that_is_not_there(
    observer: User, staff: User, raw: Path
) -> None:
    with transaction():
        proposal = Proposal(code="2026B-X", pi=staff)
        db.session.add(proposal)
    make_frame(path=f"RAW/{NAME}", file_name="img_001.fits", proposal_id=proposal.id)
    settings.change("access", "visibility", "members", by=staff)

    with pytest.raises(InvalidRequestError) as refused:
        tasks.create(observer, source=LocalFile(NAME))

    assert refused.value.fields == {"local_file": "File not found in data directory"}
    assert tasks.create(staff, source=LocalFile(NAME)).state == "uploaded"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "The submitted file is empty."),
        (b"hello", "does not begin with SIMPLE"),
        (b"BZh91AY&SY", "compression not supported"),
    ],
)
def test_upload_that_is_no_image_is_refused_before_it_is_opened(
    observer: User, tmp_path: Path, content: bytes, why: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        tasks.create(observer, source=Upload(arrived(tmp_path, content)))

    assert why in refused.value.fields["file"]
    assert found_by(observer) == []


def test_task_that_cannot_have_its_image_is_none(
    observer: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(placing, "replace", full)

    with pytest.raises(OSError, match="No space"):
        tasks.create(observer, source=Upload(arrived(tmp_path, fits_bytes())))

    assert found_by(observer) == []
    assert list(paths.current().tasks.iterdir()) == []


def test_preset_comes_first_and_what_is_given_goes_over_it(observer: User, staff: User) -> None:
    preset = presets.save("usual", {"filter": "R", "sn": 5}, by=staff)

    task = tasks.create(
        observer, original_name="x.fits", preset_id=preset.id, config={"filter": "V"}
    )

    assert (task.state, task.config) == ("initial", {"filter": "V", "sn": 5})


def test_task_needs_a_name_or_a_file(observer: User) -> None:
    with pytest.raises(InvalidRequestError, match="'original_name' is required"):
        tasks.create(observer)


def test_groups_are_ones_own(observer: User, staff: User, friend: User) -> None:
    groups.create("other", by=staff)

    with pytest.raises(InvalidRequestError, match=r"You cannot share with group\(s\): other"):
        tasks.create(observer, original_name="x", groups=["collab", "other"])
    with pytest.raises(InvalidRequestError, match="Object with name=nope does not exist."):
        tasks.create(observer, original_name="x", groups=["nope"])
    with pytest.raises(InvalidRequestError, match="too many groups"):
        tasks.create(observer, original_name="x", groups=list(map(str, range(300_000))))
    shared = tasks.create(observer, original_name="x", groups=["collab", "collab"])

    assert [group.name for group in shared.groups] == ["collab"]


# Seen


def test_task_is_seen_by_its_owner_its_groups_and_staff(
    observer: User, staff: User, friend: User
) -> None:
    own = tasks.create(observer, original_name="own.fits")
    shared = tasks.create(observer, original_name="shared.fits", groups=["collab"])
    stranger = make_user("stranger")

    assert found_by(observer) == found_by(staff) == [shared.id, own.id]
    assert found_by(friend) == [shared.id]
    assert found_by(stranger) == []
    for user in (friend, stranger):
        with pytest.raises(NotFoundError):
            tasks.get(user, own.id)


def test_copy_of_a_frame_is_hidden_with_its_frame(
    observer: User, staff: User, friend: User, raw: Path
) -> None:
    frame = make_frame(path=f"RAW/{NAME}")
    task = tasks.create(observer, source=LocalFile(NAME), groups=["collab"])
    with transaction():
        proposal = Proposal(code="2026B-X", pi=staff, members=[friend])
        db.session.add(proposal)
        frame.proposal = proposal
    settings.change("access", "visibility", "members", by=staff)

    assert found_by(friend) == found_by(staff) == [task.id]
    assert found_by(observer) == []


@pytest.mark.usefixtures("members_only")
def test_copies_of_a_frame_stay_hidden_when_it_moves_and_when_it_is_gone(
    observer: User, staff: User, friend: User, raw: Path
) -> None:
    with transaction():
        proposal = Proposal(code="2026B-X", pi=observer)
        db.session.add(proposal)
    frame = make_frame(path=f"RAW/{NAME}", proposal_id=proposal.id)
    task = tasks.create(observer, source=LocalFile(NAME), groups=["collab"])
    copy = tasks.duplicate(task, by=observer)
    tasks.change(copy, by=observer, groups=["collab"])

    with transaction():
        frame.path = "RAW/elsewhere.fits"
    seen_when_moved = found_by(observer), found_by(friend)
    with transaction():
        db.session.delete(frame)

    assert seen_when_moved == ([copy.id, task.id], [])
    assert found_by(observer) == found_by(staff) == [copy.id, task.id]
    assert found_by(friend) == []
    tasks.delete(copy, by=observer)
    assert found_by(observer) == [task.id]


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("m31", True),
        ("M31 deep", True),
        ("observer", True),
        ("collab deep", True),
        ("m31 shallow", False),
        ("%", False),
        ("\ud800", False),
    ],
)
def test_every_word_of_a_query_must_be_found(
    observer: User, friend: User, query: str, is_found: bool
) -> None:
    tasks.create(observer, original_name="m31.fits", title="Deep field", groups=["collab"])

    assert bool(found_by(observer, query=query)) is is_found


def test_tasks_are_found_by_state_and_owner(observer: User, staff: User) -> None:
    mine = tasks.create(observer, original_name="a")
    theirs = tasks.create(staff, original_name="b")

    assert found_by(staff, username="observer") == [mine.id]
    assert found_by(staff, state="initial", username="staff") == [theirs.id]
    assert found_by(staff, state="uploaded") == []


def test_job_of_a_shared_task_is_seen_by_its_group_and_of_a_hidden_one_by_nobody(
    observer: User, staff: User, friend: User, raw: Path
) -> None:
    frame = make_frame(path=f"RAW/{NAME}")
    task = tasks.create(observer, source=LocalFile(NAME), groups=["collab"])
    job = tasks.process(task, ["inspect"], by=observer)
    stranger = make_user("stranger")

    def seen_by(user: User) -> bool:
        return db.session.scalar(access.visible_to(user, Job).where(Job.id == job.id)) is not None

    on_an_open_site = [seen_by(user) for user in (observer, friend, stranger, staff)]
    with transaction():
        frame.proposal = Proposal(code="2026B-X", pi=staff)
    settings.change("access", "visibility", "members", by=staff)

    assert on_an_open_site == [True, True, False, True]
    assert [seen_by(user) for user in (observer, friend, staff)] == [False, False, True]


# Changed


def test_configuration_takes_the_place_of_the_old_one(observer: User) -> None:
    task = tasks.create(observer, original_name="a", config={"filter": "R", "sn": 5})
    before = task.modified_at

    tasks.change(task, by=observer, config={"zz": 1})

    assert (task.config, task.original_name) == ({"zz": 1}, "a")
    assert task.modified_at > before


def test_group_somebody_else_shared_with_may_stay(
    observer: User, staff: User, friend: User
) -> None:
    groups.set_members(groups.create("mine", by=staff), [observer], by=staff)
    task = tasks.create(observer, original_name="a", groups=["collab", "mine"])

    tasks.change(task, by=friend, groups=["mine", "collab"])

    assert {group.name for group in task.groups} == {"collab", "mine"}


def test_title_has_its_longest(observer: User) -> None:
    task = tasks.create(observer, original_name="a")

    with pytest.raises(InvalidRequestError) as refused:
        tasks.change(task, by=observer, title="x" * 251)

    assert refused.value.fields == {"title": "Ensure this field has no more than 250 characters."}


def test_copy_has_all_files_and_is_ones_own(observer: User, friend: User, raw: Path) -> None:
    task = tasks.create(observer, source=LocalFile(NAME), title="field", groups=["collab"])
    store(task_files.folder(task) / "targets" / "one.cutout", b"x")

    copied = tasks.duplicate(task, by=friend)

    assert (copied.title, copied.state, copied.owner) == ("field (copy)", "uploaded", friend)
    assert copied.groups == []
    names = [entry.path for entry in task_files.listing(copied)]
    assert names == ["image.fits", "targets", "targets/one.cutout"]


# Deleted


def test_owner_deletes_a_task_with_its_files(observer: User, raw: Path) -> None:
    task = tasks.create(observer, source=LocalFile(NAME))
    folder = task_files.folder(task)

    tasks.delete(task, by=observer)

    assert not folder.exists()
    assert found_by(observer) == []


def test_members_of_its_groups_may_not_delete_a_task(observer: User, friend: User) -> None:
    task = tasks.create(observer, original_name="a", groups=["collab"])

    with pytest.raises(NotAllowedError):
        tasks.delete(task, by=friend)

    assert found_by(friend) == [task.id]


def test_what_runs_is_cancelled_with_its_task_and_its_folder_left_to_the_sweep(
    observer: User,
) -> None:
    task = tasks.create(observer, original_name="a")
    job = tasks.process(task, ["inspect"], by=observer)
    folder = task_files.folder(task)
    with task_files.working(task):
        tasks.delete(task, by=observer)
        assert folder.exists()

    assert task_files.sweep(older_s=-60) == 1
    assert (job.state, folder.exists()) == (JobState.CANCELLED, False)


def test_group_can_be_deleted_though_tasks_are_shared_with_it(
    observer: User, staff: User, friend: User
) -> None:
    task = tasks.create(observer, original_name="a", groups=["collab"])

    groups.delete(groups.find(staff)[0], by=staff)

    db.session.refresh(task)
    assert task.groups == []


# Processed


def test_steps_are_queued_as_one_job_of_who_asked(observer: User, friend: User) -> None:
    task = tasks.create(observer, original_name="a", config={"sn": 5}, groups=["collab"])

    job = tasks.process(task, ["inspect", "photometry"], by=friend, config={"sn": 3, "x": 1})

    assert (job.function, job.owner) == ("tasks.process_task", friend)
    assert job.arguments == {"task_id": task.id, "steps": ["inspect", "photometry"]}
    assert (task.state, task.job_id, task.config) == ("running", job.id, {"sn": 3, "x": 1})


def test_steps_read_with_the_rights_of_who_asked(observer: User, friend: User) -> None:
    task = tasks.create(observer, original_name="a", groups=["collab"])
    job = tasks.process(task, ["stack"], by=friend)

    tasks.cancel(task, by=observer)  # its step may run on for a while

    assert tasks.asker(task, job.owner_id) is friend


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([], "No steps provided"),
        (["inspect", "foo"], "Invalid step: foo"),
        (["\ud800"], "Invalid step: ?"),
        (["inspect", "subtraction"], "The step subtraction is not there yet"),
        (["simple_transients"], "The step simple_transients is not there yet"),
        (["inspect"] * 21, "These are too many steps: 20 are the most."),
    ],
)
def test_step_that_cannot_be_done_is_refused_by_its_name(
    observer: User, steps: list[str], why: str
) -> None:
    task = tasks.create(observer, original_name="a")

    with pytest.raises(InvalidRequestError) as refused:
        tasks.process(task, steps, by=observer)

    assert str(refused.value).startswith(why)
    assert (task.state, task.job_id) == ("initial", None)


@pytest.mark.parametrize(("steps", "config", "why"), [
    (["photometry"], {"sn": "many"}, "sn: 'many' cannot be used: it takes a number above 0"),
    (["inspect", "photometry"], {"refine_order": 5}, "refine_order: 5 cannot be used"),
    (["photometry"], {"cat_mag_lower": 18, "cat_mag_upper": 15}, "more than cat_mag_lower"),
    (["inspect"], {"gain": -1}, "gain: -1 cannot be used"),
    (["inspect"], {"time": "yesterday"}, "time: 'yesterday' cannot be used"),
    (["photometry"], {"target": "999 999"}, "target: '999 999' cannot be used"),
    (["stack"], {"stack_method": "mean"}, "one of sum, clipped_mean, median"),
    (["cleanup"], {"timing": "sometimes"}, "timing: 'sometimes' cannot be used"),
])  # fmt: skip
def test_settings_no_step_could_work_with_are_refused_at_once(
    observer: User, steps: list[str], config: dict[str, object], why: str
) -> None:
    task = tasks.create(observer, original_name="a.fits")

    with pytest.raises(InvalidRequestError, match=why):
        tasks.process(task, steps, by=observer, config=config)

    assert (task.state, task.job_id, task.config) == ("initial", None, {})
    tasks.process(task, ["cleanup"], by=observer, config={"sn": "many"})  # which it does not read


def test_task_is_processed_once_at_a_time(observer: User) -> None:
    task = tasks.create(observer, original_name="a")
    tasks.process(task, ["inspect"], by=observer)

    with pytest.raises(ConflictError, match="Task is already being processed"):
        tasks.process(task, ["photometry"], by=observer)

    assert db.session.query(Job).count() == 1


def test_of_two_who_process_a_task_at_once_one_does(app: Flask, observer: User) -> None:
    task = tasks.create(observer, original_name="a.fits")
    task_id, user_id, start = task.id, observer.id, Barrier(2)
    db.session.commit()

    def ask(_number: int) -> str:
        with app.app_context():
            mine, by = db.session.get_one(Task, task_id), db.session.get_one(User, user_id)
            db.session.rollback()
            start.wait()
            try:
                tasks.process(mine, ["inspect"], by=by)
            except ConflictError as error:
                return str(error)
            finally:
                db.session.remove()
            return "queued"

    with ThreadPoolExecutor(2) as pool:
        answers = sorted(pool.map(ask, range(2)))

    assert answers == ["Task is already being processed", "queued"]
    assert db.session.query(Job).count() == 1


def test_a_task_at_work_is_not_copied(observer: User) -> None:
    task = tasks.create(observer, original_name="a.fits")
    tasks.process(task, ["inspect"], by=observer)

    with pytest.raises(ConflictError, match="already being processed"):
        tasks.duplicate(task, by=observer)

    assert db.session.query(Task).count() == 1


def test_any_who_see_a_task_cancel_what_runs_on_it(observer: User, friend: User) -> None:
    task = tasks.create(observer, original_name="a", groups=["collab"])
    job = tasks.process(task, ["inspect"], by=observer)

    tasks.cancel(task, by=friend)

    assert (task.state, task.job_id) == ("cancelled", None)
    assert (job.state, job.error) == (JobState.CANCELLED, "cancelled by friend")


def test_running_job_is_asked_to_stop_and_cannot_undo_that(observer: User) -> None:
    task = tasks.create(observer, original_name="a")
    tasks.process(task, ["inspect"], by=observer)
    (delivery,) = jobs.choose(1)
    jobs.claim(delivery, worker="w", lease_s=60)

    job = tasks.cancel(task, by=observer)

    assert (job.state, job.cancel_requested, task.state) == (JobState.RUNNING, True, "cancelled")
    with pytest.raises(jobs.JobCancelledError), jobs.holding(delivery, lease_s=60):
        tasks.set_state(task, "inspect_done", is_over=True)
    assert db.session.get_one(Task, task.id).state == "cancelled"


def test_nothing_runs_so_nothing_is_cancelled(observer: User) -> None:
    task = tasks.create(observer, original_name="a")

    with pytest.raises(InvalidRequestError, match="Task is not running"):
        tasks.cancel(task, by=observer)


@pytest.mark.parametrize(
    ("job_state", "at", "then"),
    [
        (JobState.CANCELLED, "running", "cancelled"),
        (JobState.FAILED, "photometry", "photometry_failed"),
        (JobState.FAILED, "running", "failed"),
        (None, "stacking", "stacking_failed"),
    ],
)
def test_job_that_ended_without_a_word_is_let_go_of(
    observer: User, job_state: JobState | None, at: str, then: str
) -> None:
    task = tasks.create(observer, original_name="a")
    job = tasks.process(task, ["photometry"], by=observer)
    with transaction():
        task.state = at
        if job_state is None:
            db.session.delete(job)
        else:
            job.state = job_state

    again = tasks.get(observer, task.id)

    assert (again.state, again.job_id) == (then, None)
    assert again.completed_at is not None


def test_what_people_do_is_noted(observer: User) -> None:
    task = tasks.create(observer, original_name="a")
    tasks.process(task, ["inspect"], by=observer)
    tasks.cancel(task, by=observer)

    noted = db.session.query(AuditEntry).filter_by(subject=f"task {task.id}").all()
    assert [entry.action for entry in noted] == ["task made", "task processed", "task cancelled"]
