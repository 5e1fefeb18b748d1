"""The step of a science block that puts its frames on the sky."""

import hashlib
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from app.models import Block
from app.services import online_catalogues, refcats, reference_stars, second_opinion, sky_columns
from app.wording import counted
from reduction.astrometry.footprint import cells_of
from reduction.cards import ProductCard
from reduction.errors import ReductionError
from reduction.exposure import Calibrated, Exposure
from reduction.frameinfo import FrameInfo
from reduction.headers.sky import sky_cards
from reduction.image import Image
from reduction.onsky import CHAIN_VERSION, OnSky, put_on_sky, with_psf
from reduction.photometry.catalogue import source_table
from reduction.photometry.sourcetable import SourceTable

SPECTROSCOPY: Final = "spectroscopy"


@dataclass(frozen=True, slots=True)
class SkyFacts:
    """What was found of a frame: cards for the header of its pixels, columns for its row.

    With its sources, and the cells of the sky it reaches into.
    """

    cards: Sequence[ProductCard] = ()
    columns: Mapping[str, Any] = field(default_factory=sky_columns.none)
    table: SourceTable | None = None
    cells: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class SkyWork:
    """Whether frames are put on the sky, by which catalogues, and with PSF fluxes or without."""

    is_wanted: bool
    key: str
    has_psf: bool = False

    @classmethod
    def of(cls, code: str, *, has_psf: bool) -> "SkyWork":
        """Return what a job's execution code asks for, with the catalogues there are now."""
        is_wanted = "am" in code
        return cls(is_wanted, _key(has_psf=has_psf) if is_wanted else "", has_psf)

    def warn_of_loss(self, block: Block, log: logging.Logger) -> None:
        """Say in the log what frames lose that were put on the sky before, and are not now.

        Their files are written anew without it, and their rows must say what the files do.
        """
        if self.is_wanted:
            return
        had = sum(1 for entry in block.entries if entry.product and entry.product.sky_state)
        if had:
            log.warning(
                "the step am is left out: what was known of the place and the zero point of %s is "
                "dropped; process the block with all steps to have it again",
                counted(had, "frame"),
            )

    def noted(self, result: Calibrated, exposure: Exposure) -> Calibrated:
        """Return a result with a note where nobody wanted it on the sky."""
        if self.is_wanted or exposure.info.technique == SPECTROSCOPY:
            return result
        return replace(result, notes=[*result.notes, sky_columns.LEFT_OUT])

    def put(self, image: Image, exposure: Exposure, log: logging.Logger) -> SkyFacts:
        """Return what was found of a calibrated frame, nothing where it is not looked at.

        A spectrum has no stars to tell its place by. A frame whose sources cannot be told apart
        is reduced all the same.
        """
        info = exposure.info
        if not self.is_wanted or info.technique == SPECTROSCOPY:
            return SkyFacts()
        try:
            fill = online_catalogues.Filler(info.band, log.info)
            asker = reference_stars.asker(info.band, info.mid_utc, fill)
            found = put_on_sky(image, info, asker, second_opinion.elsewhere())
            found = with_psf(found, image) if self.has_psf else found
        except ReductionError as error:
            log.warning("%s: %s", exposure.name, error)
            return SkyFacts()
        log.info("%s: %s", exposure.name, told(found))
        return facts_of(found, info, image)


def facts_of(found: OnSky, info: FrameInfo, image: Image) -> SkyFacts:
    """Return what is kept of what was found of a frame."""
    ny, nx = image.data.shape
    solution = found.solution
    return SkyFacts(
        sky_cards(found, (ny, nx)),
        sky_columns.columns(found, (ny, nx)),
        source_table(found, info, image),
        cells_of(solution.wcs, (ny, nx)).tolist() if solution is not None else (),
    )


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
        f"{found.rms_arcsec:.3f} arcsec on stars left out, found by its {found.found_by}; {light}"
    )


def _key(*, has_psf: bool) -> str:
    """Return what results hang on besides frame and masters: this chain and the catalogues.

    Those that were loaded: what is fetched grows by itself, for one frame at a time, and would
    have every other frame done again.
    """
    parts = [f"{CHAIN_VERSION} psf" if has_psf else str(CHAIN_VERSION)]
    loaded = (meta for meta in refcats.catalogues() if not meta.name.endswith(refcats.FETCHED))
    for meta in loaded:
        parts += [meta.name, *(fact.sha256 for _, fact in sorted(meta.columns.items()))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
