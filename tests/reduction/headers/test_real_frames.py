"""Every real frame gets its true kind and setting, by its header or by the site's profiles."""

import csv
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from reduction.camera import Section
from reduction.errors import BadFileError
from reduction.fitsio import open_exposure, read_headers
from reduction.frameinfo import FrameInfo, FrameKind
from reduction.headers import translate
from tests.realdata import SHARED, needs_shared, shared
from tests.reduction.headers.site_profiles import site_profiles

NOW = datetime(2026, 1, 1, tzinfo=UTC)

# The answer sheet's words, and what they are here: kind, level.
TRUE_KINDS = {
    "science": (FrameKind.SCIENCE, 0),
    "science (already flat-fielded)": (FrameKind.SCIENCE, 0),
    "science (registered)": (FrameKind.SCIENCE, 0),
    "science (Bayer mosaic RGGB)": (FrameKind.SCIENCE, 0),
    "science (sky offset)": (FrameKind.SCIENCE, 0),
    "science (raw, 4 amplifiers)": (FrameKind.SCIENCE, 0),
    "science spectrum": (FrameKind.SCIENCE, 0),
    "standard star spectrum": (FrameKind.STANDARD, 0),
    "bias": (FrameKind.BIAS, 0),
    "dark": (FrameKind.DARK, 0),
    "flat": (FrameKind.FLAT, 0),
    "spectral flat": (FrameKind.FLAT, 0),
    "spectral flat (tungsten)": (FrameKind.FLAT, 0),
    "arc": (FrameKind.ARC, 0),
    "arc (Xe)": (FrameKind.ARC, 2),  # the observatory reduced it
    "arc (HgArNe focus frame)": (FrameKind.ARC, 0),
    "master bias": (FrameKind.BIAS, 1),
    "master dark": (FrameKind.DARK, 1),
    "master flat": (FrameKind.FLAT, 1),
    "normalised master flat": (FrameKind.FLAT, 1),
}
TRUE_SETTINGS = {
    "": None,
    "g_band": "g",
    "hg setting": "hg",
    "neon/red setting": "neon",
}
# Kinds that only a profile settles: whatever calls itself light and is something else.
UNTOLD = ("flat-expos", "L2-arc", "L2-flat", "L2-star", "L2-sci", "flat_0", "v_slit_red")


def answers() -> list[dict[str, str]]:
    if SHARED is None:
        return []
    with shared("data", "truth", "frames.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def frame(relative: str, *, with_profiles: bool = False) -> FrameInfo:
    path = shared("data", relative)
    profiles = site_profiles() if with_profiles else ()
    found = translate(read_headers(path), file_name=path.name, profiles=profiles, now=NOW)
    assert len(found) == 1
    return found[0]


@needs_shared
@pytest.mark.parametrize("answer", answers() or [{"path": ""}], ids=lambda a: Path(a["path"]).name)
def test_real_frame_has_its_true_kind_and_setting_with_the_sites_profiles(
    answer: dict[str, str],
) -> None:
    info = frame(answer["path"], with_profiles=True)

    assert (info.kind, info.level) == TRUE_KINDS[answer["true_kind"]]
    setting = answer["true_filter_or_setting"]
    assert info.band == TRUE_SETTINGS.get(setting, setting)
    assert info.kind_doubt is None
    assert info.unusable is None


@needs_shared
@pytest.mark.parametrize("answer", answers() or [{"path": ""}], ids=lambda a: Path(a["path"]).name)
def test_header_alone_gives_the_true_kind_or_a_doubt(answer: dict[str, str]) -> None:
    info = frame(answer["path"])

    if Path(answer["path"]).name.startswith(UNTOLD):
        assert info.kind == FrameKind.SCIENCE
        assert info.kind_doubt
    else:
        assert (info.kind, info.level) == TRUE_KINDS[answer["true_kind"]]
        assert info.kind_doubt is None


@needs_shared
@pytest.mark.parametrize("answer", answers() or [{"path": ""}], ids=lambda a: Path(a["path"]).name)
def test_numbers_agree_with_the_answer_sheet(answer: dict[str, str]) -> None:
    info = frame(answer["path"])

    assert info.exptime_s == pytest.approx(float(answer["exptime"]))
    if answer["gain"] and float(answer["gain"]) > 0:
        assert info.gain_e_per_adu == pytest.approx(float(answer["gain"]))
    if answer["rdnoise"]:
        assert info.read_noise_e == pytest.approx(float(answer["rdnoise"]))
    if answer["binning"] and "402" not in answer["instrume"]:  # its rows are binned by two
        assert info.binning_x == info.binning_y == int(answer["binning"])


@needs_shared
def test_every_exposure_opens_with_the_shape_its_header_promises() -> None:
    for answer in answers():
        info = frame(answer["path"])
        exposure = open_exposure(shared("data", answer["path"]), info)

        for amplifier in info.amplifiers:
            plane = exposure.planes[amplifier.hdu]
            assert plane[amplifier.data.y0 : amplifier.data.y1].shape[0] == amplifier.data.shape[0]
            assert plane.shape[1] >= amplifier.data.x1
            assert amplifier.target.x1 <= info.nx


@needs_shared
def test_amplifiers_of_a_sinistro_frame_become_one_frame() -> None:
    info = frame("RAW/2021-10-07/mef_raw_test_frame.fits")

    assert (info.nx, info.ny, info.hdus) == (1024, 1024, (1, 2, 3, 4))
    assert [a.gain_e_per_adu for a in info.amplifiers] == [6.42, 6.23, 6.27, 6.26]
    assert [(a.flip_x, a.flip_y) for a in info.amplifiers] == [
        (False, True),
        (False, False),
        (True, False),
        (True, True),
    ]
    assert [a.target for a in info.amplifiers] == [
        Section(512, 1024, 0, 512),
        Section(0, 512, 0, 512),
        Section(0, 512, 512, 1024),
        Section(512, 1024, 512, 1024),
    ]
    assert {a.overscan for a in info.amplifiers} == {Section(0, 512, 519, 540)}
    assert {a.read_noise_e for a in info.amplifiers} == {7.0}
    assert info.gain_e_per_adu == pytest.approx(6.295)


@needs_shared
def test_cafos_values_come_from_its_own_keywords_and_the_full_chips_sections_are_ignored() -> None:
    info = frame("RAW/2021-03-28/uamA_0031.fits")

    assert (info.band, info.gain_e_per_adu, info.read_noise_e) == ("V", 1.43, 7.4)
    assert info.amplifiers[0].data == Section(0, 1024, 0, 1024)
    assert info.amplifiers[0].overscan is None
    assert info.object_name == "NCG2420 V"
    assert info.ra_deg == pytest.approx(114.916033)
    assert "of the date" in info.doubts["ra_deg"]
    assert info.night == date(2021, 3, 28)


@needs_shared
def test_local_time_of_microobservatory_is_brought_to_utc() -> None:
    info = frame("RAW/2017-12-19/HATP-32171220013343.FITS")

    assert info.start_utc == datetime(2017, 12, 20, 1, 33, 43, 317000, tzinfo=UTC)
    assert info.night == date(2017, 12, 19)
    assert info.longitude_deg == pytest.approx(-110.88)
    assert info.saturation_adu == 4095
    assert "pointing" in info.doubts["ra_deg"]


@needs_shared
def test_saao_frame_joins_its_bare_date_with_ut_and_ignores_untrimmed_sections() -> None:
    info = frame("RAW/2013-08-03/AKB13475I0096.fits")

    assert info.start_utc is not None
    assert info.start_utc.date() == date(2013, 8, 3)
    assert (info.start_utc.hour, info.start_utc.minute) != (0, 0)
    assert (info.nx, info.ny) == (512, 512)
    assert info.band == "58"
    assert "wheel code" in info.doubts["band"]
    assert info.done == {"flat"}


@needs_shared
def test_header_wins_over_the_folder_about_the_night() -> None:
    assert frame("RAW/2013-06-28/AKB13475I0003.fits").night == date(2013, 6, 27)


@needs_shared
def test_goodman_focus_frame_with_line_lamps_is_an_arc_with_the_archives_values() -> None:
    info = frame("RAW/2019-05-15/sp_400m1.fits")

    assert (info.kind, info.technique, info.band) == (FrameKind.ARC, "spectroscopy", "400 m1")
    assert info.amplifiers[0].overscan == Section(1, 400, 5, 49)
    assert (info.nx, info.ny) == (4060, 399)
    expected = {
        "obstype": "FOCUS",
        "filter": "<NO FILTER>",
        "filter_2": "<NO FILTER>",
        "grating": "SYZY_400",
        "slit": '0.45" long slit',
        "cam_targ": "11.600000",
        "grt_targ": "5.800000",
        "obsra": "17:23:60.000",
        "obsdec": "-26:21:11.999",
        "gain": "1.450000",
        "rdnoise": "5.270000",
        "roi": "user-defined",
        "wavmode": "400 m1",
        "proposal_id": "",
        "observation_id": None,
        "configuration_id": None,
        "block_id": None,
        "image_id": None,
    }
    assert {name: info.extras[name] for name in expected} == expected


def odd_files() -> Iterator[Path]:
    if SHARED is not None:
        yield from sorted(p for p in shared("data", "odd").rglob("*") if p.is_file())


# What becomes of each odd file: the code it is refused with, or kind and size.
ODD = {
    "TIC-367710318-tiny.fit.bz2": "compression",
    "wasp-10-tiny.fit.bz2": "compression",
    "lzw.fits.Z": "compression",
    "all-images.cal_not_a_fits.fits": "not_fits",
    "bitpix_says_-32.fits": "truncated",
    "empty.fits": "empty",
    "truncated.fits.gz": "truncated",
    "truncated_data.fits": "truncated",
    "truncated_header.fits": "truncated_header",
    "group_invalid.fits": "no_image",
    "history_header.fits": "no_image",
    "verify.fits": "no_image",
    "zerowidth.fits": "no_image",
    "blank.fits": [("unknown", 1, 1)],
    "checksum_false.fits": [("science", 30, 40)],
    "compressed_float_bzero.fits": [("unknown", 3, 1)],
    "compressed_with_nan.fits": [("unknown", 12, 12)],
    "double_ext.fits": [("science", 5, 5)],
    "g014_naxis3.fits": [("unknown", 648, 486)],
    "m13_rice.fits": [("unknown", 300, 300)],
    "m42_bitpix8.fits": [("unknown", 1280, 1024)],
    "noheader.fits": [("unknown", 200, 200)],
    "o4sp040b0_raw.fits": [("unknown", 62, 44), ("unknown", 62, 44)],  # INHERIT is F
    "scale.fits": [("unknown", 20, 21)],
    "uint16.fit": [("science", 16, 16)],
    "uint16_missing_filter.fit": [("science", 16, 16)],
    "uint16_no_pointing.fit": [("science", 16, 16)],
}


@needs_shared
@pytest.mark.parametrize("path", list(odd_files()) or [Path()], ids=lambda p: p.name)
def test_odd_file_ends_in_a_clear_refusal_or_in_frames(path: Path) -> None:
    expected = ODD[path.name]
    if isinstance(expected, str):
        with pytest.raises(BadFileError) as refused:
            translate(read_headers(path), file_name=path.name, now=NOW)
        assert refused.value.code == expected
        assert str(refused.value).endswith(".")
        return

    found = translate(read_headers(path), file_name=path.name, now=NOW)

    assert [(info.kind.value, info.nx, info.ny) for info in found] == expected
    assert all(info.kind_doubt or info.kind != FrameKind.UNKNOWN for info in found)
    for info in found:
        exposure = open_exposure(path, info)
        assert exposure.planes[info.hdus[0]].shape == (info.ny, info.nx)
