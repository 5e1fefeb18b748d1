"""The verbs: scan, request a scan, read a frame's header again."""

import fcntl
from pathlib import Path

import pytest

from app import paths
from app.db import db, transaction
from app.errors import ConflictError, InvalidRequestError, UnavailableError
from app.models import Job, Proposal, ScannedFile, User
from app.services import ingest, settings
from reduction.errors import BadFileError
from tests.app.services.rawfiles import fits_bytes, frame_of, scan, store
from tests.factories import make_frame


def test_one_scan_at_a_time(raw: Path) -> None:
    store(raw / "a.fits", fits_bytes())
    with (paths.current().run / "scan.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(ConflictError, match="Another scan is running"):
            scan(wait_s=0.0)

    assert scan(wait_s=0.0).counts == {"registered": 1}


def test_scan_waits_for_the_one_before_and_can_be_stopped_waiting(raw: Path) -> None:
    class CancelledError(Exception):
        pass

    def cancel() -> None:
        raise CancelledError

    with (paths.current().run / "scan.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(CancelledError):
            scan(wait_s=60.0, check=cancel)


@pytest.mark.parametrize(
    "given",
    ["2025-11-20", "RAW/2025-11-20", "/RAW/2025-11-20/", " 2025-11-20/ ", "2025-11-20/."],
)
def test_folder_may_be_given_from_the_data_root_or_from_raw(raw: Path, given: str) -> None:
    (raw / "2025-11-20").mkdir()

    if given.endswith("."):
        with pytest.raises(InvalidRequestError):
            ingest.raw_folder(given)
    else:
        assert ingest.raw_folder(given) == "2025-11-20"


@pytest.mark.parametrize("given", ["", "/", "RAW", "RAW/", "/RAW"])
def test_no_folder_is_all_of_raw(raw: Path, given: str) -> None:
    assert ingest.raw_folder(given) == ""


def test_absolute_path_inside_raw_is_understood(raw: Path) -> None:
    (raw / "night" / "cam1").mkdir(parents=True)

    assert ingest.raw_folder(str(raw / "night" / "cam1")) == "night/cam1"
    assert ingest.raw_folder(str(raw)) == ""


@pytest.mark.parametrize(
    "given",
    [
        "..",
        "../instance",
        "RAW/../data",
        "night/../../data",
        "/etc",
        "MASTERS",
        "out",
        "loop",
        ".snapshot",
        "a.fits",
        "night\0",
        "x" * 5000,
        "y" * 300,
    ],
)
def test_folder_outside_raw_is_refused(raw: Path, given: str, observer: User) -> None:
    (raw / "night").mkdir()
    (raw / ".snapshot").mkdir()
    (raw / "a.fits").touch()
    (raw / "out").symlink_to("/etc")
    (raw / "loop").symlink_to("loop")

    for refuse in (scan, lambda folder: ingest.request_scan(folder, owner=observer)):
        with pytest.raises(InvalidRequestError):
            refuse(given)


def test_request_is_one_job_for_one_folder(raw: Path, observer: User) -> None:
    (raw / "night").mkdir()

    first = ingest.request_scan("RAW/night", owner=observer)
    same = ingest.request_scan("night", owner=None)
    other = ingest.request_scan("", contains="bias", owner=observer)

    assert (first.function, first.owner_id, first.label) == (
        "ingest.scan_folder",
        observer.id,
        "scan RAW/night",
    )
    assert first.arguments == {"folder": "night", "contains": "", "again": False}
    assert same.id == first.id
    assert other.id != first.id
    assert db.session.get_one(Job, other.id).arguments["contains"] == "bias"


def test_a_folder_of_hidden_frames_is_to_others_as_one_that_is_not_there(
    raw: Path, observer: User, staff: User
) -> None:
    (raw / "secret").mkdir()
    (raw / "shared").mkdir()
    for folder, proposal in (("secret", 1), ("shared", None)):
        with transaction():
            if proposal:
                db.session.add(Proposal(id=proposal, code="P1"))
            file = ScannedFile(path=f"{folder}/a.fits", size=1, mtime_ns=1, state="registered")
            db.session.add(file)
        make_frame(file_id=file.id, proposal_id=proposal)
    settings.change("access", "visibility", "members", by=staff)

    refusals = []
    for name in ("secret", "nothing"):
        with pytest.raises(InvalidRequestError) as refused:
            ingest.request_scan(name, owner=observer)
        refusals.append(str(refused.value).replace(name, "it"))

    assert refusals[0] == refusals[1]
    assert ingest.request_scan("shared", owner=observer).arguments["folder"] == "shared"
    assert ingest.request_scan("", owner=observer).arguments["folder"] == ""
    assert ingest.request_scan("secret", owner=staff).arguments["folder"] == "secret"


def test_request_without_raw_says_so(raw: Path, observer: User) -> None:
    raw.rmdir()

    with pytest.raises(UnavailableError, match="mounted"):
        ingest.request_scan("", owner=observer)


def test_frame_info_is_what_the_header_says_now(raw: Path) -> None:
    store(raw / "a.fits", fits_bytes(EXPTIME=12.5))
    scan()

    info = ingest.frame_info(frame_of("a.fits"))

    assert (info.exptime_s, info.nx, info.ny) == (12.5, 16, 12)


def test_frame_info_refuses_a_file_that_is_gone_or_another(raw: Path) -> None:
    path = store(raw / "a.fits", fits_bytes())
    scan()
    frame = frame_of("a.fits")

    store(path, fits_bytes(OBJECT="Other"))
    with pytest.raises(BadFileError, match="changed since it was scanned"):
        ingest.frame_info(frame)

    path.unlink()
    with pytest.raises(BadFileError, match="no longer at RAW/a.fits"):
        ingest.frame_info(frame)
