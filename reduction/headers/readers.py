"""What all writers share: exposure, band, gain, noise, saturation, temperature, binning, people."""

import math
import re
from functools import lru_cache
from typing import Final

from reduction.cards import Cards
from reduction.frameinfo import FrameKind, Origin
from reduction.headers.bands import canonical_band, is_open
from reduction.headers.draft import Draft
from reduction.headers.places import wcs_scale_arcsec
from reduction.headers.values import first_number, first_text, number_of, text_of
from reduction.headers.writer import Writer

_ELECTRON_GAIN_KEYWORDS = (
    "EGAIN", "CCDSENS", "EPERADU", "EPERDN", "CVF", "CAHA DET CCD1 CF", "ESO DET OUT1 CONAD",
)  # fmt: skip
_GAIN_KEYWORDS = ("GAIN", "T80S DET GAIN")
_SETTING_KEYWORDS = ("GAINRAW", "CAM-GAIN", "GAINSET", "ISO", "ISOSPEED", "SOFTGAIN")
_GAIN_RANGE = (0.05, 20.0)  # e-/ADU of every camera we have met
_NOISE_KEYWORDS = (
    "RDNOISE", "READNOIS", "READNOISE", "RON", "CCDRON", "RDNOIS1", "ESO DET OUT1 RON",
)  # fmt: skip
_SATURATION_KEYWORDS = ("SATURATE", "SATLEVEL", "SATURATN", "MAXLIN", "SATURAT")
_TEMPERATURE_KEYWORDS = (
    "CCD-TEMP", "CCDTEMP", "CCDATEMP", "TEMPERAT", "DET-TEMP", "DETTEMP", "CAMTEMP",
)  # fmt: skip
_SET_TEMPERATURE_KEYWORDS = ("SET-TEMP", "CCDSTEMP", "SETTEMP")
TEMPERATURE_KEYWORDS = (*_TEMPERATURE_KEYWORDS, *_SET_TEMPERATURE_KEYWORDS)
AIRMASS_KEYWORDS = ("AIRMASS", "SECZ", "AMSTART")
_KELVIN = 273.15
_HOTTEST_CELSIUS = 80.0  # a detector at more than this is given in kelvin
_BINNING_KEYWORDS = (
    ("XBINNING", "YBINNING"),
    ("CCDXBIN", "CCDYBIN"),
    ("CCDBINX", "CCDBINY"),
    ("DETXBIN", "DETYBIN"),
    ("CCDBIN1", "CCDBIN2"),
    ("XBIN", "YBIN"),
    ("ESO DET WIN1 BINX", "ESO DET WIN1 BINY"),
)
_PROPOSAL_KEYWORDS = (
    "PROPID", "PROPOSAL", "PROGID", "PROJID", "GEMPRGID", "GTCPRGID", "SEXPRID",
    "ESO OBS PROG ID", "PROPOSID",
)  # fmt: skip
_MODE_KEYWORDS = ("READOUTM", "READMODE", "CONFMODE", "CAM-MODE", "CCDSPEED", "RSPEED", "READ-SPD")
_SCALE_KEYWORDS = ("PIXSCALE", "SCALE", "SECPIX", "SECPIX1", "IM_SCALE", "INSTRSCL", "PIXSCAL1")
_COMBINE_KEYWORDS = ("NCOMBINE", "STACKCNT", "NCOMB", "SNAPSHOT")
_SCALE_RANGE = (0.01, 120.0)
_DRIVER = re.compile(r"ASCOM|EQMOD|ACP->|driver|simulator|INDI |\bmount\b", re.IGNORECASE)
_NO_BAND = frozenset({FrameKind.BIAS, FrameKind.DARK})
_TOP_OF = {8: 255.0, 16: 32767.0}
_TOP_OF_CONVERTER, _TOP_OF_RANGE = "top of the converter", "top of the stored range"
UNIDENTIFIED = "unidentified"


def read_camera(draft: Draft) -> None:
    """Set instrument and telescope; a mount driver's name is no telescope."""
    found = first_text(draft.cards, ("INSTRUME", "INSTRID"))
    if found:
        draft.put("instrument", found[1], found[0], "as it stands")
    else:
        draft.put("instrument", UNIDENTIFIED, "", "no instrument is named")
    telescope = text_of(draft.cards, "TELESCOP")
    if telescope and _DRIVER.search(telescope):
        draft.put("telescope", "", "TELESCOP", "a driver's name, not the telescope's")
    elif telescope:
        draft.put("telescope", telescope, "TELESCOP", "as it stands")


def read_exposure(draft: Draft, keywords: tuple[str, ...]) -> None:
    """Set the exposure in seconds; one that is negative is refused."""
    found = first_number(draft.cards, keywords)
    if found is None:
        return
    keyword, value = found
    if value < 0:
        draft.refuse("exptime_s", keyword, "none", "a negative exposure")
    elif "[ms]" in draft.cards.comment(keyword) or "millisec" in draft.cards.comment(keyword):
        draft.put("exptime_s", value / 1000, keyword, "milliseconds, by its comment")
    else:
        draft.put("exptime_s", value, keyword, "seconds")


def read_band(draft: Draft, keywords: tuple[str, ...]) -> None:
    """Set band and band_raw; a bias or a dark has no band, whatever the wheel said."""
    found = first_text(draft.cards, keywords)
    if found is None:
        return
    keyword, raw = found
    if is_open(raw):  # a second wheel may hold the filter
        for number in "1234":
            other = text_of(draft.cards, f"FILTER{number}")
            if other and not is_open(other) and f"FILTER{number}" != keyword:
                keyword, raw = f"FILTER{number}", other
                break
    draft.put("band_raw", raw, keyword, "as it stands")
    if draft.get("kind") in _NO_BAND:
        return
    if raw.isdigit():
        draft.put("band", raw, keyword, "as it stands", "a wheel code, not a band")
    else:
        draft.put("band", canonical_band(raw), keyword, "one spelling for each band")


def _gain_by_comment(comment: str) -> bool:
    lowered = comment.lower()
    return "e-" in lowered or "electron" in lowered or "e/adu" in lowered


def read_gain(draft: Draft, writer: Writer) -> None:
    """Set the gain in e-/ADU, the camera's gain setting and its offset setting."""
    found = first_number(draft.cards, _ELECTRON_GAIN_KEYWORDS)
    if found and _GAIN_RANGE[0] <= found[1] <= _GAIN_RANGE[1]:
        draft.put("gain_e_per_adu", found[1], found[0], "electrons per ADU")
    plain = first_number(draft.cards, _GAIN_KEYWORDS)
    if plain is not None:
        _read_plain_gain(draft, writer, plain[0], plain[1])
    setting = first_number(draft.cards, _SETTING_KEYWORDS)
    if setting and draft.get("gain_setting") is None:
        draft.put("gain_setting", setting[1], setting[0], "a setting of the camera")
    offset = first_number(draft.cards, ("OFFSET", "BLKLEVEL", "BRIGHTNESS"))
    if offset:
        draft.put("offset_setting", offset[1], offset[0], "a setting of the camera")


def _read_plain_gain(draft: Draft, writer: Writer, keyword: str, value: float) -> None:
    """Read GAIN: electrons per ADU or a setting, by writer, comment and size, in this order."""
    electrons = writer.gain == "electrons"
    if writer.gain == "unsaid":
        electrons = _gain_by_comment(draft.cards.comment(keyword))
    if not electrons and writer.gain == "setting":
        draft.put("gain_setting", value, keyword, "this writer's GAIN is a setting")
        return
    if draft.get("gain_e_per_adu") is not None:
        return
    if not _GAIN_RANGE[0] <= value <= _GAIN_RANGE[1]:
        if value > _GAIN_RANGE[1] and not electrons:
            draft.put("gain_setting", value, keyword, "too large for e-/ADU: a setting")
        draft.refuse("gain_e_per_adu", keyword, "none", f"{value:g} e-/ADU is no gain of a camera")
        return
    doubt = None if electrons else "nothing says that GAIN is in e-/ADU"
    draft.put("gain_e_per_adu", value, keyword, "GAIN in e-/ADU", doubt)


def read_noise(draft: Draft) -> None:
    """Set the read noise in electrons."""
    found = first_number(draft.cards, _NOISE_KEYWORDS)
    if found and 0 < found[1] < 1000:
        draft.put("read_noise_e", found[1], found[0], "electrons")


def _top_of(cards: Cards) -> tuple[int, float | None]:
    """Return the bits of a stored value and the highest value it can stand for, ADU."""
    bitpix = cards.get("ZBITPIX", cards.get("BITPIX"))
    zero, scale = cards.get("BZERO", 0), cards.get("BSCALE", 1)
    if not isinstance(bitpix, int):
        return 0, None
    top = _TOP_OF.get(bitpix)
    if top is None or scale != 1 or not isinstance(zero, int | float) or not math.isfinite(zero):
        return bitpix, None
    return bitpix, top + float(zero)


def tells_saturation(origin: Origin) -> bool:
    """Tell whether a saturation level is one somebody told, not the top of what can be stored."""
    return origin.rule not in (_TOP_OF_CONVERTER, _TOP_OF_RANGE)


def read_saturation(draft: Draft, writer: Writer, own: Cards) -> None:
    """Set the bits of the converter and the level (ADU) at and above which a pixel is saturated.

    Parameters
    ----------
    draft : Draft
        Gets them.
    writer : Writer
        May know the converter.
    own : Cards
        Of the HDU that holds the array.
    """
    bitpix, top = _top_of(own)
    depth = first_number(draft.cards, ("BITDEPTH", "ADCBITS", "BITS"))
    bits = int(depth[1]) if depth and 1 <= depth[1] <= 32 else writer.bits
    if bits:
        draft.put("bits", bits, depth[0] if depth else "", "of the converter")
    elif bitpix > 0:
        draft.put("bits", bitpix, "BITPIX", "of the stored values")
    found = first_number(draft.cards, _SATURATION_KEYWORDS)
    if found and found[1] > 0:
        level, keyword, doubt = found[1], found[0], None
        if top is not None and level > top:
            level, doubt = top, f"{keyword} is above what the file can hold"
        draft.put("saturation_adu", level, keyword, "ADU", doubt)
    elif bits and bits < bitpix:
        doubt = None if writer.bits else "unless its values are shifted up to fill 16 bits"
        draft.put("saturation_adu", float(2**bits - 1), "", _TOP_OF_CONVERTER, doubt)
    elif top is not None:
        draft.put("saturation_adu", top, "BITPIX", _TOP_OF_RANGE)


def _celsius(draft: Draft, keyword: str, value: float, kelvin: bool) -> tuple[float, str | None]:
    if kelvin or "kelvin" in draft.cards.comment(keyword).lower():
        return value - _KELVIN, None
    if value > _HOTTEST_CELSIUS:
        return value - _KELVIN, "taken for kelvin: no detector is so hot"
    return value, None


# What controllers write where they read no sensor. Liquid nitrogen cools to -196, and detectors
# do run at -100 and below, so only these very numbers are refused.
_NO_TEMPERATURES: Final = frozenset({-99.0, -999.0, -9999.0})


def read_temperature(draft: Draft, writer: Writer) -> None:
    """Set the detector's temperature and set point, degrees Celsius; -1 kelvin means none."""
    for name, keywords in (
        ("temp_c", _TEMPERATURE_KEYWORDS),
        ("temp_set_c", _SET_TEMPERATURE_KEYWORDS),
    ):
        found = first_number(draft.cards, keywords)
        if found is None:
            continue
        value, doubt = _celsius(draft, found[0], found[1], writer.kelvin)
        if found[1] in _NO_TEMPERATURES:
            draft.put(name, None, found[0], f"{found[1]:g} stands for no temperature")
        elif value >= -_KELVIN:
            draft.put(name, round(value, 6), found[0], "degrees Celsius", doubt)


@lru_cache(maxsize=256)
def _binning_text(text: str) -> tuple[int, int] | None:
    parts = [part for part in re.split(r"[\sxX*,]+", text.strip()) if part]
    if len(parts) == 2 and all(part.isdigit() and 0 < int(part) < 100 for part in parts):
        return int(parts[0]), int(parts[1])
    return None


def read_binning(draft: Draft) -> None:
    """Set the binning in columns and rows."""
    for keyword in ("CCDSUM", "BINNING"):
        both = _binning_text(draft.cards.text(keyword)) if keyword in draft.cards else None
        if both:
            draft.put("binning_x", both[0], keyword, "columns, rows")
            draft.put("binning_y", both[1], keyword, "columns, rows")
            return
    for x_keyword, y_keyword in _BINNING_KEYWORDS:
        x, y = number_of(draft.cards, x_keyword), number_of(draft.cards, y_keyword)
        if x is not None and y is not None and 1 <= x < 100 and 1 <= y < 100:
            draft.put("binning_x", int(x), x_keyword, "columns")
            draft.put("binning_y", int(y), y_keyword, "rows")
            return


def read_scale(draft: Draft) -> None:
    """Set the pixel scale (arcsec): WCS, stated, else pixel size over focal length."""
    scale = wcs_scale_arcsec(draft.cards)
    if scale is not None:
        draft.put("pixel_scale_arcsec", scale, "CTYPE1", "of the WCS")
        return
    found = first_number(draft.cards, _SCALE_KEYWORDS)
    if found and _SCALE_RANGE[0] <= found[1] <= _SCALE_RANGE[1]:
        draft.put("pixel_scale_arcsec", found[1], found[0], "stated")
        return
    size, length = number_of(draft.cards, "XPIXSZ"), number_of(draft.cards, "FOCALLEN")
    if size and length and size > 0 and length > 0:
        doubt = None
        binned = "binning" in draft.cards.comment("XPIXSZ")
        if draft.get("binning_x") not in (None, 1) and not binned:
            doubt = "writers disagree whether XPIXSZ is binned"
        value = math.degrees(size / length / 1000) * 3600
        draft.put("pixel_scale_arcsec", value, "XPIXSZ", "pixel size over FOCALLEN", doubt)


def read_people(draft: Draft) -> None:
    """Set object, proposal, observer and read-out mode."""
    cards = draft.cards
    for name, keywords in (
        ("object_name", ("OBJECT", "OBJNAME", "TARGNAME", "ESO OBS TARG NAME", "FIELD")),
        ("proposal_code", _PROPOSAL_KEYWORDS),
        ("observer", ("OBSERVER",)),
        ("readout_mode", _MODE_KEYWORDS),
    ):
        text = first_text(cards, keywords)
        if text:
            draft.put(name, text[1], text[0], "as it stands")


def read_airmass(draft: Draft) -> None:
    """Set the airmass the header states."""
    airmass = first_number(draft.cards, AIRMASS_KEYWORDS)
    if airmass and airmass_of(airmass[1]) is not None:
        draft.put("airmass", airmass[1], airmass[0], "as it stands")


def airmass_of(value: float | None) -> float | None:
    """Return an airmass, None where a number is none."""
    return value if value is not None and 0.99 <= value < 100 else None


def read_colour(draft: Draft) -> None:
    """Set the Bayer pattern of a colour sensor's raw mosaic."""
    pattern = text_of(draft.cards, "BAYERPAT") or text_of(draft.cards, "COLORTYP")
    raw = draft.get("band_raw")
    if pattern and re.fullmatch("[RGB]{4}", pattern.upper()):
        draft.put("bayer_pattern", pattern.upper(), "BAYERPAT", "rows as stored")
    elif raw and re.fullmatch("[RGB]{4}", raw):
        draft.put("bayer_pattern", raw, "FILTER", "a pattern for a filter")
    if draft.get("bayer_pattern") and draft.get("band") is None:
        draft.put("band", draft.get("bayer_pattern"), "BAYERPAT", "a colour sensor without filter")


def read_pedestal(draft: Draft) -> None:
    """Set the level that was added to the pixels and must come off; MaxIm gives it negative."""
    pedestal = number_of(draft.cards, "PEDESTAL")
    if pedestal:
        draft.put("pedestal_adu", abs(pedestal), "PEDESTAL", "to be taken off, whatever its sign")


def read_history(draft: Draft) -> None:
    """Set what was done to the pixels already, how many frames they hold, and the level."""
    found = first_number(draft.cards, _COMBINE_KEYWORDS)
    if found and 1 < found[1] < 1_000_000:
        draft.put("ncombine", int(found[1]), found[0], "frames combined")
    done = _done(draft)
    if done:
        draft.put("done", frozenset(done), "", "calibrations the header says were applied")
    combined = draft.cards.get("COMBINED") is True or draft.get("ncombine") is not None
    made = draft.cards.text("EXPID").lower().startswith("created_by")
    if draft.get("kind") in (FrameKind.BIAS, FrameKind.DARK, FrameKind.FLAT):
        if combined or made:
            keyword = "COMBINED" if "COMBINED" in draft.cards else "EXPID" if made else "NCOMBINE"
            draft.put("level", 1, keyword, "a combined calibration")
    elif {"bias", "flat"} <= done:
        draft.put("level", 2, "", "bias and flat were applied before it came")


_CALSTAT = {"B": {"bias"}, "D": {"bias", "dark"}, "F": {"flat"}}
_DONE_KEYWORDS = {
    "ZEROCOR": {"bias"},
    "DARKCOR": {"bias", "dark"},
    "FLATCOR": {"flat"},
    "GSP_BIAS": {"bias"},
    "GSP_FLAT": {"flat"},
}
_NOT_DONE = frozenset({"none", "no", "n/a", "0", "f", "false", "omit", "undone"})
_DONE_PHRASES = (
    (re.compile(r"bias (corrected|subtract)", re.IGNORECASE), {"bias"}),
    (re.compile(r"dark (corrected|subtract)", re.IGNORECASE), {"bias", "dark"}),
    (re.compile(r"flat (corrected|field )|\bFlat=\S", re.IGNORECASE), {"flat"}),
    (re.compile(r"^\s*aligned img\b", re.IGNORECASE), {"registered"}),
)


@lru_cache(maxsize=512)
def _phrases_done(lines: tuple[str, ...]) -> frozenset[str]:
    done: set[str] = set()
    for line in lines:
        for pattern, what in _DONE_PHRASES:
            if pattern.search(line):
                done |= what
    return frozenset(done)


def _done(draft: Draft) -> set[str]:
    cards = draft.cards
    done: set[str] = set()
    for letter in cards.text("CALSTAT").upper():
        done |= _CALSTAT.get(letter, set())
    for keyword in cards.present(tuple(_DONE_KEYWORDS)):
        said = cards.text(keyword).strip().lower()
        if said and said not in _NOT_DONE:
            done |= _DONE_KEYWORDS[keyword]
    lines = (*cards.commentary("HISTORY"), *cards.commentary("COMMENT"))
    return done | _phrases_done(lines)
