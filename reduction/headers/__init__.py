"""FITS headers to FrameInfo, one file a family of writers, and products to cards.

The only place that spells FITS keywords.
"""

from reduction.headers.product import Provenance, master_cards, reduced_cards
from reduction.headers.profiles import profile_from_config
from reduction.headers.series import Run, Series
from reduction.headers.translate import translate

__all__ = [
    "Provenance",
    "Run",
    "Series",
    "master_cards",
    "profile_from_config",
    "reduced_cards",
    "translate",
]
