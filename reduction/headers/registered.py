"""What the header of a ready-made master says of itself when it is registered."""

from dataclasses import dataclass
from datetime import date

from reduction.cards import FileHeaders
from reduction.headers.bands import canonical_band


@dataclass(frozen=True, slots=True)
class MasterCards:
    """A master's own cards; "" or None where one is missing.

    Attributes
    ----------
    master_type : str
        ``BIAS``, ``DARK``, ``FLAT`` or ``FRINGE``.
    start, end : date or None
        First and last night of its frames.
    mask_name : str
        File of its bad pixels, beside it.
    band : str or None
        In the one spelling of bands.
    """

    master_type: str
    start: date | None
    end: date | None
    mask_name: str
    band: str | None


def read_master_cards(file: FileHeaders) -> MasterCards:
    """Return the cards by which a master is registered, from whichever HDU has them.

    Parameters
    ----------
    file : FileHeaders
        Of the master.

    Returns
    -------
    MasterCards
        Dates that are no ``YYYY-MM-DD`` count as missing.
    """

    def text(keyword: str) -> str:
        found = (hdu.cards.text(keyword).strip() for hdu in file.hdus)
        return next((value for value in found if value), "")

    band = text("BAND")
    return MasterCards(
        master_type=text("MASTER_TYPE").upper(),
        start=_date(text("START_DATE")),
        end=_date(text("END_DATE")),
        mask_name=text("MASK_NAME"),
        band=canonical_band(band) if band else None,
    )


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None
