"""What a frame was taken for: the words of every writer, and what speaks against them."""

import re
from collections.abc import Sequence
from functools import lru_cache

from reduction.frameinfo import FrameKind
from reduction.headers.draft import Draft
from reduction.headers.values import first_text, meant, text_of

KIND_KEYWORDS = ("OBSTYPE", "IMAGETYP", "FRAME", "IMGTYPE", "EXPTYPE", "CALTYPE")
OBJECT_KEYWORDS = ("OBJECT", "FIELD", "OBJNAME", "TARGNAME", "ESO OBS TARG NAME")

# A dark this short (s) is a bias: cameras that cannot take zero write 1e-32 or so, and the
# shortest real exposure of a camera is some 30 microseconds.
_NO_EXPOSURE_S = 1e-6

_KINDS = {
    FrameKind.BIAS: "BIAS ZERO",
    FrameKind.DARK: "DARK DARKFLAT FLATDARK",
    FrameKind.FLAT: (
        "FLAT SKYFLAT DOMEFLAT LAMPFLAT DFLAT FLATLAMP FLATSKY FLATON FLATOFF PANELFLAT TWILIGHT"
        " SFLAT DOME FLATDOME FLATTWILIGHT TWIFLAT"
    ),
    FrameKind.SCIENCE: (
        "LIGHT OBJECT EXPOSE SCIENCE SNAPSHOT TARGET SPECTRUM EXPERIMENTAL TRICOLOR SKY IMAGE"
    ),
    FrameKind.STANDARD: "STANDARD STD STDSLIT STDFLUX",
    FrameKind.ARC: "ARC COMP COMPARISON WAVELAMP WAVE LAMP",
    FrameKind.FOCUS: "FOCUS",
    FrameKind.POINTING: "POINTING ACQUISITION",
    FrameKind.GUIDE: "GUIDE",
    FrameKind.TEST: "TEST TRAILED DOUBLE ENGINEERING",
}
_KIND_OF_WORD = {word: kind for kind, words in _KINDS.items() for word in words.split()}
_FLAT_SOURCES = (("SKY", "sky"), ("TWI", "sky"), ("DOME", "dome"), ("DFLAT", "dome"))
_MORE_FLAT_SOURCES = (("LAMP", "lamp"), ("PANEL", "panel"))
_CALIBRATION = frozenset({FrameKind.BIAS, FrameKind.DARK, FrameKind.FLAT, FrameKind.ARC})
_MASTER = re.compile(r"^(MASTER|SUPER)[\s_\-]*(?=BIAS|DARK|FLAT|ZERO)")
_ENDINGS = re.compile(r"\s*(FRAME|IMAGE|FIELD|EXPOSURE)$")

# Words in a file's or an object's name that contradict "light".
_NAME_WORDS = {
    **dict.fromkeys(["flat", "flats", "skyflat", "domeflat", "dflat", "flatdither"], "a flat"),
    **dict.fromkeys(["bias", "biases", "zero"], "a bias"),
    **dict.fromkeys(["dark", "darks"], "a dark"),
    **dict.fromkeys(["arc", "comp"], "an arc"),
    "lamp": "a lamp",
    "focus": "focusing",
    "pointing": "pointing",
}
_WORD = re.compile(r"[A-Za-z]+")
_NO_DIGITS = str.maketrans(dict.fromkeys("0123456789", " "))


@lru_cache(maxsize=1024)
def kind_of_word(text: str) -> FrameKind | None:
    """Return the kind a header's word stands for, None where it is no kind."""
    word = text.strip().upper().replace("[", "").replace("]", "")
    word = _MASTER.sub("", _ENDINGS.sub("", word))
    return _KIND_OF_WORD.get(re.sub(r"[\s,_\-]+", "", word))


@lru_cache(maxsize=1024)
def flat_source_of(text: str) -> str | None:
    """Return what lit a flat ("sky", "dome", "lamp", "panel"), None where a text does not say."""
    upper = text.upper()
    for word, source in (*_FLAT_SOURCES, *_MORE_FLAT_SOURCES):
        if word in upper:
            return source
    return None


def name_says(name: str) -> str | None:
    """Return the calibration a file's or an object's name speaks of, None for none."""
    return _words_say(name.translate(_NO_DIGITS))  # the names of a night differ in them only


def names_say(names: Sequence[str]) -> list[str | None]:
    """Return what `name_says` does of each file's name, at a quarter of its cost."""
    bare = "/".join(names).translate(_NO_DIGITS)  # which no name of a file holds
    return [*map(_words_say, bare.split("/"))] if names else []


@lru_cache(maxsize=4096)
def _words_say(name: str) -> str | None:
    for word in _WORD.findall(name):
        said = _NAME_WORDS.get(word.lower())
        if said:
            return said
    return None


def read_kind(draft: Draft, keywords: tuple[str, ...] = KIND_KEYWORDS) -> None:
    """Set the kind from the kind keywords, or leave it unknown with a doubt.

    Where two keywords disagree the calibration counts, with a doubt: a calibration taken for a
    science frame is only lost, a science frame in a master spoils others.
    """
    said: list[tuple[str, FrameKind]] = []
    for keyword in draft.cards.present(keywords):
        text = text_of(draft.cards, keyword)
        kind = kind_of_word(text) if text else None
        if kind is not None:
            said.append((keyword, kind))
    if not said:
        _read_kind_of_silent_header(draft)
        return
    keyword, kind = said[0]
    doubt = None
    for other, other_kind in said[1:]:
        if other_kind != kind and FrameKind.SCIENCE in (kind, other_kind):
            doubt = f"{keyword} and {other} disagree"
            if kind == FrameKind.SCIENCE and other_kind in _CALIBRATION:
                keyword, kind = other, other_kind
    set_kind(draft, kind, keyword, "the frame's own word for its kind", doubt)
    if _MASTER.match(draft.cards.text(keyword).strip().upper()):
        draft.put("level", 1, keyword, "it calls itself a master")
    _second_thoughts(draft, keyword)


def set_kind(
    draft: Draft, kind: FrameKind, keyword: str, rule: str, doubt: str | None = None
) -> None:
    """Set the kind and, of a flat, what lit it; a doubt goes to `kind_doubt`."""
    draft.put("kind", kind, keyword, rule)
    draft.values["kind_doubt"] = doubt
    draft.values.pop("flat_source", None)
    draft.notes.pop("flat_source", None)
    if kind == FrameKind.FLAT:
        _read_flat_source(draft, keyword)


def _read_flat_source(draft: Draft, keyword: str) -> None:
    for source_keyword in (keyword, *OBJECT_KEYWORDS):
        source = flat_source_of(draft.cards.text(source_keyword)) if source_keyword else None
        if source:
            draft.put("flat_source", source, source_keyword, "the word for the flat's lamp")
            return


def _read_kind_of_silent_header(draft: Draft) -> None:
    found = first_text(draft.cards, OBJECT_KEYWORDS)
    if found:
        doubt = "no keyword says what the frame is; it names an object"
        set_kind(draft, FrameKind.SCIENCE, found[0], "a frame that names an object", doubt)
    else:
        set_kind(draft, FrameKind.UNKNOWN, "", "none", "nothing in the header says what it is")


def _second_thoughts(draft: Draft, keyword: str) -> None:
    """Take a dark of no exposure for a bias, and doubt a light that seems to be something else."""
    kind = draft.get("kind")
    exptime = draft.get("exptime_s")
    if kind == FrameKind.DARK and exptime is not None and 0 <= exptime < _NO_EXPOSURE_S:
        set_kind(draft, FrameKind.BIAS, keyword, "a dark of no exposure is a bias")
    if kind == FrameKind.SCIENCE:
        doubt = doubt_about_light(draft)
        if doubt:
            old = draft.values["kind_doubt"]
            draft.values["kind_doubt"] = f"{old}; {doubt}" if old else doubt


def doubt_about_light(draft: Draft) -> str | None:
    """Return what speaks against a frame that calls itself light, None where nothing does."""
    present = draft.cards.present(OBJECT_KEYWORDS)
    objects = [text for word in present if (text := meant(draft.cards.text(word)))]
    for text in objects:
        said = name_says(text)
        if said:
            return f"it calls itself light, its object '{text[:40]}' speaks of {said}"
    said = name_says(draft.file_name)
    if said:
        return f"it calls itself light, its file name speaks of {said}"
    if draft.get("exptime_s") == 0:
        return "it calls itself light, but was not exposed"
    if not objects and text_of(draft.cards, "OBJCTRA") is None:
        return "it calls itself light, but names no object"
    return None
