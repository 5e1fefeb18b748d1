"""What a site would write in its configuration for the cameras of the real frames."""

from typing import Any

from reduction.camera import CameraProfile
from reduction.headers import profile_from_config

# As [[cameras]] tables of config.toml would be read.
CAMERAS: list[dict[str, Any]] = [
    {
        "name": "STE3",
        "instrument": "STE3 CCD",
        "telescope": "SAAO*",
        "site": {"latitude_deg": -32.38, "longitude_deg": 20.81, "elevation_m": 1798.0},
        "name_rules": [{"pattern": "?KB*I[0-9]*", "band": "I"}],
    },
    {
        "name": "STL-1001",
        "instrument": "SBIG STL-1001*",
        "site": {"latitude_deg": 40.91, "longitude_deg": -73.12, "elevation_m": 50.0},
        "settles": {"gain_e_per_adu": 1.8, "read_noise_e": 11.3},
        "name_rules": [{"pattern": "flat-*", "kind": "flat", "flat_source": "dome"}],
    },
    {
        "name": "ST-402 spectrograph",
        "instrument": "SBIG ST-402*",
        "site": {"latitude_deg": 40.91, "longitude_deg": -73.12, "elevation_m": 50.0},
        "settles": {"technique": "spectroscopy"},
        "name_rules": [
            {"pattern": "*.dark.fit", "kind": "dark"},
            {"pattern": "*-arc-hg*", "kind": "arc", "band": "hg"},
            {"pattern": "*-arc-*", "kind": "arc", "band": "neon"},
            {"pattern": "*-flat-hg*", "kind": "flat", "band": "hg"},
            {"pattern": "*-flat-*", "kind": "flat", "band": "neon"},
            {"pattern": "*-star-hg*", "kind": "standard", "band": "hg"},
            {"pattern": "*-star-*", "kind": "standard", "band": "neon"},
            {"pattern": "*-sci-hg*", "kind": "science", "band": "hg"},
            {"pattern": "*-sci-*", "kind": "science", "band": "neon"},
        ],
    },
    {
        "name": "Huntsman",
        "instrument": "371d420013090900",
        "name_rules": [{"pattern": "flat_*", "kind": "flat", "flat_source": "sky"}],
    },
    {
        "name": "SPRAT",
        "instrument": "SPRAT",
        "name_rules": [{"pattern": "v_slit_*", "kind": "flat", "band": "red", "level": 1}],
    },
    {
        "name": "SPRAT, nameless",
        "instrument": "unidentified",
        "name_rules": [
            {
                "pattern": "v_dark_*",
                "instrument": "SPRAT",
                "band": "red",
                "technique": "spectroscopy",
            }
        ],
    },
]


def site_profiles() -> tuple[CameraProfile, ...]:
    """Return the profiles of these cameras."""
    return tuple(profile_from_config(table) for table in CAMERAS)
