"""What frames are taken for."""

from pathlib import Path

import pytest

from reduction.fitsio import read_headers
from reduction.frameinfo import FrameInfo, FrameKind
from reduction.headers import translate
from reduction.headers.kinds import flat_source_of, kind_of_word, name_says, names_say
from tests.reduction.headers.texts import card, write_image

LAMPS = ("LAMP_HGA", "LAMP_NE", "LAMP_QUA", "LAMP_DOM")


def info_of(tmp_path: Path, *cards: str, name: str = "frame.fits") -> FrameInfo:
    path = write_image(tmp_path / name, *cards)
    (info,) = translate(read_headers(path), file_name=name)
    return info


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (FrameKind.BIAS, ["BIAS", "Bias Frame", "bias", "zero", "ZERO", "BIAS frame", "[bias]"]),
        (FrameKind.DARK, ["DARK", "Dark Frame", "DARKFLAT"]),
        (
            FrameKind.FLAT,
            ["FLAT", "Flat Frame", "Flat Field", "SKYFLAT", "sky flat", "dome flat", "LAMPFLAT"]
            + ["DFLAT", "FLAT,LAMP", "FLAT,SKY", "FLATON", "PANELFLAT", "LAMP-FLAT"],
        ),
        (
            FrameKind.SCIENCE,
            ["LIGHT", "Light Frame", "Light", "OBJECT", "object", "EXPOSE", "SCIENCE", "SNAPSHOT"]
            + ["TARGET", "SPECTRUM", "EXPERIMENTAL", "Tricolor Image"],
        ),
        (FrameKind.STANDARD, ["STANDARD", "STD", "STD,SLIT"]),
        (FrameKind.ARC, ["ARC", "COMP", "WAVE,LAMP", "WAVE"]),
        (FrameKind.FOCUS, ["FOCUS"]),
        (FrameKind.POINTING, ["pointing"]),
        (FrameKind.GUIDE, ["GUIDE"]),
        (FrameKind.TEST, ["TRAILED", "test"]),
        (None, ["FK5", "SPECTROSCOPIC", "1", ""]),
    ],
)
def test_every_writers_word_has_its_kind(kind: FrameKind | None, words: list[str]) -> None:
    assert {kind_of_word(word) for word in words} == {kind}


@pytest.mark.parametrize(
    ("text", "source"),
    [("SKYFLAT", "sky"), ("dome flat", "dome"), ("FLAT,LAMP", "lamp"), ("PANELFLAT", "panel")],
)
def test_word_for_a_flat_tells_what_lit_it(tmp_path: Path, text: str, source: str) -> None:
    assert flat_source_of(text) == source
    assert info_of(tmp_path, card("OBSTYPE", text)).flat_source == source


def test_flat_that_does_not_say_what_lit_it_has_no_source(tmp_path: Path) -> None:
    assert info_of(tmp_path, card("OBSTYPE", "FLAT")).flat_source is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("flat-expos23s-Neg5-Vis.00000000.FIT", "a flat"),
        ("FlatDither00", "a flat"),
        ("L2-arc-hg-10.FIT", "an arc"),
        ("ngc1566_r_001.fits", None),
        ("biased_title_arcturus_darkness.fits", None),
    ],
)
def test_words_in_a_name_are_whole_words(name: str, says: str | None) -> None:
    assert name_says(name) == says
    assert names_say([name, "", "bias.fits", name]) == [says, None, "a bias", says]
    assert names_say([]) == []


def test_dark_of_no_exposure_is_a_bias_and_a_short_one_is_not(tmp_path: Path) -> None:
    dark = card("IMAGETYP", "Dark Frame")

    assert info_of(tmp_path, dark, card("EXPTIME", 1e-32)).kind == FrameKind.BIAS
    assert info_of(tmp_path, dark, card("EXPTIME", 0)).kind == FrameKind.BIAS
    assert info_of(tmp_path, dark, card("EXPTIME", 0.000032)).kind == FrameKind.DARK
    assert info_of(tmp_path, dark).kind == FrameKind.DARK


def test_bias_has_no_band_whatever_the_wheel_said(tmp_path: Path) -> None:
    info = info_of(tmp_path, card("IMAGETYP", "Bias Frame"), card("FILTER", "Visible"))

    assert (info.band, info.band_raw) == (None, "Visible")


def test_combined_calibration_of_another_program_is_a_master(tmp_path: Path) -> None:
    bias = card("IMAGETYP", "BIAS")

    assert info_of(tmp_path, bias, card("COMBINED", True)).level == 1
    assert info_of(tmp_path, bias, card("NCOMBINE", 25)).ncombine == 25
    assert info_of(tmp_path, bias, card("NCOMBINE", 25)).level == 1
    assert info_of(tmp_path, bias).level == 0


@pytest.mark.parametrize("text", ["Master Bias", "masterbias", "MASTER BIAS FRAME", "Superbias"])
def test_frame_that_calls_itself_a_master_is_one(tmp_path: Path, text: str) -> None:
    info = info_of(tmp_path, card("IMAGETYP", text))

    assert (info.kind, info.level) == (FrameKind.BIAS, 1)


@pytest.mark.parametrize(
    ("calstat", "done", "level"),
    [
        ("", set(), 0),
        ("B", {"bias"}, 0),
        ("BD", {"bias", "dark"}, 0),
        ("F", {"flat"}, 0),
        ("BDF", {"bias", "dark", "flat"}, 2),
    ],
)
def test_what_was_done_before_is_kept(
    tmp_path: Path, calstat: str, done: set[str], level: int
) -> None:
    info = info_of(tmp_path, card("IMAGETYP", "LIGHT"), card("CALSTAT", calstat))

    assert set(info.done) == done
    assert info.level == level


@pytest.mark.parametrize(
    ("obstype", "lamp", "mode", "kind"),
    [
        ("FOCUS", "LAMP_HGA", "400 m1", FrameKind.ARC),
        ("OBJECT", "LAMP_NE", "400 m1", FrameKind.ARC),
        ("FOCUS", "LAMP_DOM", "Imaging", FrameKind.FOCUS),
        ("FOCUS", "LAMP_HGA", "Imaging", FrameKind.FOCUS),
        ("SPECTRUM", None, "400 m1", FrameKind.SCIENCE),
        ("LAMPFLAT", "LAMP_QUA", "400 m1", FrameKind.FLAT),
    ],
)
def test_lamps_of_goodman_tell_its_kind(
    tmp_path: Path, obstype: str, lamp: str | None, mode: str, kind: FrameKind
) -> None:
    cards = [card("INSTRUME", "Goodman Spectro"), card("OBSTYPE", obstype), card("WAVMODE", mode)]
    cards += [card("GRATING", "<NO GRATING>" if mode == "Imaging" else "SYZY_400")]
    cards += [card(name, "TRUE" if name == lamp else "FALSE") for name in LAMPS]

    assert info_of(tmp_path, *cards, card("OBJECT", "x")).kind == kind


def test_object_of_goodman_with_a_flat_lamp_on_is_doubted(tmp_path: Path) -> None:
    cards = [card("INSTRUME", "Goodman Spectro"), card("OBSTYPE", "OBJECT"), card("OBJECT", "x")]

    assert "LAMP_QUA" in str(info_of(tmp_path, *cards, card("LAMP_QUA", "TRUE")).kind_doubt)
