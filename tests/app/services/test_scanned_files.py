"""The rows a scan writes: frames, cameras, proposals, events."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import select

from app.db import db, transaction
from app.models import Event, Proposal
from app.services import registration, scanned_files
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
    assert "OBJECT  = 'NGC 1" in frame.header_text
    assert frame.origins["exptime_s"]["card"].startswith("EXPTIME")
    assert frame.is_valid


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
    real = registration.header_columns

    def overflow(info: Any) -> dict[str, Any]:
        return real(info) | ({"nx": 2**70} if info.object_name == "b" else {})

    monkeypatch.setattr(scanned_files, "header_columns", overflow)

    report = scan()

    assert report.counts == {"registered": 2, "quarantined": 1}
    assert state_of("b.fits") == ("quarantined", "not_stored")
    assert [frame.object_name for frame in all_frames()] == ["a", "c"]
