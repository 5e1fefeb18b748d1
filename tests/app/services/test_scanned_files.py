"""The rows a scan writes: frames, cameras, proposals, events."""

from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import delete, select

from app.db import db, transaction
from app.models import Event, Frame, FrameParent, HeaderText, Proposal, ScannedFile
from app.services import events, frame_rows, header_texts, origins, registration
from reduction import fitsio, headers
from reduction.frameinfo import FrameInfo
from reduction.layouts import forget_layouts
from tests.app.services.rawfiles import (
    all_frames,
    file_of,
    fits_bytes,
    frame_of,
    rest,
    scan,
    state_of,
    store,
)
from tests.factories import make_frame


def test_frame_has_what_its_header_says(raw: Path) -> None:
    content = fits_bytes(
        GAIN=1.5, RDNOISE=4.0, XBINNING=2, YBINNING=2, CCD_TEMP=-20.0, AIRMASS=1.2, OBSERVER="Ada"
    )
    store(raw / "2025-11-20" / "a.fits", content)

    scan()

    frame = frame_of("2025-11-20/a.fits")
    assert (frame.kind, frame.level, frame.band, frame.exptime_s) == ("science", 0, "r", 30.0)
    assert frame.start_utc == datetime(2025, 11, 20, 23, 0, tzinfo=UTC)
    assert frame.mid_utc == datetime(2025, 11, 20, 23, 0, 15, tzinfo=UTC)
    assert frame.night == date(2025, 11, 20)
    assert (frame.nx, frame.ny, frame.binning_x) == (16, 12, 2)
    assert (frame.temp_c, frame.airmass, frame.observer) == (-20.0, 1.2, "Ada")
    assert (frame.size, frame.file_name) == (len(content), "a.fits")
    assert frame.camera is not None
    assert frame.camera.instrument == "Test Camera"
    assert frame.file is file_of("2025-11-20/a.fits")
    assert "OBJECT  = 'NGC 1" in header_texts.text_of(frame)
    assert origins.of(frame)["exptime_s"]["card"].startswith("EXPTIME")
    assert frame.is_valid


@pytest.mark.parametrize("n_forgotten", [0, 2])
def test_frame_is_of_its_own_file_whatever_numbers_are_left_out(
    raw: Path, n_forgotten: int
) -> None:
    store(raw / "before.fits", fits_bytes(OBJECT="before"))
    scan()
    forgotten = [
        ScannedFile(path=f"gone/{i}.fits", size=1, mtime_ns=1, state="missing")
        for i in range(n_forgotten)
    ]
    with transaction():
        db.session.add_all(forgotten)
    with transaction():
        for file in forgotten:  # their numbers do not come again
            db.session.delete(file)
    for number in range(12):
        store(raw / f"{number:02}.fits", fits_bytes(OBJECT=f"target {number}"))

    scan()

    pairs = [(f.path, f.file and f"RAW/{f.file.path}") for f in all_frames()]
    assert len(pairs) == 13
    assert all(path == of_file for path, of_file in pairs)


def test_frame_belongs_to_the_proposal_its_header_names(raw: Path) -> None:
    with transaction():
        db.session.add(Proposal(code="2025B-0001", title="Known"))
    for number, code in enumerate(["2025B-0001", "2025B-0002", "2025B-0002", None]):
        store(raw / f"{number}.fits", fits_bytes(PROPID=code, OBJECT=f"target {number}"))

    scan()

    first, second, third, none = all_frames()
    assert first.proposal is not None
    assert first.proposal.title == "Known"
    assert second.proposal_id == third.proposal_id
    assert second.proposal is not None
    assert (second.proposal.code, second.proposal.title) == ("2025B-0002", "")
    assert none.proposal_id is None


def test_corrected_proposal_goes_to_what_was_made_of_the_frame_and_to_no_master(
    raw: Path,
) -> None:
    path = store(raw / "a.fits", fits_bytes(PROPID="2025B-0001"))
    scan()
    frame = frame_of("a.fits")
    wrong: dict[str, Any] = {"proposal_id": frame.proposal_id, "proposal_code": frame.proposal_code}
    reduced, again = (make_frame(path=f"P/{i}.fits", level=2, **wrong) for i in range(2))
    master = make_frame("flat", level=1, **wrong)
    with transaction():
        db.session.add(FrameParent(child=reduced, parent=frame, role="raw"))
        db.session.add(FrameParent(child=again, parent=reduced, role="parent"))
        db.session.add(FrameParent(child=master, parent=frame, role="member"))

    store(path, fits_bytes(PROPID="2025B-0002"), age_s=5000)
    scan()

    now = frame_of("a.fits")
    assert (now.proposal_code, now.proposal_id) != (wrong["proposal_code"], wrong["proposal_id"])
    for made in (reduced, again):
        row = db.session.get_one(Frame, made.id)
        assert (row.proposal_id, row.proposal_code) == (now.proposal_id, "2025B-0002")
    assert db.session.get_one(Frame, master.id).proposal_code == "2025B-0001"


def test_headers_are_kept_by_what_differs_and_told_whole(raw: Path) -> None:
    headers = {}
    for number in range(4):
        name = f"{number}.fits"
        content = fits_bytes(OBJECT=f"target {number}", EXPTIME=float(number))
        headers[name] = fitsio.read_headers(store(raw / name, content)).text

    scan()

    frames = all_frames()
    assert {frame.file_name: header_texts.text_of(frame) for frame in frames} == headers
    assert len({frame.header_base_id for frame in frames}) == 1
    assert max(len(frame.header_changes) for frame in frames) < 200
    assert len(db.session.scalars(select(HeaderText)).all()) == 1


def test_header_of_several_parts_is_kept_whole(raw: Path) -> None:
    hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(np.zeros((8, 9), np.int16)) for _ in range(2))]
    path = raw / "parts.fits"
    fits.HDUList(hdus).writeto(path)
    rest(path, 4000)

    scan()

    whole = fitsio.read_headers(path).text
    assert [header_texts.text_of(frame) for frame in all_frames()] == [whole, whole]


def test_master_of_another_program_is_no_master_of_ours_yet(raw: Path) -> None:
    store(raw / "master_bias.fits", fits_bytes(IMAGETYP="Bias Frame", EXPTIME=0.0, NCOMBINE=20))

    scan()

    frame = frame_of("master_bias.fits")
    assert (frame.kind, frame.level, frame.is_valid) == ("bias", 1, False)
    assert "validates" in frame.notes[0]


def test_validated_master_stays_validated_when_its_file_is_read_again(raw: Path) -> None:
    path = store(
        raw / "master_bias.fits", fits_bytes(IMAGETYP="Bias Frame", EXPTIME=0.0, NCOMBINE=20)
    )
    scan()
    with transaction():
        frame_of("master_bias.fits").is_valid = True

    rest(path, 5000)
    scan()

    assert frame_of("master_bias.fits").is_valid


def test_live_pages_are_told_which_nights_changed(raw: Path) -> None:
    store(raw / "a.fits", fits_bytes())
    store(raw / "b.fits", fits_bytes(OBJECT="Other"))

    scan()

    told = [(e.topic, e.subject) for e in db.session.scalars(select(Event).order_by(Event.id))]
    assert ("frames", {"night": "2025-11-20"}) in told
    assert told[-1] == ("scan", {"folder": "", "changed": 2})
    n_told = len(told)

    scan()
    assert len(db.session.scalars(select(Event)).all()) == n_told


def test_exposure_that_is_no_longer_in_its_file_is_kept_and_set_aside(raw: Path) -> None:
    def write(n_exposures: int) -> None:
        hdus = [fits.ImageHDU(np.full((8, 9), i, np.int16)) for i in range(n_exposures)]
        for i, hdu in enumerate(hdus):
            hdu.header["DATE-OBS"] = f"2025-11-20T23:0{i}:00"
            hdu.header["EXPTIME"] = 10.0
        path = raw / "series.fits"
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path, overwrite=True)
        rest(path, 1000 * n_exposures)

    write(3)
    scan()
    write(2)
    scan()

    assert [frame.unusable for frame in all_frames()] == [
        None,
        None,
        "The file no longer holds this exposure.",
    ]


def test_row_the_database_refuses_does_not_take_its_batch_with_it(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        store(raw / f"{name}.fits", fits_bytes(OBJECT=name))
    real = registration.steady_part

    def overflow(info: FrameInfo) -> registration.Steady:
        steady = real(info)
        too_much = {"nx": 2**70} if info.object_name == "b" else {}
        return steady._replace(columns={**steady.columns, **too_much})

    monkeypatch.setattr(frame_rows, "steady_part", overflow)

    report = scan()

    assert report.counts == {"registered": 2, "quarantined": 1}
    assert state_of("b.fits") == ("quarantined", "not_stored")
    assert [frame.object_name for frame in all_frames()] == ["a", "c"]


def of_a_series(number: int) -> bytes:
    """A file that differs from others of a camera in all that frames have of their own."""
    return fits_bytes(
        DATE_OBS=f"2025-11-20T23:{number:02}:00",
        DATE_AVG=f"2025-11-20T23:{number:02}:16.5",
        RA=f"05:34:{number:02}.5",
        DEC=f"+22:{number:02}:52",
        AIRMASS=1.0 + number / 50,
        CCD_TEMP=-20.0 - number % 2,
        FILTER="rV"[number % 2],
        COMMENT2="x" * (number % 5),
    )


def columns_of(path: str) -> dict[str, Any]:
    """All that is stored of a frame but its numbers, and when."""
    frame = frame_of(path)
    left = {"id", "file_id", "header_base_id", "header_text", "header_changes", "path",
            "created_at", "modified_at", "file_name"}  # fmt: skip
    names = [c.key for c in Frame.__table__.columns if c.key not in left]
    return {name: getattr(frame, name) for name in names} | {"text": header_texts.text_of(frame)}


def test_every_column_of_a_frame_told_with_others_is_what_it_is_alone(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone: list[dict[str, Any]] = []
    for number in range(40):
        forget_layouts()
        path = store(raw / "alone" / f"{number:02}.fits", of_a_series(number))
        scan()
        alone.append(columns_of(f"alone/{number:02}.fits"))
        path.unlink()
        with transaction():
            db.session.execute(delete(Frame))
            db.session.execute(delete(ScannedFile))
    forget_layouts()
    for number in range(40):
        store(raw / "one" / f"{number:02}.fits", of_a_series(number))
    for number in range(8):
        store(raw / "before" / f"{number:02}.fits", of_a_series(50 + number))
    scan("before")

    monkeypatch.setattr(headers, "translate", lambda _, **said: pytest.fail(f"{said} is alone"))
    scan()

    assert [columns_of(f"one/{number:02}.fits") for number in range(40)] == alone
    assert len({row["ra_deg"] for row in alone}) == 40


def test_of_two_files_alike_the_first_on_the_way_is_the_original(raw: Path) -> None:
    """Also where one of them is told with others and the other, by its name, alone."""
    forget_layouts()
    for number in range(8):
        store(raw / f"{number:02}.fits", of_a_series(number))
    scan()
    store(raw / "z" / "a.fits", of_a_series(9))
    store(raw / "z" / "bias.fits", of_a_series(9))

    scan()

    assert state_of("z/a.fits") == ("registered", "")
    assert state_of("z/bias.fits") == ("duplicate", "duplicate")


def pages_kb() -> int:
    """Return what the open transaction's connection may keep of SQLite's pages."""
    return -int(db.session.connection().exec_driver_sql("PRAGMA cache_size").scalar_one())


@pytest.mark.parametrize("is_refused", [True, False])
def test_scan_has_more_memory_for_pages_only_while_it_stores(
    raw: Path, monkeypatch: pytest.MonkeyPatch, *, is_refused: bool
) -> None:
    if db.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL has one memory for all")
    before = pages_kb()
    store(raw / "a.fits", fits_bytes())
    while_storing: list[int] = []

    def publish(_nights: object) -> None:
        while_storing.append(pages_kb())
        if is_refused:
            raise RuntimeError("no room for events")

    monkeypatch.setattr(events, "publish_nights", publish)
    with suppress(RuntimeError):
        scan()

    assert while_storing[0] > before
    assert pages_kb() == before
    assert len(all_frames()) == (0 if is_refused else 1)
