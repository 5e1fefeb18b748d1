"""What a user writes on a command line, understood: columns, units, systems, sky."""

from collections.abc import Mapping, Sequence
from typing import Final

from reduction.refcat.columns import ColumnMap, is_band
from reduction.refcat.coverage import Coverage, declared, joined, whole_sky
from reduction.refcat.errors import BadCatalogueError, BadRegionError
from reduction.refcat.known import PRESETS, Preset
from reduction.refcat.regions import Cone
from reduction.refcat.systems import System, system_of

_POLE: Final = 90.0


def pairs_of(text: str, what: str) -> dict[str, str]:
    """Return ``a=b,c=d`` as a mapping.

    Raises
    ------
    BadCatalogueError
        If a part is not ``name=value``, or a name stands twice.
    """
    pairs: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value):
            raise BadCatalogueError(f"{what} are written name=value,name=value; {part!r} is not")
        if name in pairs:
            raise BadCatalogueError(f"{what}: {name} stands twice")
        pairs[name] = value
    return pairs


def preset_of(name: str) -> Preset:
    """Return a preset by its name.

    Raises
    ------
    BadCatalogueError
        If there is none of that name.
    """
    if name not in PRESETS:
        raise BadCatalogueError(f"there is no preset {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]


def column_map(
    columns: Mapping[str, str],
    *,
    units: Mapping[str, str],
    system: str = "",
    preset: Preset | None = None,
) -> ColumnMap:
    """Return which columns are what; what the user says goes before the preset.

    Parameters
    ----------
    columns, units : mapping of str to str
        By role.
    system : str
        One system for all bands, or ``V=Johnson,g=SDSS``.
    preset : Preset, optional
        Of a well-known download.
    """
    said = {role: (name,) for role, name in columns.items()}
    base = dict(preset.columns) if preset else {}
    roles = base | said
    systems = (dict(preset.systems) if preset else {}) | _systems(system, roles)
    all_units = (dict(preset.units) if preset else {}) | dict(units)
    return ColumnMap(roles, all_units, systems, is_strict=preset is None)


def coverage_of(parts: Sequence[str]) -> Coverage | None:
    """Return the sky a user says is loaded, None where they do not say.

    Parameters
    ----------
    parts : sequence of str
        Each ``sky``, ``dec>-30``, ``dec<10``, or ``RA,DEC,RADIUS`` in degrees; together they count.

    Raises
    ------
    BadCatalogueError
        If one is none of these.
    """
    return joined([_sky(part.replace(" ", "")) for part in parts]) if parts else None


def _sky(text: str) -> Coverage:
    try:
        if text == "sky":
            return whole_sky()
        if text.startswith("dec>"):
            return declared(Cone(0.0, _POLE, _POLE - float(text[4:])))
        if text.startswith("dec<"):
            return declared(Cone(0.0, -_POLE, _POLE + float(text[4:])))
        ra, dec, radius = (float(number) for number in text.split(","))
        return declared(Cone(ra, dec, radius))
    except (ValueError, BadRegionError) as error:
        raise BadCatalogueError(
            f"{text!r} is no piece of sky: write sky, dec>-30, dec<10, or RA,DEC,RADIUS in degrees"
        ) from error


def _systems(text: str, roles: Mapping[str, object]) -> dict[str, System]:
    if not text:
        return {}
    if "=" not in text:
        return dict.fromkeys((role for role in roles if is_band(role)), system_of(text))
    systems = {band: system_of(name) for band, name in pairs_of(text, "systems").items()}
    for band in systems:
        if band not in roles:
            raise BadCatalogueError(f"a system is given for {band}, but no column")
    return systems
