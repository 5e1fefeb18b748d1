"""One file after another, good and bad: each ends in one named state."""

import gzip
import os
import time
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from app.db import db, transaction, utcnow
from app.models import FileState, User
from app.services import registration, settings
from app.services.filewalk import Unasked, Walk, look
from app.services.intake import Intake
from app.services.outcomes import Outcome
from reduction import filestart, fitsio, headers
from reduction.headers import readers
from reduction.headers.draft import Draft
from reduction.headers.writer import Writer
from reduction.layouts import forget_layouts
from tests.app.services.rawfiles import (
    BLOCK,
    all_frames,
    card,
    file_of,
    fits_bytes,
    frame_of,
    rest,
    scan,
    state_of,
    store,
)
from tests.realdata import needs_shared, shared

WHOLE = fits_bytes()
CUT = WHOLE[: -BLOCK + 100]  # what is missing are pixels, not the padding behind them
NOISE = np.random.default_rng(5).normal(1000, 30, (40, 50))


def looked_at(path: str, *, seconds_ago: float) -> None:
    """Let the file's last change of state lie back (or, negative, ahead)."""
    with transaction():
        file_of(path).changed_at = utcnow() - timedelta(seconds=seconds_ago)


# Still growing


def test_young_file_waits_and_is_taken_once_it_has_rested(raw: Path) -> None:
    path = store(raw / "a.fits", WHOLE, age_s=0)

    scan()
    assert state_of("a.fits") == ("waiting", "young")
    assert all_frames() == []

    rest(path)
    scan()
    assert state_of("a.fits") == ("registered", "")
    assert frame_of("a.fits").object_name == "NGC 1"


def test_truncated_file_waits_while_it_may_grow_and_is_taken_when_whole(raw: Path) -> None:
    path = store(raw / "a.fits", CUT, age_s=10)

    scan()
    assert state_of("a.fits") == ("waiting", "truncated")
    assert "Not whole yet" in file_of("a.fits").reason

    path.write_bytes(WHOLE)
    rest(path, 5)
    scan()
    assert state_of("a.fits") == ("registered", "")


def test_file_that_stays_truncated_is_quarantined_until_it_is_whole(raw: Path) -> None:
    path = store(raw / "a.fits", CUT)

    scan()
    assert state_of("a.fits") == ("quarantined", "truncated")
    assert "truncated" in file_of("a.fits").reason.lower()

    store(path, WHOLE)
    scan()
    assert state_of("a.fits") == ("registered", "")


@pytest.mark.parametrize("age_s", [10, 100_000])
def test_no_part_of_a_growing_file_is_ever_taken(raw: Path, age_s: float) -> None:
    pixels = np.arange(4000).reshape(50, 80)
    whole = fits_bytes(pixels)
    end = whole.rindex(b"\x9f") + 1  # of the pixels: what follows is padding
    cuts = [0, 1, 79, 80, 2000, *range(BLOCK, end - 1, 1000), end - 1]
    for cut in cuts:
        store(raw / "grows.fits", whole[:cut], age_s=age_s)
        scan()
        assert state_of("grows.fits")[0] == ("waiting" if age_s < 60 else "quarantined"), cut

    assert all_frames() == []


def test_growing_gzip_is_never_taken_before_its_last_pixel(raw: Path) -> None:
    plain = fits_bytes(NOISE.astype(int))
    whole = gzip.compress(plain, mtime=0)
    for cut in range(0, len(whole), len(whole) // 12):
        unpacked = zlib.decompressobj(31).decompress(whole[:cut])
        if len(unpacked) < len(plain) - BLOCK:
            store(raw / "a.fits.gz", whole[:cut])
            scan()
            assert state_of("a.fits.gz")[0] == "quarantined", cut

    store(raw / "a.fits.gz", whole)
    scan()
    assert state_of("a.fits.gz") == ("registered", "")


def test_file_from_the_future_is_taken_after_a_second_look(raw: Path) -> None:
    store(raw / "a.fits", WHOLE, age_s=-3600)

    scan()
    scan()
    assert state_of("a.fits") == ("waiting", "young")

    looked_at("a.fits", seconds_ago=5)
    scan()
    assert state_of("a.fits") == ("registered", "")


def test_file_from_the_future_that_grows_between_looks_waits_on(raw: Path) -> None:
    store(raw / "a.fits", CUT[:-50], age_s=-3600)
    scan()
    looked_at("a.fits", seconds_ago=5)

    store(raw / "a.fits", CUT, age_s=-3601)
    scan()

    assert state_of("a.fits") == ("waiting", "young")


def test_clock_that_jumps_back_between_two_looks_does_not_block_a_file(raw: Path) -> None:
    store(raw / "a.fits", WHOLE, age_s=-3600)
    scan()
    looked_at("a.fits", seconds_ago=-86_400)

    scan()

    assert state_of("a.fits") == ("registered", "")


def test_clock_that_jumps_ahead_takes_a_file_early_and_again_when_it_is_whole(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store(raw / "a.fits", CUT, age_s=0)
    with monkeypatch.context() as jump:
        jump.setattr(time, "time_ns", lambda now=time.time_ns: now() + 86_400 * 10**9)
        scan()
    assert state_of("a.fits") == ("quarantined", "truncated")

    path.write_bytes(WHOLE)
    rest(path)
    scan()

    assert state_of("a.fits") == ("registered", "")


def test_file_that_changes_while_it_is_read_waits(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_layouts()
    path = store(raw / "a.fits", WHOLE)
    real = fitsio.read_headers

    def read_while_it_grows(file: str, *, n_bytes: int) -> object:
        found = real(file, n_bytes=n_bytes)
        with path.open("ab") as stream:
            stream.write(b"more")
        return found

    monkeypatch.setattr(fitsio, "read_headers", read_while_it_grows)

    scan()

    assert state_of("a.fits") == ("waiting", "changing")
    assert all_frames() == []


def start_series(raw: Path) -> None:
    """Scan so many files of a camera that others like them are told by what differs."""
    forget_layouts()
    for number in range(4):
        store(raw / "series" / f"{number}.fits", fits_bytes(DATE_OBS=f"2025-11-20T22:0{number}:00"))
    scan()


@pytest.mark.parametrize("is_before", [True, False])
def test_file_of_a_series_that_is_written_to_while_it_is_read_is_read_by_the_next_scan(
    raw: Path, monkeypatch: pytest.MonkeyPatch, *, is_before: bool
) -> None:
    start_series(raw)
    path = store(raw / "a.fits", WHOLE)
    later = fits_bytes(DATE_OBS="2025-11-20T21:00:00")
    real = os.pread

    def read_while_it_is_written(descriptor: int, n_bytes: int, offset: int) -> bytes:
        if is_before:
            store(path, later, age_s=5000)
        found = real(descriptor, n_bytes, offset)
        store(path, later, age_s=5000)
        return found

    with monkeypatch.context() as changing:
        changing.setattr(os, "pread", read_while_it_is_written)
        changing.setattr(fitsio, "read_headers", lambda path, **_: pytest.fail(f"{path} is odd"))
        scan()

    assert (frame_of("a.fits").start_utc == LATER) == is_before
    assert file_of("a.fits").mtime_ns != path.stat().st_mtime_ns
    scan()
    assert state_of("a.fits") == ("registered", "")
    assert frame_of("a.fits").start_utc == LATER
    assert file_of("a.fits").mtime_ns == path.stat().st_mtime_ns
    assert scan().changes == []


LATER = datetime(2025, 11, 20, 21, tzinfo=UTC)


@pytest.mark.parametrize("is_folder", [True, False])
def test_file_whose_place_a_link_out_of_raw_takes_is_no_frame(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_folder: bool
) -> None:
    start_series(raw)
    path = store(raw / "night" / "a.fits", WHOLE)
    secret = store(tmp_path / "elsewhere" / "a.fits", fits_bytes(DATE_OBS="2025-11-20T21:00:00"))
    real = fitsio.read_starts

    def link_there(root: Path, paths: list[str]) -> object:
        path.unlink(missing_ok=True)
        if is_folder:
            path.parent.rmdir()
            path.parent.symlink_to(secret.parent)
        else:
            path.symlink_to(secret)
        return real(root, paths)

    with monkeypatch.context() as linking:
        linking.setattr(fitsio, "read_starts", link_there)
        scan()

    assert state_of("night/a.fits")[0] == "quarantined"
    assert len(all_frames()) == 4
    scan()
    assert state_of("night" if is_folder else "night/a.fits") == ("quarantined", "outside")
    assert len(all_frames()) == 4


def test_value_of_a_series_that_no_rule_foresaw_stops_no_other(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_layouts()
    for number in range(4):
        at = f"2025-11-20T22:0{number}:00"
        store(raw / "series" / f"{number}.fits", fits_bytes(DATE_OBS=at, CCD_TEMP=-20.0))
    scan()
    for number in range(8):
        at = f"2025-11-20T23:0{number}:00"
        store(raw / f"{number}.fits", fits_bytes(DATE_OBS=at, CCD_TEMP=-20.0))
    store(raw / "odd.fits", fits_bytes(DATE_OBS="2025-11-20T23:30:00", CCD_TEMP=-7.0))
    real = readers.read_temperature

    def stumble(draft: Draft, writer: Writer) -> None:
        if draft.cards.get("CCD-TEMP") == -7.0:
            raise ValueError("unforeseen")
        real(draft, writer)

    monkeypatch.setattr(readers, "read_temperature", stumble)

    report = scan()

    assert report.counts == {"registered": 12, "quarantined": 1}
    assert state_of("odd.fits") == ("quarantined", "untranslatable")


def test_files_of_another_user_are_read_though_their_time_of_access_is_theirs(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_series(raw)
    for number in range(3):
        store(raw / f"{number}.fits", fits_bytes(DATE_OBS=f"2025-11-20T23:0{number}:00"))
    real, refused = os.open, []

    def refuse(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if flags & os.O_NOATIME:
            refused.append(path)
            raise PermissionError(1, "Operation not permitted", path)
        return real(path, flags, *more, **options)

    monkeypatch.setattr(filestart, "_opener", filestart._Opener())
    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(fitsio, "read_headers", lambda path, **_: pytest.fail(f"{path} is odd"))
    scan()

    assert refused == ["0.fits"]  # others are not tried so any more
    assert len(all_frames()) == 7


def test_file_of_a_series_exchanged_before_it_is_read_is_the_other(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_series(raw)
    path = store(raw / "a.fits", WHOLE)
    other = store(raw / "b.part", fits_bytes(DATE_OBS="2025-11-20T21:00:00"))
    real = fitsio.read_starts

    def read_after_it_was_exchanged(root: Path, paths: list[str]) -> object:
        other.replace(path)
        return real(root, paths)

    with monkeypatch.context() as exchanging:
        exchanging.setattr(fitsio, "read_starts", read_after_it_was_exchanged)
        scan()

    assert frame_of("a.fits").start_utc == LATER
    assert file_of("a.fits").mtime_ns == path.stat().st_mtime_ns
    assert scan().changes == []


@pytest.mark.parametrize("is_known", [True, False])
def test_file_of_a_series_that_goes_away_before_it_is_read_is_not_registered(
    raw: Path, monkeypatch: pytest.MonkeyPatch, *, is_known: bool
) -> None:
    start_series(raw)
    path = store(raw / "a.fits", WHOLE)
    if is_known:
        scan()
    real = fitsio.read_starts

    def gone(root: Path, paths: list[str]) -> object:
        path.unlink(missing_ok=True)
        return real(root, paths)

    monkeypatch.setattr(fitsio, "read_starts", gone)
    report = scan(again=True)

    if is_known:
        assert state_of("a.fits") == ("missing", "missing")
        assert [(c.path, c.state) for c in report.changes if c.path == "a.fits"] == [
            ("a.fits", "missing")
        ]
    else:
        assert "a.fits" not in {c.path for c in report.changes}
        assert len(all_frames()) == 4


def test_pipe_that_takes_the_place_of_a_file_is_not_waited_for(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_series(raw)
    path = store(raw / "a.fits", WHOLE)
    real = fitsio.read_starts

    def piped(root: Path, paths: list[str]) -> object:
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        return real(root, paths)

    monkeypatch.setattr(fitsio, "read_starts", piped)
    scan()

    assert state_of("a.fits") == ("quarantined", "not_a_file")


def judged(raw: Path, *, series: bool) -> list[Outcome]:
    """Return how every file of RAW ends, told by its series or by all rules."""
    intake = Intake(raw, settle_s=0.0, now=utcnow())
    asked = [one for files in Walk(raw).files() for one in files]
    seen = [look(raw, one.path) if isinstance(one, Unasked) else one for one in asked]
    found = [one for one in seen if one is not None]
    by_name = sorted(found, key=lambda seen: seen.path.rpartition("/")[2])  # camera by camera
    ends: list[Outcome] = []
    for one in by_name:
        if series:
            batch = intake.judge_series([(one, None)])
            batch.take_apart(lambda _taken: True)
            ends += batch.outcomes
        else:
            ends += intake.judge([(one, None)])
    return ends


def said(outcome: Outcome) -> tuple[object, ...]:
    """Return all that a row is made of."""
    exposures = [
        (registration.steady_part(told.base), told.base.extras, told.base.temp_c, told[1:])
        for told in outcome.exposures
    ]
    kept = outcome.header.whole, outcome.header_digest
    return outcome.seen, outcome.state, outcome.code, outcome.reason, *kept, exposures


def test_file_of_a_series_ends_as_it_would_alone(raw: Path) -> None:
    start_series(raw)
    changes: list[dict[str, Any]] = [
        {"DATE_OBS": "2025-11-20T22:00:07"},
        {"DATE_OBS": "2099-11-20T22:00:07"},
        {"DATE_OBS": "1969-11-20T22:00:07"},
        {"DATE_OBS": "9999-12-31T23:59:59"},
        {"DATE_OBS": "2025-11-20"},
        {"IMAGETYP": "FLAT"},
        {"OBJECT": "M 1"},
        {"NAXIS1": 8},
        {"BITPIX": -33},
    ]
    for number, cards in enumerate(changes):
        store(raw / f"{number}.fits", fits_bytes(None, **cards))

    told = judged(raw, series=True)
    alone = judged(raw, series=False)

    assert [said(one) for one in told] == [said(one) for one in alone]
    assert {one.seen.path for one in told if one.exposures and not one.infos} == {
        *("0.fits", "1.fits"),
        *(f"series/{number}.fits" for number in range(4)),
    }


@needs_shared
def test_every_real_file_ends_by_its_series_as_it_would_alone() -> None:
    raw = shared("data", "RAW")
    forget_layouts()
    alone = judged(raw, series=False)
    judged(raw, series=False)

    told = judged(raw, series=True)

    assert [said(one) for one in told] == [said(one) for one in alone]
    assert len([one for one in told if not one.infos]) > 30


def test_file_of_a_series_is_truncated_as_any_other(raw: Path) -> None:
    start_series(raw)
    store(raw / "cut.fits", CUT)
    store(raw / "cut_header.fits", WHOLE[:500])
    store(raw / "long.fits", WHOLE + bytes(5000))

    scan()

    assert state_of("cut.fits") == ("quarantined", "truncated")
    assert state_of("cut_header.fits") == ("quarantined", "truncated_header")
    assert state_of("long.fits") == ("registered", "")


def test_file_exchanged_while_it_is_read_waits(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_layouts()
    path = store(raw / "a.fits", WHOLE)
    other = store(raw / "b.part", fits_bytes(OBJECT="Other"), age_s=5000)
    real = fitsio.read_headers

    def read_before_it_is_exchanged(file: str, *, n_bytes: int) -> object:
        found = real(file, n_bytes=n_bytes)
        other.replace(path)
        return found

    monkeypatch.setattr(fitsio, "read_headers", read_before_it_is_exchanged)
    scan()
    assert state_of("a.fits") == ("waiting", "changing")

    monkeypatch.undo()
    scan()
    assert frame_of("a.fits").object_name == "Other"


def test_settling_time_is_a_setting(raw: Path, staff: User) -> None:
    settings.change("scan", "settle_s", 0, by=staff)
    store(raw / "a.fits", WHOLE, age_s=0)

    scan()

    assert state_of("a.fits") == ("registered", "")


# What cannot be read


def test_unreadable_file_is_quarantined_and_tried_again(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(raw / "a.fits", WHOLE)
    store(raw / "b.fits", fits_bytes(OBJECT="Other"))
    real = os.open

    def refuse(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if Path(path).name == "a.fits":
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, *more, **options)

    with monkeypatch.context() as denied:
        denied.setattr(os, "open", refuse)
        scan()
        assert scan().changes == []

    assert state_of("a.fits") == ("quarantined", "unreadable")
    assert "Permission denied" in file_of("a.fits").reason
    assert state_of("b.fits") == ("registered", "")

    scan()
    assert state_of("a.fits") == ("registered", "")


def test_file_that_goes_away_before_it_is_read_leaves_nothing(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store(raw / "a.fits", WHOLE)
    real = fitsio.read_starts

    def gone(root: Path, paths: list[str]) -> object:
        path.unlink(missing_ok=True)
        return real(root, paths)

    monkeypatch.setattr(fitsio, "read_starts", gone)

    report = scan()

    assert report.changes == []
    assert not report.counts


def test_header_no_rule_foresaw_stops_nothing_else(
    raw: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    forget_layouts()
    for name in ("a.fits", "b.fits", "c.fits"):
        store(raw / name, fits_bytes(OBJECT=name))
    real = headers.translate

    def stumble(file: Any, **options: Any) -> object:
        if options["file_name"] == "b.fits":
            raise KeyError("unforeseen")
        return real(file, **options)

    monkeypatch.setattr(headers, "translate", stumble)

    report = scan()

    assert report.counts == {"registered": 2, "quarantined": 1}
    assert state_of("b.fits") == ("quarantined", "untranslatable")
    assert "b.fits" in caplog.text


# Bad input


def bad_files() -> dict[str, tuple[bytes, str]]:
    huge = fits_bytes(NAXIS1=2**31 - 1, NAXIS2=2**31 - 1)
    header = WHOLE[: WHOLE.index(b"END     ")]
    zeros = gzip.compress(fits_bytes(NAXIS1=40_000, NAXIS2=2_000)[:BLOCK] + bytes(160_000_000))
    return {
        "empty.fits": (b"", "empty"),
        "text.fits": (b"not a FITS file at all\n" * 200, "not_fits"),
        "picture.fits": (b"\x89PNG\r\n\x1a\n" + bytes(5000), "not_fits"),
        "huge.fits": (huge, "too_large"),
        "axes.fits": (fits_bytes(NAXIS=999), "bad_axes"),
        "negative.fits": (fits_bytes(NAXIS1=-5), "bad_axes"),
        "bitpix.fits": (fits_bytes(BITPIX=-33), "bad_bitpix"),
        "wrong_bitpix.fits": (fits_bytes(NOISE.astype(int), BITPIX=-64), "truncated"),
        "no_end.fits": (header.ljust(10 * BLOCK), "truncated_header"),
        "cut_header.fits": (header[:500], "truncated_header"),
        "cut.fits": (CUT, "truncated"),
        "bomb.fits.gz": (zeros, "bomb"),
        "packed.fits": (b"BZh91AY&SY" + bytes(4000), "compression"),
        "old.fits.Z": (b"\x1f\x9d\x90" + bytes(400), "compression"),
        "bad.fits.gz": (b"\x1f\x8b" + np.random.default_rng(1).bytes(3000), "empty"),
        "no_pixels.fits": (fits_bytes(NAXIS=0, NAXIS1=None, NAXIS2=None), "no_image"),
    }


@pytest.mark.parametrize("name", sorted(bad_files()))
def test_bad_file_is_quarantined_with_a_sentence(raw: Path, name: str) -> None:
    content, code = bad_files()[name]
    store(raw / name, content)
    store(raw / "good.fits", WHOLE)

    began = time.monotonic()
    report = scan()

    assert time.monotonic() - began < 5
    assert report.counts == {"registered": 1, "quarantined": 1}
    assert state_of(name) == ("quarantined", code)
    assert file_of(name).reason.rstrip().endswith(".")


def test_image_of_nans_is_registered(raw: Path) -> None:
    path = raw / "nan.fits"
    fits.PrimaryHDU(np.full((5, 6), np.nan, np.float32)).writeto(path)
    rest(path)

    scan()

    assert state_of("nan.fits") == ("registered", "")


def test_colour_cube_is_registered_as_unknown_and_unusable(raw: Path) -> None:
    path = raw / "colour.fits"
    fits.PrimaryHDU(np.ones((3, 20, 30), np.uint16)).writeto(path)
    rest(path)

    scan()

    frame = frame_of("colour.fits")
    assert frame.kind == "unknown"
    assert frame.unusable


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("EXPTIME", b"NaN"),
        ("EXPTIME", b"-5"),
        ("EXPTIME", b"1e999"),
        ("EXPTIME", "thirty"),
        ("DATE-OBS", "not a date"),
        ("DATE-OBS", "9999-99-99T99:99:99"),
        ("RA", "99:99:99"),
        ("DEC", b"1e308"),
        ("XBINNING", b"-7"),
        ("XBINNING", b"99999999999999999999"),
        ("GAIN", "__import__('os').system('true')"),
        ("OBJECT", "<script>alert(1)</script>"),
        ("OBJECT", "../../../etc/passwd"),
        ("OBJECT", b"'\xff\xfe\x00\x01'"),
        ("CCD-TEMP", b"NaN"),
        ("AIRMASS", b"inf"),
        ("BZERO", b"NaN"),
        ("NCOMBINE", b"1e300"),
    ],
)
def test_insane_value_never_breaks_the_row(raw: Path, keyword: str, value: str | bytes) -> None:
    store(raw / "a.fits", fits_bytes(None, **{keyword.replace("-", "_"): value}))

    scan()

    assert state_of("a.fits") == ("registered", "")
    frame = frame_of("a.fits")
    numbers = [frame.exptime_s, frame.ra_deg, frame.dec_deg, frame.airmass, frame.temp_c]
    assert all(number is None or np.isfinite(number) for number in numbers)
    assert frame.binning_x >= 1
    assert frame.ncombine >= 1


def test_every_mutated_file_ends_in_a_named_state(raw: Path) -> None:
    """Random bytes, cards and cuts: none stops the scan, each has its state and sentence."""
    rng = np.random.default_rng(20251120)
    for number in range(250):
        content = bytearray(WHOLE)
        for _ in range(rng.integers(1, 12)):
            at, n_bytes = int(rng.integers(2 * BLOCK)), int(rng.integers(1, 12))
            content[at : at + n_bytes] = rng.bytes(n_bytes)
        if rng.random() < 0.3:
            keyword = str(rng.choice(["NAXIS1", "BITPIX", "EXPTIME", "PCOUNT", "XTENSION"]))
            at = 80 * int(rng.integers(12))
            content[at : at + 80] = card(keyword, [-1, 2**40, "x", b"1.5e400"][number % 4])
        store(raw / f"{number:03}.fits", bytes(content[: (None, 3000)[number % 2]]))

    report = scan()

    assert report.counts.total() == 250
    assert set(report.counts) <= {"registered", "quarantined", "duplicate"}
    assert report.counts["quarantined"] > 20
    assert report.counts["registered"] > 20
    assert all(change.reason for change in report.quarantined)


def test_states_are_the_five_named_ones() -> None:
    assert {str(state) for state in FileState} == {
        "waiting",
        "registered",
        "duplicate",
        "quarantined",
        "missing",
    }


# Packed and with several images


def test_gzip_and_tile_compression_are_read_like_plain_files(raw: Path) -> None:
    store(raw / "a.fits.GZ", gzip.compress(fits_bytes(OBJECT="packed")))
    tiles = fits.CompImageHDU(NOISE.astype(np.int16), fits.Header({"OBJECT": "tiled"}))
    fits.HDUList([fits.PrimaryHDU(), tiles]).writeto(raw / "b.fits.fz")
    rest(raw / "b.fits.fz")

    report = scan()

    assert report.counts == {"registered": 2}
    assert frame_of("a.fits.GZ").object_name == "packed"
    assert frame_of("b.fits.fz").object_name == "tiled"
    assert (frame_of("b.fits.fz").nx, frame_of("b.fits.fz").ny) == (50, 40)


def test_several_exposures_in_one_file_are_several_frames(raw: Path) -> None:
    exposures = [
        fits.ImageHDU(NOISE.astype(np.int16) + i, fits.Header({"EXPTIME": float(i), "EXPNUM": i}))
        for i in (1, 2, 3)
    ]
    for i, hdu in enumerate(exposures):
        hdu.header["DATE-OBS"] = f"2025-11-20T23:0{i}:00"
    fits.HDUList([fits.PrimaryHDU(), *exposures]).writeto(raw / "series.fits")
    rest(raw / "series.fits")

    scan()

    frames = all_frames()
    assert [(f.part, f.exptime_s) for f in frames] == [(0, 1.0), (1, 2.0), (2, 3.0)]
    assert {f.path for f in frames} == {"RAW/series.fits"}
    assert db.session.get(type(frames[0]), frames[0].id) is frames[0]
