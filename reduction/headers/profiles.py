"""What the site's configuration says of its cameras, over what their headers say."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reduction.camera import CameraProfile, NameRule, Observatory
from reduction.frameinfo import FrameKind
from reduction.headers.draft import Draft

_SITE_FIELDS = ("latitude_deg", "longitude_deg", "elevation_m", "name")
_PROFILE_FIELDS = ("name", "instrument", "telescope", "settles", "site", "name_rules")
_TECHNIQUES = ("imaging", "spectroscopy")


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _kind(value: object) -> FrameKind:
    return FrameKind(_text(value))


def _technique(value: object) -> str:
    if value not in _TECHNIQUES:
        raise ValueError
    return str(value)


def _done(value: object) -> frozenset[str]:
    if not isinstance(value, list | tuple | frozenset | set):
        raise TypeError
    return frozenset(_text(item) for item in value)


# What a profile may settle, and what makes a value of it.
_SETTLED: dict[str, tuple[Callable[[object], object], str]] = {
    "kind": (_kind, "one of " + ", ".join(FrameKind)),
    "technique": (_technique, "imaging or spectroscopy"),
    "done": (_done, "a list of texts"),
    **dict.fromkeys(
        ["band", "flat_source", "object_name", "proposal_code", "observer", "readout_mode"]
        + ["instrument", "telescope", "bayer_pattern"],
        (_text, "a text"),
    ),
    **dict.fromkeys(
        ["gain_e_per_adu", "read_noise_e", "saturation_adu", "gain_setting", "offset_setting"]
        + ["exptime_s", "temp_c", "temp_set_c", "pedestal_adu", "pixel_scale_arcsec"],
        (_number, "a number"),
    ),
    **dict.fromkeys(
        ["level", "bits", "binning_x", "binning_y", "ncombine"], (_whole, "a whole number")
    ),
}


def _settled(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    settled = {}
    for name, value in table.items():
        if name not in _SETTLED:
            known = ", ".join(sorted(_SETTLED))
            raise ValueError(f"{where}: '{name}' cannot be settled. Known are: {known}.")
        make, wanted = _SETTLED[name]
        try:
            settled[name] = make(value)
        except (TypeError, ValueError):
            raise ValueError(f"{where}: {name} must be {wanted}, not {value!r}.") from None
    return settled


def _site(table: object, where: str) -> Observatory:
    if not isinstance(table, Mapping):
        raise ValueError(f"{where}: site must be a table.")  # noqa: TRY004 - one error for all
    unknown = sorted(set(table) - set(_SITE_FIELDS))
    if unknown:
        raise ValueError(f"{where}: site has no '{unknown[0]}', only {', '.join(_SITE_FIELDS)}.")
    try:
        return Observatory(
            latitude_deg=_number(table["latitude_deg"]),
            longitude_deg=_number(table["longitude_deg"]),
            elevation_m=_number(table.get("elevation_m", 0.0)),
            name=_text(table.get("name", "")),
        )
    except KeyError as missing:
        raise ValueError(f"{where}: site needs {missing.args[0]}.") from None
    except TypeError:
        raise ValueError(f"{where}: a value of site has the wrong type.") from None


def _name_rule(table: object, where: str) -> NameRule:
    if not isinstance(table, Mapping) or not isinstance(table.get("pattern"), str):
        raise ValueError(f"{where}: each of name_rules is a table with a pattern.")  # noqa: TRY004
    rest = {name: value for name, value in table.items() if name != "pattern"}
    return NameRule(table["pattern"], _settled(rest, f"{where}, rule {table['pattern']}"))


def profile_from_config(table: Mapping[str, Any]) -> CameraProfile:
    """Make a camera profile of one ``[[cameras]]`` table of the configuration.

    Parameters
    ----------
    table : mapping
        ``name``, and any of ``instrument``, ``telescope`` (shell patterns), ``settles`` (FrameInfo
        fields), ``site`` (latitude_deg, longitude_deg, elevation_m, name) and ``name_rules`` (each
        a pattern and the fields it settles).

    Returns
    -------
    CameraProfile

    Raises
    ------
    ValueError
        With a sentence that names the camera, the key and what it may be.
    """
    name = table.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError("A camera in the configuration has no name.")
    where = f"Camera '{name}'"
    unknown = sorted(set(table) - set(_PROFILE_FIELDS))
    if unknown:
        raise ValueError(f"{where}: no key '{unknown[0]}', only {', '.join(_PROFILE_FIELDS)}.")
    patterns = {key: table.get(key, "*") for key in ("instrument", "telescope")}
    for key, pattern in patterns.items():
        if not isinstance(pattern, str):
            raise ValueError(f"{where}: {key} must be a text.")  # noqa: TRY004 - one error for all
    rules, settles = table.get("name_rules", ()), table.get("settles", {})
    if not isinstance(rules, list | tuple):
        raise ValueError(f"{where}: name_rules must be a list.")  # noqa: TRY004 - one error for all
    if not isinstance(settles, Mapping):
        raise ValueError(f"{where}: settles must be a table.")  # noqa: TRY004 - one error for all
    return CameraProfile(
        name=name,
        instrument=patterns["instrument"],
        telescope=patterns["telescope"],
        settles=_settled(settles, where),
        name_rules=tuple(_name_rule(rule, where) for rule in rules),
        site=_site(table["site"], where) if "site" in table else None,
    )


def matching_profile(
    profiles: Sequence[CameraProfile], instrument: str, telescope: str
) -> CameraProfile | None:
    """Return the first profile that speaks of this camera, None where none does."""
    return next((p for p in profiles if p.matches(instrument, telescope)), None)


def apply_profile(draft: Draft, profile: CameraProfile) -> None:
    """Let the profile settle what it names; its first matching file-name rule comes last."""
    _settle(draft, profile.settles, f"camera profile {profile.name}")
    rule = next((r for r in profile.name_rules if r.matches(draft.file_name)), None)
    if rule is not None:
        _settle(draft, rule.settles, f"camera profile {profile.name}, file name {rule.pattern}")


def _settle(draft: Draft, settles: Mapping[str, Any], rule: str) -> None:
    for name, value in settles.items():
        draft.put(name, value, "", rule)
        if name == "kind":
            draft.values["kind_doubt"] = None
