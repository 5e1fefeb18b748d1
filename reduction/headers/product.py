"""Our own products: what they are and where they come from, as cards and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from reduction.camera import Amplifier, Section
from reduction.cards import Cards, FileHeaders, HduHeader, ProductCard
from reduction.errors import BadFileError
from reduction.exposure import Calibrated, Master, PlaneStats
from reduction.frameinfo import FrameInfo, FrameKind, Origin
from reduction.headers.sections import plane_shape
from reduction.headers.times import parse_moment

SOFTWARE = "Coelostat"
_RULE = "our own card"

# FrameInfo field, keyword, comment: written and read back as they are.
_FACTS: tuple[tuple[str, str, str], ...] = (
    ("instrument", "INSTRUME", "camera"),
    ("telescope", "TELESCOP", ""),
    ("technique", "TECHNIQU", "imaging or spectroscopy"),
    ("band", "BAND", "one spelling for each band"),
    ("band_raw", "BANDRAW", "as the raw header has it"),
    ("exptime_s", "EXPTIME", "[s] exposure of one raw frame"),
    ("object_name", "OBJECT", ""),
    ("ra_deg", "RA", "[deg] where the raw header says it points"),
    ("dec_deg", "DEC", "[deg] where the raw header says it points"),
    ("position_role", "POSROLE", "target, mount or wcs"),
    ("gain_e_per_adu", "RAWGAIN", "[e-/ADU] of the raw frame"),
    ("gain_setting", "GAINSET", "the camera's gain setting"),
    ("offset_setting", "OFFSET", "the camera's offset setting"),
    ("read_noise_e", "RDNOISE", "[e-] of a raw frame"),
    ("saturation_adu", "RAWSATUR", "[ADU] of the raw frame"),
    ("binning_x", "XBINNING", "columns"),
    ("binning_y", "YBINNING", "rows"),
    ("readout_mode", "READOUTM", "read-out mode"),
    ("bits", "BITDEPTH", "of the raw frame"),
    ("temp_c", "CCD-TEMP", "[deg C]"),
    ("temp_set_c", "SET-TEMP", "[deg C]"),
    ("airmass", "AIRMASS", "of the raw header"),
    ("proposal_code", "PROPID", ""),
    ("observer", "OBSERVER", ""),
    ("latitude_deg", "SITELAT", "[deg] north"),
    ("longitude_deg", "SITELONG", "[deg] east"),
    ("elevation_m", "SITEELEV", "[m]"),
    ("pixel_scale_arcsec", "PIXSCALE", "[arcsec] of the raw header"),
    ("flat_source", "FLATSRC", "what lit the flat"),
    ("bayer_pattern", "BAYERPAT", "of the colour sensor"),
)
_WHOLE = frozenset({"binning_x", "binning_y", "bits"})
_TEXTS = frozenset(
    {"instrument", "telescope", "technique", "band", "band_raw", "object_name", "position_role"}
    | {"readout_mode", "proposal_code", "observer", "flat_source", "bayer_pattern"}
)
_MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)
_LETTERS = {"bias": "B", "dark": "D", "flat": "F"}


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a product comes from.

    Attributes
    ----------
    inputs : sequence of (name, sha256)
        The frames that went in.
    masters : mapping of role to (name, sha256)
        The calibrations applied: "bias", "dark", "flat", "fringe".
    recipe, recipe_hash : str
        What was run, and the hash of its settings.
    software : str
        Name and version.
    extra : mapping
        Further cards by keyword, START_DATE, END_DATE, MASK_NAME say; they win over ours.
    """

    inputs: Sequence[tuple[str, str]]
    masters: Mapping[str, tuple[str, str]]
    recipe: str
    recipe_hash: str
    software: str
    extra: Mapping[str, Any] = field(default_factory=dict)


def _creator(software: str) -> str:
    return software if software.startswith(SOFTWARE) else f"{SOFTWARE} ({software})"


def _identity(
    kind: FrameKind, level: int, done: Sequence[str], provenance: Provenance
) -> list[ProductCard]:
    return [
        ("CREATOR", _creator(provenance.software), "program that made this file"),
        ("OBSTYPE", kind.value.upper(), "kind of frame"),
        ("PROCLEV", level, "0 raw, 1 master, 2 reduced"),
        ("CALDONE", ",".join(done), "calibrations applied, in order"),
    ]


def _facts(info: FrameInfo) -> list[ProductCard]:
    cards: list[ProductCard] = []
    for name, keyword, comment in _FACTS:
        value = getattr(info, name)
        if value is not None and value != "":
            cards.append((keyword, value, comment))
    if info.band is not None:
        cards.append(("FILTER", info.band, "as BAND"))
    cards += _times(info)
    if info.night is not None:
        cards.append(("NIGHT", info.night.isoformat(), "local noon to noon"))
    if info.kind_doubt:
        cards.append(("KINDWHY", info.kind_doubt, "why the kind is doubted"))
    return cards


def _times(info: FrameInfo) -> list[ProductCard]:
    cards: list[ProductCard] = []
    for name, keyword, comment in (
        ("start_utc", "DATE-OBS", "[UTC] start of the first exposure"),
        ("mid_utc", "DATE-AVG", "[UTC] middle of the exposure"),
    ):
        when = getattr(info, name)
        if when is not None:
            cards.append((keyword, _iso(when), comment))
    if info.start_utc is not None:
        cards.append(("MJD-OBS", _mjd(info.start_utc), "[d] of DATE-OBS"))
    return cards


def _iso(when: datetime) -> str:
    return when.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def _mjd(when: datetime) -> float:
    return (when - _MJD_ZERO).total_seconds() / 86400


def _provenance(provenance: Provenance) -> list[ProductCard]:
    cards: list[ProductCard] = [
        ("RECIPE", provenance.recipe, "what was run"),
        ("RECIHASH", provenance.recipe_hash, "hash of its settings"),
        ("NINPUT", len(provenance.inputs), "frames that went in"),
    ]
    for i, (name, digest) in enumerate(provenance.inputs, 1):
        cards += [(f"INPUT{i}", name, ""), (f"INSHA{i}", digest, "SHA-256")]
    for role, (name, digest) in provenance.masters.items():
        short = role.upper()[:4]
        cards += [
            (f"{short}FILE", name, f"master {role} applied"),
            (f"{short}SHA", digest, "SHA-256"),
        ]
    return cards


def _stats(stats: PlaneStats, unit: str) -> list[ProductCard]:
    return [
        ("MODEAVG", stats.mode, f"[{unit}] mode of the good pixels"),
        ("MEDAVG", stats.median, f"[{unit}] median of the good pixels"),
        ("NOISEAVG", stats.noise, f"[{unit}] robust scatter of the good pixels"),
        ("NGOOD", stats.n_good, "good pixels"),
    ]


def _numbered(prefix: str, texts: Sequence[str], comment: str = "") -> list[ProductCard]:
    return [(f"{prefix}{i}", text, comment) for i, text in enumerate(texts, 1)]


def _with_extra(cards: list[ProductCard], extra: Mapping[str, Any]) -> list[ProductCard]:
    """Return cards with the provenance's own added, and put in the place of ours."""
    given = {keyword.upper(): value for keyword, value in extra.items()}
    kept = [(k, given.pop(k, v), comment) for k, v, comment in cards]
    return kept + [(keyword, value, "") for keyword, value in given.items()]


def master_cards(
    kind: FrameKind, info: FrameInfo, master: Master, provenance: Provenance
) -> list[ProductCard]:
    """Return the primary header of a master.

    Parameters
    ----------
    kind : FrameKind
        Bias, dark or flat.
    info : FrameInfo
        Of one of its frames: camera, band, setting, night. Its times are those of all: when the
        first began, and the mean of their middles.
    master : Master
        What the recipe gave.
    provenance : Provenance
        `extra` may hold START_DATE, END_DATE and MASK_NAME; without dates the night stands for
        both.

    Returns
    -------
    list of (keyword, value, comment)
        MASTER_TYPE, START_DATE, END_DATE, BAND and MASK_NAME are what the archive's `register`
        reads; keywords of more than eight characters become HIERARCH cards.
    """
    done = ["bias"] if master.bias_removed or kind == FrameKind.FLAT else []
    night = info.night.isoformat() if info.night else None
    cards = _identity(kind, 1, done, provenance)
    cards += [
        ("MASTYPE", kind.value.upper(), "type of master"),
        ("MASTER_TYPE", kind.value.upper(), ""),
        ("START_DATE", night, "first night"),
        ("END_DATE", night, "last night"),
        ("NCOMBINE", len(master.used), "frames combined"),
        ("THIN", master.thin, "made of too few frames to reject outliers well"),
        ("BIASREM", master.bias_removed, "whether the bias was removed"),
    ]
    facts = _facts(info)
    if kind in (FrameKind.BIAS, FrameKind.DARK):
        facts = [card for card in facts if card[0] not in ("BAND", "FILTER")]
    for name, value in (("EXPTIME", master.exptime_s), ("CCD-TEMP", master.temp_c)):
        if value is not None:
            facts = [card for card in facts if card[0] != name] + [(name, value, "of the master")]
    facts = [
        (name, value, "[UTC] mean of their middles" if name == "DATE-AVG" else comment)
        for name, value, comment in facts
    ]
    cards += facts + _stats(master.stats, master.image.unit)
    cards += _numbered("LEFTOUT", [f"{left.name}: {left.reason}" for left in master.left_out])
    cards += _numbered("NOTE", list(master.notes))
    return _with_extra(cards + _provenance(provenance), provenance.extra)


def reduced_cards(info: FrameInfo, result: Calibrated, provenance: Provenance) -> list[ProductCard]:
    """Return the primary header of a reduced frame.

    Parameters
    ----------
    info : FrameInfo
        Of the raw frame.
    result : Calibrated
        What the recipe gave.
    provenance : Provenance
        Of this product.

    Returns
    -------
    list of (keyword, value, comment)
        CALOK is false and CALMISS1 and so on say what is missing where a calibration was; CALSTAT
        holds the letters other programs know: B, D, F.
    """
    letters = "".join(letter for step, letter in _LETTERS.items() if step in result.done)
    electrons = result.image.unit == "electron"
    gain = info.gain_e_per_adu or 1.0
    cards = _identity(info.kind, 2, list(result.done), provenance)
    cards += [
        ("CALSTAT", letters, "B bias, D dark, F flat applied"),
        ("CALOK", not result.missing, "false: calibrations are missing, see CALMISSn"),
        *_numbered("CALMISS", list(result.missing), "a calibration that was not there"),
        ("UNIT", result.image.unit, "of the image"),
        ("GAIN", 1.0 if electrons else info.gain_e_per_adu, "[e-] a unit of the image"),
    ]
    if info.saturation_adu is not None:
        level = info.saturation_adu * (gain if electrons else 1.0)
        cards.append(("SATURATE", level, f"[{result.image.unit}] before bias and flat"))
    if info.ra_deg is not None and "ra_deg" not in info.doubts:
        cards.append(("RADESYS", "ICRS", "as translated; see POSROLE"))
    cards += _facts(info) + _stats(result.stats, result.image.unit)
    cards += [
        (f"N{name.replace('_', '').upper()}"[:8], count, f"pixels flagged {name}")
        for name, count in result.counts.items()
    ]
    cards += _numbered("NOTE", list(result.notes))
    return _with_extra(cards + _provenance(provenance), provenance.extra)


def is_product(file: FileHeaders) -> bool:
    """Tell whether a file is one of our products."""
    return file.hdus[0].cards.text("CREATOR").startswith(SOFTWARE)


def _fact(cards: Cards, name: str, keyword: str) -> str | int | float | None:
    """Return a fact of the type its field has, None where it is absent or of another."""
    if name in _TEXTS:
        return cards.text(keyword) or None
    value = cards.get(keyword)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if name in _WHOLE else float(value)


def _read_back(cards: Cards) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, keyword, _ in _FACTS:
        value = _fact(cards, name, keyword)
        if value is not None:
            values[name] = value
    for name, keyword in (("start_utc", "DATE-OBS"), ("mid_utc", "DATE-AVG")):
        moment = parse_moment(cards.text(keyword))
        if moment:
            values[name] = moment.when
    night = parse_moment(cards.text("NIGHT"))
    if night:
        values["night"] = night.when.date()
    return values


def _kind(cards: Cards) -> FrameKind:
    try:
        return FrameKind(cards.text("OBSTYPE").strip().lower())
    except ValueError:
        return FrameKind.UNKNOWN


def translate_product(file: FileHeaders) -> FrameInfo:
    """Translate the headers of one of our products.

    Raises
    ------
    BadFileError
        ``no_image`` where it has no SCI image.
    """
    cards = file.hdus[0].cards
    science = _science_hdu(file)
    ny, nx = plane_shape(science.shape)
    values = _read_back(cards)
    area = Section(0, ny, 0, nx)
    origins = {
        name: Origin(cards.raw(keyword), _RULE) for name, keyword, _ in _FACTS if name in values
    }
    level, combined = cards.get("PROCLEV"), cards.get("NCOMBINE")
    return FrameInfo(
        writer=SOFTWARE,
        kind=_kind(cards),
        nx=nx,
        ny=ny,
        hdus=(science.index,),
        amplifiers=(Amplifier(science.index, area, None, area, gain_e_per_adu=_pixel_gain(cards)),),
        kind_doubt=cards.text("KINDWHY") or None,
        level=level if isinstance(level, int) else 0,
        ncombine=combined if isinstance(combined, int) else 1,
        done=frozenset(step for step in cards.text("CALDONE").split(",") if step),
        origins=origins,
        **values,
    )


def _pixel_gain(cards: Cards) -> float | None:
    gain = cards.get("GAIN", cards.get("RAWGAIN"))
    return float(gain) if isinstance(gain, int | float) else None


def _science_hdu(file: FileHeaders) -> HduHeader:
    for hdu in file.hdus:
        if hdu.shape and hdu.cards.text("EXTNAME").strip().upper() == "SCI":
            return hdu
    raise BadFileError("no_image", "A product without its SCI image.")
