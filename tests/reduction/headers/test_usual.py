"""Frames of a series are told by their values alone, and say what all rules would say."""

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reduction.cards import Cards, FileHeaders, HduHeader
from reduction.frameinfo import FrameInfo
from reduction.headers import translate
from reduction.headers.usual import Usual
from reduction.layouts import forget_layouts
from tests.reduction.headers.texts import card, image_lines

NOW = datetime(2026, 1, 1, tzinfo=UTC)
USUAL = {
    "DATE-OBS": "2025-11-20T23:00:00.5",
    "RA": "05:34:31.0",
    "DEC": "+22:00:52",
    "AIRMASS": 1.2,
    "CCD-TEMP": -20.0,
    "EQUINOX": 2000.0,
}
# Of each card what is usual, what is at its limits, and what is not what it seems.
SAID = {
    "DATE-OBS": st.integers(1960, 2030).map(
        lambda year: f"{year}-02-28T{year % 24:02}:{year % 60:02}:59.9"
    )
    | st.sampled_from(
        ["2025-11-20T24:00:00.0", "2025-11-20 23:00:00.0", "2025-11-20", "", "x" * 21]
    )
    | st.sampled_from(
        ["2025-11-20T23:00+02:00", "2025-11-20T23:00:00.5Z", "2025-11-20T23:59:60.0"]
    ),
    "RA": st.sampled_from(["05:34:31.1", "23:59:59.9", "24:00:00.0", "25:00:00.0", "05:61:00.0"])
    | st.sampled_from(
        ["00:00:00.0", "-1:00:00.0", "05h34m31.1", "83.6331000", 83.6, -1, 361.0, ""]
    ),
    "DEC": st.sampled_from(["+22:00:53", "-90:00:00", "+90:00:01", "+00:00:00", "22 00 52.", 22.5]),
    "AIRMASS": st.sampled_from([1.0, 0.98, 100.0, 2, "1.5", "NaN", "1_0", True, "1.5D0", "inf"]),
    "CCD-TEMP": st.sampled_from([-20.1, -999.0, 253.15, "-20 C", "", True]),
    "EQUINOX": st.sampled_from([1950.0, 2000, "J2000"]),
}
# More of the time, as some writers have it beside the date.
TIMES = {"MJD-OBS": 60999.958339, "TIMESYS": "UTC", "DATE-AVG": "2025-11-20T23:00:15.5"}
SAID_OF_TIME = {
    "MJD-OBS": st.sampled_from([60999.9583, 60999.95833, 60999.958512, 60999.95, 61000.0, 61000])
    | st.sampled_from([2461000.458339, 0.0, "60999.958339", "", True, "6.1D4", "1_0"]),
    "TIMESYS": st.sampled_from(["UTC", "utc", "TAI", "TT", ""]),
    "DATE-AVG": st.sampled_from(["2025-11-20T23:00:15.500", "2025-11-20T22:00:00.0", "2025-11-20"])
    | st.sampled_from(["2025-11-21T23:00:00.5", "2025-11-21T23:00:00.6", "", 60999.9, "x" * 21]),
}
COMMENT = st.sampled_from(["", "", "", "FRAME RECEIVED", "[h] hours", "kelvin", "'"])
FRAMES = st.fixed_dictionaries(
    {}, optional={name: st.tuples(said, COMMENT) for name, said in SAID.items()}
)
TIMED = st.fixed_dictionaries(
    {},
    optional={
        name: st.tuples(said, COMMENT)
        for name, said in (SAID_OF_TIME | {"DATE-OBS": SAID["DATE-OBS"]}).items()
    },
)
# Which of these a camera writes, and what else it may say of the Julian date.
FORMS = st.sets(st.sampled_from([*TIMES, "JD", "MJD-BEG"]), min_size=1).map(
    lambda names: {
        name: (TIMES | {"JD": 2461000.458339, "MJD-BEG": 60999.958339})[name]
        for name in sorted(names)
    }
)


def header(said: dict[str, tuple[object, str]]) -> FileHeaders:
    """Return the header of a frame, as the guard reads it."""
    values = {name: (value, "") for name, value in USUAL.items()} | said
    lines = image_lines(
        card("IMAGETYP", "Light Frame"),
        card("OBJECT", "M 1"),
        card("EXPTIME", 30.0),
        card("SITELONG", 25.6),
        *[card(name, value, comment) for name, (value, comment) in values.items()],
    )
    raw = b"".join([line.encode().ljust(80)[:80] for line in lines])
    cards = Cards.at_start_of(raw + b"END".ljust(80)) or Cards.of_new_layout(raw)
    return FileHeaders((HduHeader(0, cards, (20, 30)),), "")


def told(said: dict[str, tuple[object, str]]) -> FrameInfo:
    return translate(header(said), file_name="a.fits", now=NOW)[0]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=300)
@given(frames=st.lists(FRAMES, min_size=1, max_size=6))
def test_frame_of_a_series_says_what_it_says_alone(
    frames: list[dict[str, tuple[object, str]]],
) -> None:
    alone = []
    for said in frames:
        forget_layouts()
        alone.append(repr(told(said)))

    forget_layouts()
    series = [told(said) for said in [{}, {}, {}, *frames]][3:]

    assert [repr(info) for info in series] == alone
    assert [info.doubts for info in series] == [
        {name: o.doubt for name, o in info.origins.items() if o.doubt}
        | ({"kind": info.kind_doubt} if info.kind_doubt else {})
        for info in series
    ]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=300)
@given(form=FORMS, frames=st.lists(TIMED, min_size=1, max_size=6))
def test_frame_that_tells_its_time_more_than_once_says_what_it_says_alone(
    form: dict[str, object], frames: list[dict[str, tuple[object, str]]]
) -> None:
    usual = {name: (value, "") for name, value in form.items()}
    told_so = [
        {**usual, **{k: v for k, v in f.items() if k in usual or k in USUAL}} for f in frames
    ]
    alone = []
    for said in told_so:
        forget_layouts()
        alone.append(repr(told(said)))

    forget_layouts()
    series = [told(said) for said in [usual, usual, usual, *told_so]][3:]

    assert [repr(info) for info in series] == alone


@pytest.mark.parametrize("usually", [TIMES, TIMES | {"TIMESYS": "TAI"}, {"TIMESYS": "TAI"}])
@pytest.mark.parametrize(
    "once",
    [
        {"TIMESYS": "TT"},
        {"TIMESYS": "UTC"},
        {"MJD-OBS": 60999.95001},
        {"MJD-OBS": 60999.958512},
        {"DATE-AVG": "2025-11-20T23:00:00.4"},
        {"DATE-AVG": "2025-11-21T23:00:00.6"},
    ],
)
def test_frame_that_tells_its_time_otherwise_is_not_taken_for_one_of_its_series(
    usually: dict[str, object], once: dict[str, object]
) -> None:
    usual = {name: (value, "") for name, value in usually.items()}
    said = usual | {name: (value, "") for name, value in once.items()}
    forget_layouts()
    alone = [told(usual), told(said)]

    forget_layouts()
    series = [told(one) for one in (usual, usual, usual, usual, said)][3:]

    assert [repr(info) for info in series] == [repr(info) for info in alone]


def answers_heard(monkeypatch: pytest.MonkeyPatch) -> list[FrameInfo | None]:
    """Forget every form; return what the quick way answers from now on, as it does."""
    forget_layouts()
    answers: list[FrameInfo | None] = []
    real = Usual.read

    def listening(self: Usual, cards: Cards, now: datetime) -> FrameInfo | None:
        answers.append(real(self, cards, now))
        return answers[-1]

    monkeypatch.setattr(Usual, "read", listening)
    return answers


@pytest.mark.parametrize(
    "times",
    [
        {"MJD-OBS": 60999.958339},
        {"JD": 2461000.458339},
        {"MJD-OBS": 2461000.458339},
        {"TIMESYS": "UTC"},
        {"DATE-AVG": "2025-11-20T23:00:15.5"},
        {"MJD-OBS": 60999.958339, "TIMESYS": "UTC", "DATE-AVG": "2025-11-20T23:00:15.5"},
    ],
)
def test_times_told_again_are_no_reason_to_ask_all_rules(
    monkeypatch: pytest.MonkeyPatch, times: dict[str, object]
) -> None:
    answers = answers_heard(monkeypatch)
    said = {name: (value, "") for name, value in times.items()}

    frames = [told({**said, "AIRMASS": (1.0 + i / 10, "")}) for i in range(5)]

    assert len(answers) == 3
    assert None not in answers
    assert [frame.airmass for frame in frames] == [1.0 + i / 10 for i in range(5)]
    assert {frame.mid_utc for frame in frames} == {
        datetime(2025, 11, 20, 23, 0, 15, 500_000, tzinfo=UTC)
    }


def test_rules_are_not_asked_once_a_form_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = answers_heard(monkeypatch)

    frames = [told({"DATE-OBS": (f"2025-11-20T23:00:{i:02}.0", "")}) for i in range(10)]

    assert len(answers) == 8
    assert None not in answers
    assert len({id(frame.base) for frame in frames[2:]}) == 1
    assert [frame.start_utc for frame in frames] == [
        datetime(2025, 11, 20, 23, 0, i, tzinfo=UTC) for i in range(10)
    ]


def test_base_of_a_frame_made_by_itself_is_itself() -> None:
    forget_layouts()

    info = told({})

    assert info.base is info
    assert info.with_own({"airmass": 3.0}).base is info
    assert info.with_own({"airmass": info.airmass}) == info
