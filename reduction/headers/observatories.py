"""Observatories with headers of their own, one rule or two each."""

from reduction.frameinfo import FrameKind
from reduction.headers.draft import Draft
from reduction.headers.kinds import set_kind
from reduction.headers.values import is_true, number_of, text_of
from reduction.headers.writer import BAND_KEYWORDS, Writer

_FLAT_LAMPS_KAST = "12345"
_LINE_LAMPS_KAST = "ABCDEFGHIJK"


def _spectroscopy(draft: Draft, keyword: str, setting: str | None) -> None:
    """Set the technique, and the setting of the spectrograph as the band."""
    draft.put("technique", "spectroscopy", keyword, "a dispersing element is in the beam")
    if setting and draft.get("kind") not in (FrameKind.BIAS, FrameKind.DARK):
        draft.put("band", setting, keyword, "the spectrograph's setting")


def _cafos(draft: Draft) -> None:
    """Doubt RA and DEC, which are of the date whatever EQUINOX says; read the grism wheel."""
    if draft.get("position_role") == "mount":
        draft.doubt("ra_deg", "of the date, not of the equinox the header names")
        draft.doubt("dec_deg", "of the date, not of the equinox the header names")
    saturation_e, gain = number_of(draft.cards, "CCDSAT"), draft.get("gain_e_per_adu")
    if saturation_e and gain:
        level, top = saturation_e / gain, draft.get("saturation_adu")
        if top is None or level < top:
            draft.put("saturation_adu", level, "CCDSAT", "electrons over the gain")
    grism = text_of(draft.cards, "INSGRNAM")
    if grism and grism.upper() != "FREE":
        _spectroscopy(draft, "INSGRNAM", grism)


def _saao(draft: Draft) -> None:
    """Say where the name behind a wheel code can come from."""
    if draft.get("band") and draft.cards.text("FILTERS"):
        draft.doubt("band", "a camera profile may name it")


def _microobservatory(draft: Draft) -> None:
    """Take what tracks an object for a science frame; this robot has no kind keyword."""
    objects = draft.get("object_name")
    if draft.get("kind") == FrameKind.SCIENCE and objects and "TEL-TRAC" in draft.cards:
        rule = "this writer has no kind keyword; the telescope tracks an object"
        set_kind(draft, FrameKind.SCIENCE, "TEL-TRAC", rule)
    if draft.get("ra_deg") is not None:
        draft.doubt("ra_deg", "this telescope's pointing is known to be off by half a degree")


def _panoptes(draft: Draft) -> None:
    """Take early POCS frames for science: they wrote no kind, and took sky only."""
    silent = draft.cards.text("IMAGETYP") == "" and text_of(draft.cards, "FIELD")
    if silent and draft.get("kind") == FrameKind.SCIENCE and draft.get("bayer_pattern"):
        set_kind(draft, FrameKind.SCIENCE, "FIELD", "early POCS took frames of the sky only")


def _liverpool(draft: Draft) -> None:
    """Read the setting, and from the L1 keywords what was done."""
    cards = draft.cards
    if cards.text("GRATPOS").strip() == "IN" or cards.text("SLITPOS").strip() == "IN":
        setting = text_of(cards, "GRATSET")
        _spectroscopy(draft, "GRATSET", setting)
    done = set(draft.get("done") or ())
    for keyword, what in (("L1STATDA", {"bias", "dark"}), ("L1STATFL", {"flat"})):
        if cards.get(keyword) == 1:
            done |= what
    if done:
        draft.put("done", frozenset(done), "L1STATDA", "the observatory's own status flags")
    if {"bias", "flat"} <= done and draft.get("kind") != FrameKind.FLAT:
        draft.put("level", 2, "L1STATFL", "reduced at the observatory")
    _liverpool_name(draft)


def _liverpool_name(draft: Draft) -> None:
    name = draft.cards.text("EXPID").strip().lower()
    said = {"f": "flat", "w": "lamp flat", "a": "arc", "d": "dark", "b": "bias"}
    letter = name[2:3] if name[1:2] == "_" else ""
    if draft.get("kind") == FrameKind.SCIENCE and letter in said:
        draft.values["kind_doubt"] = f"OBSTYPE says expose, EXPID names a {said[letter]}"
        if draft.get("ncombine"):
            draft.put("level", 1, "NCOMBINE", "a combined calibration, by its original name")


def _decam(draft: Draft) -> None:
    """Read from PROCTYPE what the community pipeline made."""
    made = draft.cards.text("PROCTYPE").strip().upper()
    if made in ("INSTCAL", "RESAMPLED", "STACKED"):
        draft.put("done", frozenset({"bias", "flat"}), "PROCTYPE", "the community pipeline")
        draft.put("level", 2, "PROCTYPE", "the community pipeline")
    gain = (number_of(draft.cards, "GAINA"), number_of(draft.cards, "GAINB"))
    if gain[0] and gain[1] and draft.get("gain_e_per_adu") is None:
        draft.put("gain_e_per_adu", (gain[0] + gain[1]) / 2, "GAINA", "mean of two amplifiers")


def _gemini(draft: Draft) -> None:
    grating = text_of(draft.cards, "GRATING")
    if grating and grating.upper() != "MIRROR":
        _spectroscopy(draft, "GRATING", grating.rstrip("+").partition("+_")[0])
    observed_for = draft.cards.text("OBSCLASS").strip().lower()
    if draft.get("kind") == FrameKind.SCIENCE and observed_for in ("partnercal", "progcal"):
        set_kind(draft, FrameKind.STANDARD, "OBSCLASS", "observed as a calibration")


def _gtc(draft: Draft) -> None:
    grism = text_of(draft.cards, "GRISM")
    if grism and grism.upper() not in ("OPEN", "MIRROR"):
        _spectroscopy(draft, "GRISM", grism)


def _kast(draft: Draft) -> None:
    """Let the lamps tell arcs and flats: Kast calls everything OBJECT."""
    cards = draft.cards
    _spectroscopy(draft, "GRISM_N", text_of(cards, "GRISM_N"))
    side = text_of(cards, "VERSION")
    if side:
        draft.put("instrument", side, "VERSION", "the side of the spectrograph")
    if draft.get("kind") != FrameKind.SCIENCE:
        return
    for letters, kind in ((_LINE_LAMPS_KAST, FrameKind.ARC), (_FLAT_LAMPS_KAST, FrameKind.FLAT)):
        lamp = next((c for c in letters if is_true(cards, f"LAMPSTA{c}")), None)
        if lamp:
            set_kind(draft, kind, f"LAMPSTA{lamp}", "OBSTYPE says object, a lamp is on")
            if kind == FrameKind.FLAT:
                draft.put("flat_source", "lamp", f"LAMPSTA{lamp}", "the lamp that is on")
            return


def _not(draft: Draft) -> None:
    """Read the grism of ALFOSC."""
    grism = text_of(draft.cards, "ALGRNM")
    if grism and grism.upper() not in ("OPEN", "OPEN (LYOT)"):
        _spectroscopy(draft, "ALGRNM", grism)


def _malls(draft: Draft) -> None:
    if text_of(draft.cards, "GRATING"):
        _spectroscopy(draft, "GRATING", text_of(draft.cards, "GRATING"))


def _stis(draft: Draft) -> None:
    if draft.cards.text("OBSTYPE").strip().upper() == "SPECTROSCOPIC":
        _spectroscopy(draft, "OPT_ELEM", text_of(draft.cards, "OPT_ELEM"))


LCO = Writer(
    "LCO",
    gain="electrons",
    positions=(("RA", "DEC", "mount"), ("CAT-RA", "CAT-DEC", "target")),
)
CAHA = Writer(
    "Calar Alto CAFOS",
    gain="setting",
    band_keywords=("INSFLNAM",),
    positions=(("RA", "DEC", "mount"),),
    sections=False,
    last=_cafos,
)
SAAO = Writer(
    "SAAO", gain="electrons", kelvin=True, band_keywords=("FILTERS", "FILTER"), last=_saao
)
MICROOBSERVATORY = Writer(
    "MicroObservatory",
    west=True,
    bits=12,
    positions=(("RA", "DEC", "mount"),),
    last=_microobservatory,
)
PANOPTES = Writer("PANOPTES", gain="setting", last=_panoptes)
LIVERPOOL = Writer(
    "Liverpool Telescope",
    gain="electrons",
    west=False,
    kelvin=True,
    band_keywords=("FILTER1", "FILTER2"),
    positions=(("CAT-RA", "CAT-DEC", "target"), ("RA", "DEC", "mount")),
    last=_liverpool,
)
DECAM = Writer(
    "DECam",
    gain="electrons",
    west=True,
    positions=(("TELRA", "TELDEC", "mount"), ("RA", "DEC", "target")),
    last=_decam,
)
GEMINI = Writer("Gemini", gain="electrons", positions=(("RA", "DEC", "target"),), last=_gemini)
GTC = Writer(
    "GTC", gain="electrons", west=True, positions=(("RADEG", "DECDEG", "mount"),), last=_gtc
)
KAST = Writer("Lick Kast", gain="setting", positions=(("RA", "DEC", "mount"),), last=_kast)
KMTNET = Writer("KMTNet", gain="electrons")
DDOTI = Writer("OAN San Pedro Martir", gain="electrons")
NOT = Writer(
    "NOT",
    gain="electrons",
    band_keywords=("ALFLTNM", "FAFLTNM", "FBFLTNM", *BAND_KEYWORDS),
    last=_not,
)
ESO = Writer("ESO", kind_keywords=("ESO DPR TYPE", "OBJECT"))
MALLS = Writer(
    "NHAO MALLS",
    positions=(("RA2000", "DEC2000", "mount"), ("RA", "DEC", "mount")),
    last=_malls,
)
HST = Writer("HST", last=_stis)
SPLUS = Writer("S-PLUS T80Cam", gain="electrons")
GENERIC = Writer("unknown")
