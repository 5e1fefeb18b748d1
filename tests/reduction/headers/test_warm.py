"""Whatever changes in a camera's headers: read warm, they say what they say when read cold."""

import os
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reduction.cards import Cards, FileHeaders, HduHeader, changed_text
from reduction.digests import header_digest
from reduction.errors import BadFileError
from reduction.filestart import FileStart
from reduction.frameinfo import FrameInfo, Told
from reduction.guard import LIMITS, scan_layout
from reduction.headers import Series, translate
from reduction.layouts import forget_layouts
from tests.realdata import needs_shared, shared
from tests.reduction.headers.texts import CARD, card, header_bytes, image_lines

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OURS = "\n".join(
    image_lines(
        card("IMAGETYP", "Light Frame"),
        card("OBJECT", "M 1"),
        card("DATE-OBS", "2025-11-20T23:00:00.5"),
        card("EXPTIME", 30.0),
        card("FILTER", "R"),
        card("CCD-TEMP", -20.0),
        card("RA", "05 34 31"),
        card("DEC", "+22 00 52"),
        card("AIRMASS", 1.2),
        card("SITELONG", 25.6),
        card("SITELAT", 42.5),
    )
)
TEXTS = {"ours": OURS}
# What cameras and hostile files put in the place of a value.
VALUES = st.sampled_from(
    [
        "T",
        "0",
        "-1",
        "1.5",
        "1e400",
        "NaN",
        "'FLAT'",
        "'BIAS    '",
        "'12:30:00.1'",
        "'x&'",
        "''",
        "",
    ]
    + ["'2025-11-20T23:59:60'", "'[1:10,1:9]'", "2460000.5", "60000.25", "'-99 59 60.0'", "END"]
) | st.text(st.characters(max_codepoint=255), max_size=12)
CHANGES = st.lists(st.tuples(st.integers(0, 400), VALUES), max_size=4)


def real_texts() -> dict[str, str]:
    folder = shared("data", "headers")
    return {path.name: path.read_text("latin-1") for path in sorted(folder.glob("*.hdr"))}


def changed(text: str, changes: list[tuple[int, str]]) -> bytes:
    """Return the bytes of a header in which some values are others."""
    lines = [line for line in text.split("\n\n")[0].splitlines() if not line.startswith("END ")]
    lines = [line for line in lines if line.strip() != "END"]
    for place, value in changes:
        i = place % len(lines)
        lines[i] = f"{lines[i][:8]:<8}= {value}"
    return header_bytes(lines)


class Bytes:
    """The start of a file whose pixels nobody reads."""

    packed_bytes, packed = 1 << 50, False

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def read(self, start: int, n_bytes: int) -> bytes:
        return self._raw[start : start + n_bytes]


def read(raw: bytes) -> FileHeaders:
    """Read a header as the guard does; what it would refuse has an image all the same."""
    try:
        hdus = scan_layout(Bytes(raw), LIMITS, "a.fits")
    except BadFileError:
        known = Cards.at_start_of(raw)
        if known is None:
            at = next(i for i in range(0, len(raw), CARD) if raw[i : i + 8] == b"END     ")
            known = Cards.of_new_layout(raw[:at])
        return FileHeaders((HduHeader(0, known, (20, 30)),), "")
    return FileHeaders((HduHeader(0, hdus[0].cards, hdus[0].shape or (20, 30)),), "")


def start(raw: bytes) -> FileStart:
    """How a whole file with this header begins."""
    try:
        end = scan_layout(Bytes(raw), LIMITS, "a.fits")[0].end
    except BadFileError:
        end = len(raw)
    return raw, os.stat_result((0, 0, 0, 0, 0, 0, end, 0, 0, 0))


def told(*raws: bytes) -> dict[int, tuple[Told, str, str]]:
    """Return what files are by their series alone, the text of their headers and its digest."""
    runs = Series((), None, NOW).tell([*map(start, raws)], ["a.fits"] * len(raws))
    return {
        place: (run.told.one(i), changed_text(run.layout.text, run.changes[i]), run.digests[i])
        for run in runs
        for i, place in enumerate(run.places)
    }


def whole(found: Told) -> str:
    """Return an exposure told by its series as `translate` would, but for its origins."""
    values = found._asdict()
    base, doubts = values.pop("base"), values.pop("doubts")
    return repr((replace(base, **values, origins={}), dict(doubts)))


def translated(raw: bytes) -> list[FrameInfo] | str:
    try:
        return translate(read(raw), file_name="a.fits", now=NOW)
    except (BadFileError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        return repr(error)


def check(text: str, series: list[list[tuple[int, str]]]) -> None:
    headers = [changed(text, changes) for changes in series]
    cold, texts = [], []
    for raw in headers:
        forget_layouts()
        cold.append(repr(translated(raw)))
        texts.append(read(raw).text)

    forget_layouts()
    for raw, info, told_text in zip(headers * 2, cold * 2, texts * 2, strict=True):
        file = read(raw)
        kept = file.changes()

        assert repr(translated(raw)) == info
        assert file.text == told_text
        assert kept is None or changed_text(kept[0].text, kept[1]) == told_text
    for place, found in told(*headers, *reversed(headers)).items():
        check_told((*headers, *reversed(headers))[place], found)
    for raw in headers:
        if raw_told := told(raw):
            check_told(raw, raw_told[0])


def check_told(raw: bytes, found: tuple[Told, str, str]) -> None:
    """See that a file told with others is what it is alone."""
    alone, (file,) = translated(raw), read(raw).hdus
    one, text, digest = found
    assert isinstance(alone, list)
    assert whole(one) == repr((replace(alone[0], origins={}), alone[0].doubts))
    assert text == read(raw).text
    assert digest == header_digest(file.cards.raw_bytes + b"END")


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(series=st.lists(CHANGES, min_size=2, max_size=6))
def test_changed_cards_are_read_anew_and_no_others_matter(
    series: list[list[tuple[int, str]]],
) -> None:
    check(OURS, series)


@needs_shared
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=200)
@given(choice=st.integers(0, 10_000), series=st.lists(CHANGES, min_size=2, max_size=4))
def test_the_same_holds_of_every_real_header(
    choice: int, series: list[list[tuple[int, str]]]
) -> None:
    texts = real_texts()
    check(texts[sorted(texts)[choice % len(texts)]], series)


def test_frames_of_a_series_keep_their_own_values_beside_odd_ones() -> None:
    """Of many read at once some are odd: each of the others is told what its own header says."""

    def frame(number: int, form: str) -> bytes:
        at = f"2025-11-20T{number // 60:02}:{number % 60:02}:00.5"
        text = OURS.replace(
            "2025-11-20T23:00:00.5", at if form != "date" else "tomorrow evening.5xxx"
        )
        band = "RV"[number % 2]
        text = text.replace("'R       '", f"'{band}       '").replace("1.2", f"1.{number % 10}")
        if form == "airmass":
            text = text.replace(f" 1.{number % 10}", " high")
        return header_bytes(text.splitlines())

    forget_layouts()
    for number in range(6):
        translated(frame(number, ""))
    forms = ["" if i % 7 else ("date", "airmass", "cut")[i // 7 % 3] for i in range(60)]
    raws = [frame(i, form) for i, form in enumerate(forms)]
    raws = [raw[:400] if form == "cut" else raw for raw, form in zip(raws, forms, strict=True)]

    found = told(*raws)

    assert sorted(found) == [i for i, form in enumerate(forms) if not form]
    for place, one in found.items():
        check_told(raws[place], one)
        assert one[0].start_utc == datetime(2025, 11, 20, place // 60, place % 60, 0, 500_000, UTC)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(days=st.lists(st.integers(1, 28), min_size=4, max_size=8))
def test_series_is_told_once_its_form_is_known(days: list[int]) -> None:
    def on(day: int) -> bytes:
        return header_bytes(OURS.replace("2025-11-20", f"2025-11-{day:02}").splitlines())

    forget_layouts()
    for _ in range(3):
        translated(on(20))

    for day in days:
        found, _, _ = told(on(day))[0]
        assert found.start_utc == datetime(2025, 11, day, 23, 0, 0, 500_000, UTC)
        assert (found.base.kind, found.base.temp_c, found.airmass) == ("science", -20.0, 1.2)
