"""The step of a science block that puts its frames on the sky."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.services import refcats, reference_stars, sky_columns
from reduction.cards import ProductCard
from reduction.errors import ReductionError
from reduction.exposure import Exposure
from reduction.headers.sky import sky_cards
from reduction.image import Image
from reduction.onsky import CHAIN_VERSION, OnSky, put_on_sky


@dataclass(frozen=True, slots=True)
class SkyFacts:
    """What was found of a frame: cards for the header of its pixels, columns for its row."""

    cards: Sequence[ProductCard] = ()
    columns: Mapping[str, Any] = field(default_factory=sky_columns.none)


@dataclass(frozen=True, slots=True)
class SkyWork:
    """Whether frames are put on the sky, and by which catalogues."""

    is_wanted: bool
    key: str

    @classmethod
    def of(cls, code: str) -> "SkyWork":
        """Return what a job's execution code asks for, with the catalogues there are now."""
        is_wanted = "am" in code
        return cls(is_wanted, _key() if is_wanted else "")

    def put(self, image: Image, exposure: Exposure, log: logging.Logger) -> SkyFacts:
        """Return what was found of a calibrated frame, nothing where it is not looked at.

        A spectrum has no stars to tell its place by. A frame whose sources cannot be told apart
        is reduced all the same.
        """
        info = exposure.info
        if not self.is_wanted or info.technique == "spectroscopy":
            return SkyFacts()
        try:
            found = put_on_sky(image, info, reference_stars.asker(info.band, info.mid_utc))
        except ReductionError as error:
            log.warning("%s: %s", exposure.name, error)
            return SkyFacts()
        log.info("%s: %s", exposure.name, told(found))
        ny, nx = image.data.shape
        return SkyFacts(sky_cards(found, (ny, nx)), sky_columns.columns(found, (ny, nx)))


def told(found: OnSky) -> str:
    """Return in a sentence what became of a frame, for its job's log."""
    if found.solution is None:
        return f"{sky_columns.UNSOLVED}: {found.message}"
    wcs = found.solution.wcs
    zero = found.zero_point
    light = (
        f"zero point {zero.value:.3f} +- {zero.error:.3f} mag from {zero.n_used} stars"
        if zero is not None
        else f"no zero point: {found.no_zero_point}"
    )
    return (
        f"solved at {wcs.crval[0]:.5f} {wcs.crval[1]:+.5f}, {wcs.scale_arcsec:.4f} arcsec a pixel, "
        f"{found.rms_arcsec:.3f} arcsec on stars left out; {light}"
    )


def _key() -> str:
    """Return what results hang on besides frame and masters: this chain and the catalogues."""
    parts = [str(CHAIN_VERSION)]
    for meta in refcats.catalogues():
        parts += [meta.name, *(fact.sha256 for _, fact in sorted(meta.columns.items()))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
