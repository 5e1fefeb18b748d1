"""What VizieR is asked for a catalogue's stars."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from reduction.refcat.columns import ColumnMap, columns_of
from reduction.refcat.known import PRESETS, Preset
from reduction.refcat.regions import Cone

MOST_ROWS: Final = 200_000
STEP_MAG: Final = 1.5  # brighter, where there are more rows than that
BRIGHTEST_LIMIT: Final = 8.0
# How deep a cone of up to a radius, degrees, is asked for: some ten thousand stars on the average.
_DEPTHS: Final = ((0.25, 20.0), (0.6, 18.5), (1.5, 16.5), (4.0, 14.0), (10.0, 11.5))
LARGEST_DEG: Final = _DEPTHS[-1][0]
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Table:
    """A table of VizieR that a catalogue's stars may come from.

    Attributes
    ----------
    name : str
        As VizieR calls it.
    preset : Preset
        Its columns.
    limit : str
        The column that is cut at a magnitude.
    is_whole : bool
        Whether it has stars everywhere between `south_deg` and `north_deg`; where it has not, a
        sky without a star is one it does not cover.
    south_deg, north_deg : float
        Declinations it reaches.
    filters : mapping of str to str
        What else a row must have, in VizieR's words.
    """

    name: str
    preset: Preset
    limit: str
    is_whole: bool = True
    south_deg: float = -90.0
    north_deg: float = 90.0
    filters: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    @property
    def columns(self) -> list[str]:
        """The columns to ask for; VizieR works out the last two for any table."""
        own = [name for names in self.preset.columns.values() for name in names]
        return list(dict.fromkeys([*columns_of(own, ()), "_RAJ2000", "_DEJ2000"]))

    @property
    def column_map(self) -> ColumnMap:
        """Which of its columns are what."""
        preset = self.preset
        return ColumnMap(preset.columns, preset.units, preset.systems, is_strict=False)

    def reaches(self, cone: Cone) -> bool:
        """Tell whether some of a cone lies between its declinations."""
        north, south = cone.dec_deg + cone.radius_deg, cone.dec_deg - cone.radius_deg
        return north > self.south_deg and south < self.north_deg


def _table(name: str, preset: str, limit: str, **more: Any) -> Table:  # noqa: ANN401 - its fields
    return Table(name, PRESETS[preset], limit, **more)


TABLES: Final[Mapping[str, Table]] = {
    "gaiadr3syn": _table("I/360/syntphot", "vizier-gaiadr3syn", "rmag"),
    "ps1": _table("II/349/ps1", "vizier-ps1", "rmag", south_deg=-30.0),
    "skymapper": _table("II/379/smssdr4", "vizier-skymapper4", "rPSF", is_whole=False),
    # Rows of class 6 are stars, of mode 1 the one measurement that counts.
    "sdss": _table(
        "V/154/sdss16", "vizier-sdss16", "rmag", is_whole=False,
        filters={"class": "=6", "mode": "=1"},
    ),
    "atlas": _table("J/ApJ/867/105/refcat2", "vizier-refcat2", "rmag"),
    "gaiaedr3": _table("I/355/gaiadr3", "vizier-gaiadr3", "Gmag"),
    "2mass": _table("II/246/out", "vizier-2mass", "Jmag"),
    "vhs": _table("II/367/vhs_dr5", "vizier-vhs5", "Jap3", is_whole=False),
    "apass": _table("II/336/apass9", "vizier-apass9", "Vmag", is_whole=False),
    "tycho2": _table("I/259/tyc2", "vizier-tycho2", "VTmag"),
}  # fmt: skip


def depth_of(radius_deg: float) -> float:
    """Return the faintest magnitude to ask a cone for, so that its stars are not too many."""
    return next((mag for radius, mag in _DEPTHS if radius_deg <= radius), _DEPTHS[-1][1])
