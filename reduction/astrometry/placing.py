"""Where a frame points: by its hints, by quads wherever it points, by other programs' opinion."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from reduction.astrometry.blind import Scales, places
from reduction.astrometry.matching import WIDENING, Step
from reduction.astrometry.quads import QuadTables, quads_of
from reduction.astrometry.solution import Pointing, SkyList, Solution, StarList, UnsolvedError
from reduction.astrometry.solver import RIM, check_stars, prove, solve

Floats = npt.NDArray[np.float64]
POINTING_DEG: Final = 0.3  # a header may be off by, at least
POINTING_FIELDS: Final = 1.0  # and by so many widths of the frame
REACH: Final = 2.0  # times the radius that is asked of a catalogue: the solver widens its search
AT_FIRST: Final = 1  # steps of the search near the pointing, before it is looked for anywhere
OF_OPINION: Final = 3  # steps of the search near what another program says
UNSCALED_DEG: Final = 1.5  # looked at around a pointing where the scale is not known
MOST_IN_MEMORY: Final = 20_000  # brightest stars of which quads are made on the spot


class Positions(Protocol):
    """Stars of a catalogue, degrees, the brightest first."""

    @property
    def ra_deg(self) -> Floats: ...  # noqa: D102
    @property
    def dec_deg(self) -> Floats: ...  # noqa: D102


Known = TypeVar("Known", bound=Positions)
Ask = Callable[[float, float, float], Sequence[Known]]
Opinion = Callable[[StarList], Pointing | None]


@dataclass(frozen=True, slots=True)
class Hints:
    """What is believed of a frame; None is not known."""

    ra_deg: float | None
    dec_deg: float | None
    scale_arcsec: float | None


def _no_indexes() -> Sequence[QuadTables]:
    return ()


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What is turned to where the hints do not lead to a place.

    Attributes
    ----------
    indexes : callable
        Gives the quads of the catalogues there are.
    opinions : sequence of callable
        Other programs, each giving a pointing or None; it is proved as any other.
    """

    indexes: Callable[[], Sequence[QuadTables]] = _no_indexes
    opinions: Sequence[Opinion] = field(default_factory=tuple)


HINTS_ALONE: Final = Elsewhere()


@dataclass(frozen=True, slots=True)
class Placed(Generic[Known]):
    """A place that was proved.

    Attributes
    ----------
    solution : Solution
        With its matches.
    reference : Known
        The stars that proved it.
    around : sequence of Known
        What all catalogues hold there.
    found_by : str
        ``pointing``, ``quads``, or ``opinion``.
    """

    solution: Solution
    reference: Known
    around: Sequence[Known]
    found_by: str


def place(
    stars: StarList, hints: Hints, ask: Ask[Known], elsewhere: Elsewhere = HINTS_ALONE
) -> Placed[Known]:
    """Find where a frame points.

    Near its pointing at first; then, wherever catalogues have quads; then near its pointing with
    more patience; then where another program says. Whoever says so, a place counts only when
    stars left out of the fit prove it.

    Parameters
    ----------
    stars : StarList
        What was detected.
    hints : Hints
        Where it is believed to point, at which scale.
    ask : callable
        Gives the stars of catalogues within a radius of a place, degrees; those to be tried
        first come first.
    elsewhere : Elsewhere
        What is turned to where the hints do not lead to a place.

    Returns
    -------
    Placed
        With the stars around it.

    Raises
    ------
    UnsolvedError
        With its cause.
    """
    check_stars(stars)
    near = _Near.of(stars, hints, ask)
    placed = (
        near.solved(WIDENING[:AT_FIRST])
        or _by_quads(stars, near, ask, elsewhere)
        or near.solved(WIDENING[AT_FIRST:])
        or _by_opinion(stars, ask, elsewhere)
    )
    if placed is not None:
        return placed
    raise near.failure(stars)


@dataclass(frozen=True, slots=True)
class _Near(Generic[Known]):
    """What catalogues hold around where a frame is believed to point."""

    stars: StarList
    hints: Hints
    pointing: Pointing | None
    around: Sequence[Known]

    @classmethod
    def of(cls, stars: StarList, hints: Hints, ask: Ask[Known]) -> "_Near[Known]":
        ra, dec, scale = hints.ra_deg, hints.dec_deg, hints.scale_arcsec
        if ra is None or dec is None:
            return cls(stars, hints, None, ())
        if scale is None:
            return cls(stars, hints, None, ask(ra, dec, UNSCALED_DEG))
        width_deg = max(stars.shape) * scale / 3600
        pointing = Pointing(ra, dec, scale, max(POINTING_DEG, POINTING_FIELDS * width_deg))
        half_deg = float(np.hypot(*stars.shape)) / 2 * scale / 3600
        return cls(stars, hints, pointing, ask(ra, dec, REACH * pointing.radius_deg + half_deg))

    def solved(self, steps: Sequence[Step]) -> Placed[Known] | None:
        """Return the place the first catalogue proves."""
        if self.pointing is None:
            return None
        for reference in self.around:
            sky = SkyList(reference.ra_deg, reference.dec_deg)
            try:
                found = solve(self.stars, sky, self.pointing, steps)
            except UnsolvedError:
                continue
            return Placed(found, reference, self.around, "pointing")
        return None

    def failure(self, stars: StarList) -> UnsolvedError:
        """Return why no place was found."""
        if self.hints.ra_deg is None or self.hints.dec_deg is None:
            return UnsolvedError(
                "no_pointing",
                "its header does not say where it points, and its stars were not recognised "
                "anywhere in the catalogues of this site: give it RA and DEC",
            )
        if not self.around:
            return UnsolvedError(
                "not_covered",
                "no catalogue of this site covers where the frame points: load one that does",
            )
        if self.pointing is None:
            return UnsolvedError(
                "no_scale",
                "neither its header nor its camera's profile says how large a pixel is on the "
                "sky, and its stars were not recognised: give the profile pixel_scale_arcsec",
            )
        return UnsolvedError(
            "no_match",
            f"the {len(stars.x)} stars of this frame match no catalogue of this site, neither "
            f"within {2 * self.pointing.radius_deg:.2f} degrees of its pointing nor elsewhere: is "
            f"the scale of {self.pointing.scale_arcsec:.3f} arcsec a pixel right, and the frame "
            "in focus?",
        )


def _by_quads(
    stars: StarList, near: _Near[Known], ask: Ask[Known], elsewhere: Elsewhere
) -> Placed[Known] | None:
    """Return the place that quads of the frame lead to."""
    for index in _indexes(near, elsewhere):
        for found in places(stars, index, Scales()):
            at, half_deg = found.pointing, _half_deg(stars, found.pointing)
            around = ask(at.ra_deg, at.dec_deg, RIM * half_deg)
            for reference in around:
                sky = SkyList(reference.ra_deg, reference.dec_deg)
                solution = prove(stars, sky, at, found.trial, n_tried=found.n_tried)
                if solution is not None:
                    return Placed(solution, reference, around, "quads")
    return None


def _indexes(near: _Near[Known], elsewhere: Elsewhere) -> Iterator[QuadTables]:
    """Yield what there are; where there is none, one of the stars around the pointing."""
    stored = elsewhere.indexes()
    yield from stored
    if not stored:
        for one in near.around[:1]:
            yield quads_of(one.ra_deg[:MOST_IN_MEMORY], one.dec_deg[:MOST_IN_MEMORY])


def _by_opinion(stars: StarList, ask: Ask[Known], elsewhere: Elsewhere) -> Placed[Known] | None:
    """Return the place that another program knows, when our catalogues prove it."""
    for opinion in elsewhere.opinions:
        pointing = opinion(stars)
        if pointing is None:
            continue
        reach_deg = REACH * pointing.radius_deg + _half_deg(stars, pointing)
        around = ask(pointing.ra_deg, pointing.dec_deg, reach_deg)
        for reference in around:
            sky = SkyList(reference.ra_deg, reference.dec_deg)
            try:
                found = solve(stars, sky, pointing, WIDENING[:OF_OPINION])
            except UnsolvedError:
                continue
            return Placed(found, reference, around, "opinion")
    return None


def _half_deg(stars: StarList, pointing: Pointing) -> float:
    return float(np.hypot(*stars.shape)) / 2 * pointing.scale_arcsec / 3600
