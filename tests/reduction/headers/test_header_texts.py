"""Headers of real writers, and what their raw cards say, looked up card by card."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reduction.fitsio import read_headers
from reduction.frameinfo import FrameInfo, FrameKind
from reduction.headers import translate
from tests.realdata import needs_shared, shared
from tests.reduction.headers.texts import write_text

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def hours(h: float, m: float, s: float) -> float:
    return 15 * (h + m / 60 + s / 3600)


def degrees(d: float, m: float, s: float) -> float:
    return d + m / 60 + s / 3600


EXPECTED: dict[str, Mapping[str, object]] = {
    "apogee_maximdl_eaba": {
        "writer": "MaxIm DL",
        "kind": FrameKind.SCIENCE,
        "band": "Clear",
        "exptime_s": 60.0,
        "start_utc": utc("2015-12-27T06:26:24"),
        "night": "2015-12-26",
        "object_name": "eso085-030",
        "binning_x": 3,
        "binning_y": 3,
        "temp_c": -20.091654,
        "temp_set_c": -20.0,
        "latitude_deg": -degrees(31, 35, 48),
        "longitude_deg": -degrees(64, 32, 56),
        "telescope": "",
        "readout_mode": "Monochrome (Preflash)",
        "pixel_scale_arcsec": 206.264806 * 27 / 7475,
        "gain_e_per_adu": None,
        "done": frozenset({"registered"}),
        "level": 0,
    },
    "apt_photonfinder": {
        "writer": "Astro Photography Tool",
        "kind": FrameKind.SCIENCE,
        "exptime_s": 240.0,
        "start_utc": utc("2018-09-17T21:04:46"),
        "gain_e_per_adu": 1.00224268436432,
        "gain_setting": 120.0,
        "telescope": "",
        "instrument": "ZWO ASI294MC Pro",
        "ra_deg": hours(1, 35, 0),
        "dec_deg": degrees(30, 44, 25),
        "position_role": "target",
        "latitude_deg": 51.05,
        "longitude_deg": degrees(3, 41, 0),
        "temp_set_c": -15.0,
        "band": None,
        "doubted": {"start_utc"},  # its JD is four minutes on
    },
    "cafos_ca22_science": {
        "writer": "Calar Alto CAFOS",
        "kind": FrameKind.SCIENCE,
        "band": "V",
        "band_raw": "JohnsonV",
        "technique": "imaging",
        "exptime_s": 60.0,
        "start_utc": utc("2021-03-28T23:21:58"),
        "gain_e_per_adu": 1.43,
        "read_noise_e": 7.4,
        "saturation_adu": 65535.0,  # 180000 electrons are more than 16 bits hold
        "temp_c": None,  # -99 stands for it
        "airmass": 1.67645,
        "ra_deg": 114.916033,
        "dec_deg": 21.52593,
        "latitude_deg": 37.224,
        "longitude_deg": -2.5463,
        "elevation_m": 2168.0,
        "nx": 1024,
        "ny": 1024,
        "readout_mode": "normal",
        "doubted": {"ra_deg", "dec_deg", "start_utc"},
    },
    "ccdsoft_sbig_st402_spectrum": {
        "writer": "CCDSoft",
        "kind": FrameKind.SCIENCE,
        "exptime_s": 240.0,
        "gain_e_per_adu": 1.49,
        "binning_x": 1,
        "binning_y": 2,
        "pixel_scale_arcsec": None,  # FOCALLEN is 0
        "doubted": {"kind", "night"},
    },
    "ccdsoft_sbig_stl1001_dark": {
        "writer": "CCDSoft",
        "kind": FrameKind.DARK,
        "band": None,
        "band_raw": "Visible",
        "exptime_s": 300.0,
        "gain_e_per_adu": 2.06,
        "temp_set_c": -5.0,
        "start_utc": utc("2017-09-08T21:10:24.195"),
    },
    "ddoti_oan_h": {
        "writer": "OAN San Pedro Martir",
        "kind": FrameKind.FLAT,
        "band": "H",
        "exptime_s": 10.0,
        "gain_e_per_adu": 1.2,
        "gain_setting": 2.0,
        "saturation_adu": 17999.0,
        "proposal_code": "2012A-0008",
        "airmass": 1.277188266012399,
        "start_utc": utc("2019-09-04T02:13:38.209"),
        "nx": 1936,
        "ny": 843,
        "doubted": {"amplifiers", "night"},
    },
    "decam_cp_instcal": {  # an extension without its primary header
        "writer": "DECam",
        "kind": FrameKind.UNKNOWN,
        "gain_e_per_adu": (3.81369579385805 + 3.82827037013426) / 2,
        "position_role": "wcs",
        "doubted": {"kind"},
    },
    "decam_raw_lsst": {
        "writer": "DECam",
        "kind": FrameKind.SCIENCE,
        "band": "z",
        "exptime_s": 200.0,
        "start_utc": utc("2013-09-01T06:02:55.753848"),
        "night": "2013-08-31",
        "proposal_code": "2012B-0001",
        "longitude_deg": -70.81489,  # 70.8 "east", really west
        "latitude_deg": -30.16606,
        "elevation_m": 2215.0,
        "airmass": 1.57,
        "nx": 2048,
        "ny": 4096,
        "gain_e_per_adu": (4.59347726229 + 4.4014084507) / 2,
        "read_noise_e": (7.17960496096 + 7.01628521127) / 2,
        "saturation_adu": 43266.0,
        "doubted": set(),
    },
    "dwarflab_photonfinder": {
        "writer": "DWARFLAB",
        "kind": FrameKind.SCIENCE,
        "exptime_s": 15.0,
        "gain_e_per_adu": None,
        "gain_setting": 110.0,
        "binning_x": 2,
        "binning_y": 2,
        "bayer_pattern": "GBRG",
        "ra_deg": None,
        "start_utc": utc("2023-06-10T21:38:19.442"),
        "doubted": {"kind", "ra_deg", "night"},
    },
    "feder_aspen_cg16_acp": {
        "writer": "MaxIm DL",
        "kind": FrameKind.SCIENCE,
        "band": "r",
        "exptime_s": 90.0,
        "telescope": "",  # TELESCOP names a driver
        "instrument": "AspenCG16",
        "start_utc": utc("2018-08-23T09:00:21"),
        "night": "2018-08-22",
        "position_role": "wcs",
        "airmass": 1.407,
        "latitude_deg": degrees(46, 52, 0.408),
        "longitude_deg": -degrees(96, 27, 11.8008),
        "temp_c": -19.994213,
        "done": frozenset(),
        "nx": 200,
        "ny": 200,
        "doubted": set(),
    },
    "fli_proline_pl230_hd129184": {
        "writer": "NHAO MALLS",
        "kind": FrameKind.SCIENCE,
        "technique": "spectroscopy",
        "unusable": "It holds extracted spectra, not an image.",
        "level": 3,
        "exptime_s": 10.0,
        "ra_deg": hours(14, 44, 11.195),  # RA2000; RA is of 2017
        "dec_deg": degrees(18, 26, 43.2),
        "start_utc": utc("2017-02-13T20:17:55"),
        "temp_c": -40.0,
    },
    "gemini_gmos_s_ext0": {
        "writer": "Gemini",
        "kind": FrameKind.STANDARD,
        "technique": "spectroscopy",
        "band": "R400",
        "exptime_s": 90.0,
        "start_utc": utc("2019-08-08T00:42:27.4"),
        "night": "2019-08-07",
        "object_name": "LTT7379",
        "proposal_code": "GS-2019B-Q-305",
        "airmass": 1.086,
        "ra_deg": 279.108125,
        "dec_deg": -44.31025,
    },
    "gtc_osiris_longslit": {
        "writer": "GTC",
        "kind": FrameKind.SCIENCE,
        "technique": "spectroscopy",
        "band": "R1000B",
        "exptime_s": 900.0,
        "gain_e_per_adu": 0.95,
        "binning_x": 2,
        "binning_y": 2,
        "ra_deg": 199.35348276375,
        "longitude_deg": -degrees(17, 52, 39.5),
        "latitude_deg": degrees(28, 45, 43.2),
        "elevation_m": 2348.0,
        "proposal_code": "GTCMULTIPLE2K-20A",
        "start_utc": utc("2020-04-27T01:18:51.661"),
        "night": "2020-04-26",
        "doubted": {"start_utc"},  # MJD-OBS is 36 s on
    },
    "huntsman_flat": {
        "writer": "PANOPTES",
        "kind": FrameKind.SCIENCE,
        "band": "g",
        "exptime_s": 300.0,
        "gain_e_per_adu": 1.144744515419006,
        "gain_setting": 100.0,
        "bits": 12,
        "saturation_adu": 4095.0,
        "latitude_deg": -31.16,
        "longitude_deg": 149.13,
        "ra_deg": 64.6853303130116,
        "position_role": "mount",
        "night": "2021-01-12",
        "doubted": {"kind", "saturation_adu"},
    },
    "kmtnet_saao_v": {
        "writer": "KMTNet",
        "kind": FrameKind.SCIENCE,
        "band": "V",
        "exptime_s": 60.0,
        "gain_e_per_adu": 1.6,  # a string
        "read_noise_e": 6.6,
        "temp_c": -109.6,
        "airmass": 1.15,
        "longitude_deg": 360 - degrees(339, 11, 22),  # given west
        "latitude_deg": -degrees(32, 22, 42),
        "elevation_m": 1800.0,
        "ncombine": 13,
        "done": frozenset({"bias", "flat"}),
        "level": 2,
        "proposal_code": "NEO",
        "doubted": set(),
    },
    "lco_1m_sinistro_raw_mef_ext1": {
        "writer": "unknown",
        "kind": FrameKind.UNKNOWN,
        "gain_e_per_adu": 6.42,
        "binning_x": 2,
        "nx": 512,
        "ny": 512,
        "doubted": {"kind", "gain_e_per_adu"},
    },
    "lco_1m_sinistro_raw_mef_primary": {
        "writer": "LCO",
        "kind": FrameKind.SCIENCE,
        "band": "w",
        "exptime_s": 94.975,
        "instrument": "fa05",
        "telescope": "1m0-08",
        "gain_e_per_adu": None,  # 0.0
        "read_noise_e": 7.0,
        "readout_mode": "central_2k_2x2",
        "temp_c": -90.000671,
        "proposal_code": "LCO2021B-002",
        "start_utc": utc("2021-10-08T01:55:17.144"),
        "night": "2021-10-07",
        "latitude_deg": 30.679833,
        "longitude_deg": -104.015173,
        "elevation_m": 2030.0,
        "airmass": 1.1598302,
        "pixel_scale_arcsec": 0.77796,
    },
    "lick_kast_blue_arc": {
        "writer": "Lick Kast",
        "kind": FrameKind.ARC,  # OBSTYPE says object, its lamps are on
        "technique": "spectroscopy",
        "instrument": "kastb",
        "band": "452/3306",
        "exptime_s": 15.0,
        "gain_e_per_adu": None,
        "gain_setting": 1.0,  # an index
        "start_utc": utc("2018-09-03T01:02:25.62"),
        "nx": 2048,
        "ny": 350,
    },
    "liverpool_telescope_sprat_arc": {
        "writer": "Liverpool Telescope",
        "kind": FrameKind.ARC,
        "technique": "spectroscopy",
        "band": "red",
        "exptime_s": 10.0,
        "gain_e_per_adu": 2.45,
        "temp_c": 213.671 - 273.15,
        "temp_set_c": 213.15 - 273.15,
        "saturation_adu": 63037.0,
        "proposal_code": "JL18A03",
        "longitude_deg": -17.8792,  # its comment says west
        "start_utc": utc("2018-08-10T23:34:02.633"),
        "done": frozenset({"bias", "dark", "flat"}),
        "level": 2,
        "doubted": set(),
    },
    "maximdl_5_21_apogee_feder": {
        "writer": "MaxIm DL",
        "kind": FrameKind.SCIENCE,
        "band": "R",
        "exptime_s": 90.0,
        "done": frozenset({"bias", "dark", "flat"}),
        "level": 2,
        "ra_deg": hours(9, 2, 22),
        "dec_deg": degrees(49, 49, 9),
        "saturation_adu": None,  # floats
        "telescope": "FEDER",
    },
    "maximdl_6_16_feder": {
        "writer": "MaxIm DL",
        "kind": FrameKind.SCIENCE,
        "band": "B",
        "exptime_s": 90.0,
        "object_name": "ngc-6946",
        "saturation_adu": 65535.0,
        "longitude_deg": -degrees(97, 12, 12),
        "night": "2013-10-15",
        "level": 0,
    },
    "maximdl_photonfinder": {
        "writer": "MaxIm DL",
        "kind": FrameKind.SCIENCE,
        "band": "SII",
        "exptime_s": 300.0,
        "pedestal_adu": 100.0,
        "done": frozenset({"bias", "dark", "flat"}),
        "level": 2,
        "ra_deg": hours(18, 20, 48.12),
        "dec_deg": -degrees(16, 10, 58.8),
        "longitude_deg": degrees(149, 3, 52),
        "night": "2018-07-04",  # 14:03 UT is midnight there
    },
    "microobservatory": {
        "writer": "MicroObservatory",
        "kind": FrameKind.SCIENCE,
        "kind_doubt": None,
        "band": "Clear",
        "exptime_s": 60.0,
        "start_utc": utc("2017-12-20T08:36:12.023"),
        "night": "2017-12-19",
        "ra_deg": 31.312099,
        "dec_deg": 46.769087,
        "latitude_deg": 31.68,
        "longitude_deg": -110.88,
        "bits": 12,
        "saturation_adu": 4095.0,
        "temp_c": -3.15,
        "pixel_scale_arcsec": 5.21,
        "instrument": "Main",
        "telescope": "Cecilia",
        "doubted": {"ra_deg"},
    },
    "nina_photonfinder": {
        "writer": "N.I.N.A.",
        "kind": FrameKind.SCIENCE,
        "exptime_s": 30.0,
        "gain_e_per_adu": 1.00224268436432,
        "gain_setting": 120.0,
        "offset_setting": 30.0,
        "bayer_pattern": "RGGB",
        "ra_deg": None,  # zeros
        "object_name": "MarsM45",
        "start_utc": utc("2021-03-02T20:19:00.455"),
        "doubted": {"ra_deg", "night"},
    },
    "panoptes_canon": {
        "writer": "PANOPTES",
        "kind": FrameKind.SCIENCE,
        "kind_doubt": None,
        "band": "RGGB",
        "bayer_pattern": "RGGB",
        "exptime_s": 120.4,
        "temp_c": 11.0,  # a string with its unit
        "gain_e_per_adu": None,
        "gain_setting": 100.0,
        "ra_deg": 301.56439,
        "dec_deg": 44.456875,
        "longitude_deg": -155.58,
        "elevation_m": 3400.0,
        "night": "2016-09-08",
        "object_name": "KIC 8462852",
    },
    "saao_1m_ste3": {
        "writer": "SAAO",
        "kind": FrameKind.SCIENCE,
        "band": "58",
        "exptime_s": 500.039,
        "start_utc": utc("2013-07-26T18:45:27"),
        "gain_e_per_adu": 1.9,
        "read_noise_e": 5.0,
        "temp_c": 180.2 - 273.15,
        "airmass": 1.1,
        "ra_deg": hours(18, 15, 29),
        "dec_deg": -degrees(25, 17, 6),
        "done": frozenset({"flat"}),
        "level": 0,
        "doubted": {"band", "amplifiers", "night"},
    },
    "seestar_photonfinder": {
        "writer": "ZWO Seestar",
        "kind": FrameKind.UNKNOWN,
        "unusable": "It is a cube of 3 planes (a colour image, say), not one image.",
        "exptime_s": 10.0,
        "ncombine": 187,
        "gain_e_per_adu": None,
        "gain_setting": 80.0,
        "longitude_deg": 3.69361,
        "doubted": {"kind", "exptime_s"},
    },
    "sgp_fixed_wcs_photonfinder": {
        "writer": "Sequence Generator Pro",
        "kind": FrameKind.SCIENCE,
        "band": "HaOIII",
        "exptime_s": 30.0,
        "start_utc": utc("2020-05-30T00:22:49.096882"),
        "night": "2020-05-29",
        "gain_e_per_adu": 3.99000000953674,
        "gain_setting": 120.0,
        "offset_setting": 30.0,
        "pixel_scale_arcsec": 0.65415,
        "position_role": "wcs",
        "telescope": "",
        "latitude_deg": 51.05,
        "elevation_m": 10.0,
        "doubted": set(),
    },
    "soar_goodman_comp_400M1_HgArNe": {
        "writer": "SOAR Goodman",
        "kind": FrameKind.ARC,
        "technique": "spectroscopy",
        "band": "400 M1",
        "exptime_s": 1.0,
        "gain_e_per_adu": 1.48,
        "read_noise_e": 3.89,
        "unusable": "It is one-dimensional: a spectrum, not an image.",
        "level": 3,
        "done": frozenset({"bias", "flat"}),
        "proposal_code": "GHTS_ENGINEERING",
        "start_utc": utc("2021-07-21T14:58:16.243"),
        "ra_deg": hours(6, 1, 25.403),
    },
    "soar_goodman_imaging_g_SDSS": {
        "writer": "SOAR Goodman",
        "kind": FrameKind.FOCUS,
        "technique": "imaging",
        "band": "g",
        "exptime_s": 3.0,
        "gain_e_per_adu": 1.45,
        "read_noise_e": 5.27,
        "airmass": 1.66,
        "start_utc": utc("2019-05-15T22:16:55.809"),
        "ra_deg": hours(9, 5, 20.918),
        "dec_deg": degrees(22, 29, 3.598),
    },
}


def translated(name: str, folder: Path) -> FrameInfo:
    text = shared("data", "headers", f"{name}.hdr").read_text("latin-1")
    path = write_text(folder / "frame.fits", text)
    (info,) = translate(read_headers(path), file_name=path.name, now=NOW)
    return info


@needs_shared
@pytest.mark.parametrize("name", EXPECTED)
def test_real_header_translates_to_what_its_cards_say(name: str, tmp_path: Path) -> None:
    info = translated(name, tmp_path)

    for field, expected in EXPECTED[name].items():
        if field == "doubted":
            assert set(info.doubts) == expected
            continue
        found = getattr(info, field)
        if field == "night":
            found = str(found)
        if isinstance(expected, float):
            assert found == pytest.approx(expected, rel=1e-6), field
        else:
            assert found == expected, field


@needs_shared
def test_every_header_text_has_its_expectation() -> None:
    names = {path.stem for path in shared("data", "headers").glob("*.hdr")}

    assert names == set(EXPECTED)


@needs_shared
@pytest.mark.parametrize("name", EXPECTED)
def test_every_value_keeps_its_card_and_its_rule(name: str, tmp_path: Path) -> None:
    info = translated(name, tmp_path)

    for field, origin in info.origins.items():
        assert origin.rule
        assert len(origin.card) <= 80
        assert hasattr(info, field)
    for field in ("kind", "exptime_s", "start_utc", "gain_e_per_adu", "ra_deg", "band"):
        if getattr(info, field) is not None:
            assert field in info.origins
