"""Programs that run cameras at amateur and small professional telescopes."""

from reduction.frameinfo import FrameKind
from reduction.headers.draft import Draft
from reduction.headers.kinds import set_kind
from reduction.headers.values import number_of
from reduction.headers.writer import Writer


def _dwarf(draft: Draft) -> None:
    """Take a file of a DWARF II, which has no keyword for the kind, for a light."""
    if draft.get("kind") == FrameKind.UNKNOWN:
        doubt = "the writer has no keyword for the kind; most of its files are lights"
        set_kind(draft, FrameKind.SCIENCE, "ORIGIN", "this writer's usual frame", doubt)


def _seestar(draft: Draft) -> None:
    """Doubt the exposure of a Seestar stack: it gives one of many, TOTALEXP their sum."""
    if number_of(draft.cards, "STACKCNT") and number_of(draft.cards, "TOTALEXP"):
        draft.doubt("exptime_s", "one of the stacked exposures; TOTALEXP holds their sum")


NINA = Writer("N.I.N.A.", gain="setting")
MAXIM = Writer("MaxIm DL")
CCDSOFT = Writer("CCDSoft")
THESKY = Writer("TheSkyX")
SGP = Writer("Sequence Generator Pro", gain="setting")
APT = Writer("Astro Photography Tool", gain="setting")
SHARPCAP = Writer("SharpCap", gain="setting")
ASIAIR = Writer("ASIAIR", gain="setting")
SEESTAR = Writer("ZWO Seestar", gain="setting", last=_seestar)
INDI = Writer("INDI", gain="setting")
CCDCIEL = Writer("CCDciel", gain="setting")
VOYAGER = Writer("Voyager", gain="setting")
FIRECAPTURE = Writer("FireCapture", gain="setting")
PRISM = Writer("PRISM")
SIRIL = Writer("Siril")
PIXINSIGHT = Writer("PixInsight")
DWARF = Writer("DWARFLAB", gain="setting", last=_dwarf)

# What their names begin with, in SWCREATE, CREATOR, PROGRAM or SOFTWARE, in capitals.
BY_SOFTWARE = (
    ("N.I.N.A", NINA),
    ("MAXIM DL", MAXIM),
    ("CCDSOFT", CCDSOFT),
    ("THESKY", THESKY),
    ("SEQUENCE GENERATOR", SGP),
    ("ASTRO PHOTOGRAPHY TOOL", APT),
    ("SHARPCAP", SHARPCAP),
    ("ZWO SEESTAR", SEESTAR),
    ("ASIAIR", ASIAIR),
    ("ZWO ASIAIR", ASIAIR),
    ("ASISTUDIO", ASIAIR),
    ("KSTARS", INDI),
    ("EKOS", INDI),
    ("INDI", INDI),
    ("CCDCIEL", CCDCIEL),
    ("VOYAGER", VOYAGER),
    ("FIRECAPTURE", FIRECAPTURE),
    ("PRISM", PRISM),
    ("SIRIL", SIRIL),
    ("PIXINSIGHT", PIXINSIGHT),
)
