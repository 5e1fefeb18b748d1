"""Who wrote a header: the program, the instrument, the telescope, the origin, in this order."""

from functools import lru_cache

from reduction.cards import Cards
from reduction.headers import amateur, observatories
from reduction.headers.goodman import GOODMAN
from reduction.headers.writer import Writer

_SOFTWARE = ("SWCREATE", "CREATOR", "PROGRAM", "SOFTWARE")
_BY_SOFTWARE = (
    ("POCS", observatories.PANOPTES),
    ("MICROOBSERVATORY", observatories.MICROOBSERVATORY),
    *amateur.BY_SOFTWARE,
)
_BY_INSTRUMENT = (
    ("GOODMAN", GOODMAN),
    ("DECAM", observatories.DECAM),
    ("GMOS", observatories.GEMINI),
    ("CAFOS", observatories.CAHA),
    ("KMT", observatories.KMTNET),
    ("SPRAT", observatories.LIVERPOOL),
    ("STE3", observatories.SAAO),
    ("ALFOSC", observatories.NOT),
    ("STANCAM", observatories.NOT),
    ("T80CAM", observatories.SPLUS),
    ("OSIRIS", observatories.GTC),
)
_BY_ORIGIN = (
    ("LCOGT", observatories.LCO),
    ("DWARFLAB", amateur.DWARF),
    ("LIVERPOOL", observatories.LIVERPOOL),
    ("GRANTECAN", observatories.GTC),
    ("CAHA", observatories.CAHA),
    ("OAN/SPM", observatories.DDOTI),
    ("ESO", observatories.ESO),
    ("NOT", observatories.NOT),
    ("PROJECT PANOPTES", observatories.PANOPTES),
)
_BY_TELESCOPE = (
    ("LIVERPOOL TELESCOPE", observatories.LIVERPOOL),
    ("SAAO 1.0", observatories.SAAO),
    ("CTIO 4.0", observatories.DECAM),
    ("T80", observatories.SPLUS),
    ("HST", observatories.HST),
    ("NOT", observatories.NOT),
)
# Headers that name nobody but have cards nobody else writes.
_BY_CARDS = (
    (("CCDXIMSI", "TEMPSTAT"), observatories.LIVERPOOL),
    (("TMLSHEAD",), observatories.MALLS),
    (("GAINA", "SATURATA"), observatories.DECAM),
    (("DECKER_N", "LAMPSTAA"), observatories.KAST),
)


def _starting(name: str, table: tuple[tuple[str, Writer], ...]) -> Writer | None:
    text = name.strip().upper()
    return next((writer for start, writer in table if text.startswith(start)), None)


@lru_cache(maxsize=1024)
def _by_names(
    software: tuple[str, ...], instrument: str, origin: str, telescope: str
) -> Writer | None:
    for text in software:
        writer = _starting(text, _BY_SOFTWARE)
        if writer:
            return writer
    return (
        _starting(instrument, _BY_INSTRUMENT)
        or _starting(origin, _BY_ORIGIN)
        or _starting(telescope, _BY_TELESCOPE)
    )


def identify(cards: Cards) -> Writer:
    """Return the writer of a header, `GENERIC` where nothing tells."""
    software = tuple([cards.text(keyword) for keyword in cards.present(_SOFTWARE)])
    names = cards.text("INSTRUME"), cards.text("ORIGIN"), cards.text("TELESCOP")
    writer = _by_names(software, *names)
    if writer is not None:
        return writer
    for keywords, known in _BY_CARDS:
        if all(keyword in cards for keyword in keywords):
            return known
    return observatories.GENERIC
