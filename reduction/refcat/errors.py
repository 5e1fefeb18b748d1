"""What can go wrong with a reference catalogue."""

from reduction.errors import ReductionError


class BadCatalogueError(ReductionError):
    """A file cannot be made into a catalogue, or a stored catalogue cannot be read."""


class BadRegionError(ReductionError):
    """A piece of sky that is none: a declination beyond a pole, corners that are not convex."""


class NotCoveredError(ReductionError):
    """Nothing of the sky asked for is loaded, which is not the same as a sky without stars."""

    def __init__(self, catalogue: str, ra_deg: float, dec_deg: float) -> None:
        super().__init__(
            f"the catalogue {catalogue} has not been loaded for the sky "
            f"around RA {ra_deg:.4f}, Dec {dec_deg:+.4f}"
        )
        self.catalogue = catalogue
        self.ra_deg = ra_deg
        self.dec_deg = dec_deg


class NoMagnitudeError(ReductionError):
    """A catalogue has no such magnitude, and no published relation leads from it to one."""
