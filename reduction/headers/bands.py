"""Filter names: one spelling for each band."""

import re
from functools import lru_cache

_OPEN = frozenset(
    {"OPEN", "AIR", "NOFILTER", "EMPTY", "FREE", "HOLE", "OUT", "BLANK", "CLEARFILTER", "CLEAR"}
)
_ALIASES = {
    # Sloan, as LCO, ZTF, amateurs and pipelines spell it
    **{f"{prefix}{b}": b for b in "ugriz" for prefix in ("sdss", "sloan", "s", "ztf")},
    **{f"{b}{suffix}": b for b in "ugriz" for suffix in ("sdss", "sloan", "p", "prime", "band")},
    "zs": "z",
    "zp": "z",
    "y": "y",
    "luminance": "L",
    "lum": "L",
    "halpha": "Ha",
    "red": "Red",
    "green": "Green",
    "blue": "Blue",
}
# Johnson, Cousins, Bessell: a capital letter, whatever stands around it
_JOHNSON = re.compile(
    r"(?:johnson|bessell?|cousins|bes|jc|kron)*([UBVRI])(?:c|j|johnson|bessell?|cousins|kc|jc)?",
    re.IGNORECASE,
)
_SPLUS = re.compile(r"[FJ]0?(378|395|410|430|515|660|861)")
_NOISE = re.compile(r"[\s_\-'\"<>()\[\]./]+")
_WORDS = frozenset({"FILTER", "FILT", "BAND"})
_MAX_NAME = 32


@lru_cache(maxsize=2048)
def is_open(raw: str) -> bool:
    """Tell whether a wheel position holds no filter."""
    squeezed = _NOISE.sub("", raw).upper()
    return squeezed in _OPEN or squeezed.startswith(("OPEN", "NOFILTER"))


@lru_cache(maxsize=2048)
def canonical_band(raw: str) -> str:
    """Return the one spelling of a band.

    Parameters
    ----------
    raw : str
        As a header has it: ``JohnsonV``, ``SDSS-r'``, ``Filter_L``, ``g_band``.

    Returns
    -------
    str
        ``U B V R I`` for Johnson and Cousins, ``u g r i z`` for Sloan, ``F378`` and so on for the
        S-PLUS narrow bands, ``Clear`` for no filter; anything else as it stands, cleaned.
    """
    if is_open(raw):
        return "Clear"
    words = [word for word in re.split(r"[\s_\-]+", raw.strip()) if word.upper() not in _WORDS]
    if len(words) > 3:  # DECam: "z DECam SDSS c0004 9260.0 1520.0"
        words = words[:1]
    name = "_".join(words)[:_MAX_NAME]
    squeezed = _NOISE.sub("", "".join(words))
    if len(squeezed) == 1:
        return squeezed
    if squeezed.lower() in _ALIASES and not _is_johnson(squeezed):
        return _ALIASES[squeezed.lower()]
    splus = _SPLUS.fullmatch(squeezed.upper())
    if splus:
        return "F" + splus[1]
    if _is_johnson(squeezed):
        johnson = _JOHNSON.fullmatch(squeezed)
        return johnson[1].upper() if johnson else name
    return name or raw.strip()[:_MAX_NAME]


def _is_johnson(squeezed: str) -> bool:
    """Tell a Johnson band that names its system: its letter is a capital, 'Rc' but not 'rc'."""
    found = _JOHNSON.fullmatch(squeezed)
    return bool(found) and found is not None and found[1].isupper() and len(squeezed) > 1
