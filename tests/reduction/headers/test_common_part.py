"""What is remembered of one frame never colours another."""

import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reduction.cards import Cards, FileHeaders, HduHeader
from reduction.fitsio import read_headers
from reduction.frameinfo import FrameInfo, FrameKind
from reduction.headers import translate
from reduction.layouts import forget_layouts
from tests.realdata import needs_shared, shared
from tests.reduction.headers.texts import card, image_lines

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CHOICES: dict[str, list[Any]] = {
    "IMAGETYP": ["LIGHT", "FLAT", "DARK", "BIAS", "Light Frame"],
    "FILTER": ["R", "r", "58", "UNKNOWN", "Open"],
    "OBJECT": ["M 1", "flat", "N/A"],
    "INSTRUME": ["CAFOS 2.2", "Goodman Spectro", "Cam"],
    "SWCREATE": ["N.I.N.A. 3", "MaxIm DL 6", "other"],
    "TRIMSEC": ["[1:20,1:10]", "[1:30,1:20]", "UNKNOWN", "[1:99,1:99]"],
    "CALSTAT": ["", "B", "BDF"],
    "WAVMODE": ["Imaging", "400 m1"],
    "EXPTIME": [0, 1e-32, 30.0, -1],
    "GAIN": [120, 1.5, 0],
    "NCOMBINE": [1, 5],
}
HISTORIES = ["HISTORY Flat=a.fits", "HISTORY nothing", "HISTORY Bias corrected with b.fits"]


def header(chosen: dict[str, object], history: str) -> FileHeaders:
    lines = [card(keyword, value) for keyword, value in chosen.items()]
    made = Cards.from_text([*image_lines(*lines), history])
    return FileHeaders((HduHeader(0, made, (20, 30)),), "")


def once(file: FileHeaders, name: str) -> FrameInfo:
    (info,) = translate(file, file_name=name, now=NOW)
    return info


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    frames=st.lists(
        st.tuples(
            st.fixed_dictionaries(
                {key: st.sampled_from(values) for key, values in CHOICES.items()}
            ),
            st.sampled_from(HISTORIES),
            st.sampled_from(["a.fits", "flat.fits"]),
        ),
        min_size=2,
        max_size=8,
    )
)
def test_frame_is_the_same_whatever_was_read_before_it(
    frames: list[tuple[dict[str, object], str, str]],
) -> None:
    cold = []
    for chosen, history, name in frames:
        forget_layouts()
        cold.append(once(header(chosen, history), name))

    forget_layouts()
    warm = [once(header(chosen, history), name) for chosen, history, name in frames]

    assert warm == cold


def test_many_different_frames_of_one_layout_are_all_right() -> None:
    chosen: dict[str, object] = {"IMAGETYP": "LIGHT", "OBJECT": "M 1", "EXPTIME": 1.0}

    for i in range(200):
        info = once(header({**chosen, "OBJECT": f"M {i}"}, HISTORIES[1]), "a.fits")

        assert info.object_name == f"M {i}"
        assert info.kind == FrameKind.SCIENCE


def test_result_of_one_frame_can_be_changed_without_another_noticing() -> None:
    chosen: dict[str, object] = {"IMAGETYP": "LIGHT", "OBJECT": "M 1"}
    first = once(header(chosen, HISTORIES[1]), "a.fits")
    first.extras["slit"] = "1.0"  # type: ignore[index]

    assert once(header(chosen, HISTORIES[1]), "a.fits").extras == {}


def test_origins_are_those_of_the_frame_s_own_cards_and_travel_between_processes() -> None:
    chosen: dict[str, object] = {"IMAGETYP": "LIGHT", "OBJECT": "M 1", "EXPTIME": 30.0}
    once(header({**chosen, "EXPTIME": 10.0}, HISTORIES[1]), "a.fits")

    info = once(header(chosen, HISTORIES[1]), "a.fits")

    assert info.origins["exptime_s"].card.split() == ["EXPTIME", "=", "30.0"]
    assert pickle.loads(pickle.dumps(info)) == info  # noqa: S301 - its own bytes


@needs_shared
def test_real_frames_read_warm_are_as_read_cold() -> None:
    paths = sorted(path for path in shared("data", "RAW").rglob("*") if path.is_file())

    def read(path: Path) -> list[FrameInfo]:
        return translate(read_headers(path), file_name=path.name, now=NOW)

    warm = [read(path) for path in [*paths, *paths]][len(paths) :]
    for path, found in zip(paths, warm, strict=True):
        forget_layouts()
        assert read(path) == found
