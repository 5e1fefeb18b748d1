"""Real frames of over a dozen cameras in one go, and every odd file in its named state."""

import csv
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from app import config, create_app, paths
from app.db import db
from app.models import Camera, Frame
from tests.app.services.rawfiles import all_frames, file_of, frame_of, rest, scan, state_of
from tests.realdata import needs_shared, shared
from tests.reduction.headers.site_profiles import CAMERAS

pytestmark = needs_shared

KINDS = {
    "science": "science",
    "standard star spectrum": "standard",
    "spectral flat": "flat",
    "normalised master flat": "flat",
    "master flat": "flat",
    "flat": "flat",
    "arc": "arc",
    "bias": "bias",
    "master bias": "bias",
    "dark": "dark",
    "master dark": "dark",
}
BANDS = {"B", "V", "I", "Clear", "r"}  # where the answer sheet names the filter, not a setting
# What one camera of the site is, however many telescopes' names or sizes its headers show.
SETS = (
    "AKB13475", "aligned_eso", "unsolved", "biases-|darks-|flat-expos", "L2-", "HATP", "v_",
    "combined_|kelt", "sp_400m1", "bias_0|dark_0|flat_0|science_0|sky_offset_0", "uamA", "mef_raw",
)  # fmt: skip


@pytest.fixture(scope="module")
def real_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application whose RAW is the folder of real frames, scanned once."""
    instance = tmp_path_factory.mktemp("instance")
    environ = {"COELOSTAT_INSTANCE": str(instance), "COELOSTAT_RAW": str(shared("data", "RAW"))}
    settings = replace(config.load(environ), cameras=tuple(CAMERAS))
    app = create_app(settings)
    with app.app_context():
        db.create_all()
        report = scan()
        app.extensions["report"] = report
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture(scope="module")
def answers() -> list[dict[str, str]]:
    with shared("data", "truth", "frames.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def true_kind(answer: dict[str, str]) -> str:
    text = answer["true_kind"].partition(" (")[0]
    return KINDS.get(text) or KINDS[text.split()[0]]


def set_of(path: str) -> int:
    name = path.rpartition("/")[2]
    return next(i for i, starts in enumerate(SETS) if name.startswith(tuple(starts.split("|"))))


def test_every_real_frame_is_registered_in_one_go(
    real_app: Flask, answers: list[dict[str, str]]
) -> None:
    report = real_app.extensions["report"]

    assert report.counts == {"registered": len(answers)}
    assert {frame.path for frame in all_frames()} == {answer["path"] for answer in answers}
    assert report.seconds < 30


def test_second_scan_finds_nothing_new(real_app: Flask) -> None:
    assert scan().changes == []


def test_kinds_are_those_of_the_answer_sheet(
    real_app: Flask, answers: list[dict[str, str]]
) -> None:
    wrong = {
        answer["path"]: (frame_of(answer["path"][4:]).kind, true_kind(answer))
        for answer in answers
        if frame_of(answer["path"][4:]).kind != true_kind(answer)
    }

    assert wrong == {}


def test_bands_are_those_of_the_answer_sheet(
    real_app: Flask, answers: list[dict[str, str]]
) -> None:
    named = [answer for answer in answers if answer["true_filter_or_setting"] in BANDS]

    found = {a["path"]: frame_of(a["path"][4:]).band for a in named}

    assert found == {a["path"]: a["true_filter_or_setting"] for a in named}


def test_no_cameras_frames_mix_with_anothers(real_app: Flask) -> None:
    cameras_of_set = defaultdict(set)
    for frame in all_frames():
        cameras_of_set[set_of(frame.path)].add(frame.camera_id)

    assert len(cameras_of_set) == len(SETS)
    everything = [camera for cameras in cameras_of_set.values() for camera in cameras]
    assert len(everything) == len(set(everything))
    assert {SETS[i] for i, cameras in cameras_of_set.items() if len(cameras) > 1} <= {"v_"}
    assert None not in everything


def test_masters_of_other_programs_wait_for_validation(
    real_app: Flask, answers: list[dict[str, str]]
) -> None:
    masters = {a["path"] for a in answers if "master" in a["true_kind"]}

    found = db.session.scalars(select(Frame).where(Frame.level == 1)).all()

    assert masters <= {frame.path for frame in found}
    assert not any(frame.is_valid for frame in found)
    assert all("validates" in frame.notes[0] for frame in found)


def test_four_amplifiers_are_one_frame(real_app: Flask) -> None:
    frames = [f for f in all_frames() if "mef_raw" in f.path]

    assert [(f.part, f.nx, f.ny) for f in frames] == [(0, 1024, 1024)]


def test_nights_are_the_folders_where_the_header_does_not_say_otherwise(real_app: Flask) -> None:
    """The README of the frames names the few whose header says another night."""
    other = {
        f.path
        for f in all_frames()
        if f.night is None or f"RAW/{f.night.isoformat()}/" not in f.path
    }

    assert len(other) <= 6, sorted(other)


def test_cameras_have_names_people_know(real_app: Flask) -> None:
    names = set(db.session.scalars(select(Camera.name)))

    assert "SBIG STL-1001 3 CCD Camera 1024x1024" in names
    assert "Main 650x500" in names


# The odd ones

ODD = {
    "TIC-367710318-tiny.fit.bz2": ("quarantined", "compression"),
    "all-images.cal_not_a_fits.fits": ("quarantined", "not_fits"),
    "group_invalid.fits": ("quarantined", "no_image"),
    "history_header.fits": ("quarantined", "no_image"),
    "lzw.fits.Z": ("quarantined", "compression"),
    "verify.fits": ("quarantined", "no_image"),
    "wasp-10-tiny.fit.bz2": ("quarantined", "compression"),
    "zerowidth.fits": ("quarantined", "no_image"),
    "made_by_cutting/bitpix_says_-32.fits": ("quarantined", "truncated"),
    "made_by_cutting/empty.fits": ("quarantined", "empty"),
    "made_by_cutting/truncated.fits.gz": ("quarantined", "truncated"),
    "made_by_cutting/truncated_data.fits": ("quarantined", "truncated"),
    "made_by_cutting/truncated_header.fits": ("quarantined", "truncated_header"),
}


@pytest.fixture
def odd(app: Flask) -> Path:
    """A copy of the odd files in RAW, long at rest."""
    raw = paths.current().raw
    shutil.copytree(shared("data", "odd"), raw, dirs_exist_ok=True)
    for path in raw.rglob("*"):
        if path.is_file():
            rest(path)
    return raw


def test_every_odd_file_ends_in_its_named_state(odd: Path) -> None:
    names = [str(path.relative_to(odd)) for path in odd.rglob("*") if path.is_file()]

    report = scan()

    assert report.counts.total() == len(names) == 27
    expected = {name: ODD.get(name, ("registered", "")) for name in names}
    assert {name: state_of(name) for name in names} == expected
    assert all(file_of(name).reason.endswith(".") for name in ODD)
    assert report.troubles == []


def test_odd_files_stay_as_they_are_when_scanned_again(odd: Path) -> None:
    scan()

    assert scan().changes == []
    assert {c.state for c in scan(again=True).changes} == {"registered"}
