"""Every setting: name, default, type and help; infrastructure is read here once at start."""

import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flask import current_app

SettingValue = bool | int | float | str | list[str]


class ConfigError(Exception):
    """The configuration cannot be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. An infrastructure setting is fixed at start; others change while running."""

    section: str
    item: str
    default: SettingValue
    help: str
    infrastructure: bool = False
    secret: bool = False

    @property
    def name(self) -> str:
        """``section.item``."""
        return f"{self.section}.{self.item}"

    @property
    def choices(self) -> tuple[str, ...]:
        """The words it may be, none where it is not one of a few."""
        return _CHOICES.get(self.name, ())


def _fixed(item: str, default: SettingValue, text: str, *, secret: bool = False) -> Setting:
    return Setting("server", item, default, text, infrastructure=True, secret=secret)


_ZONE_HELP: Final = "zone of the times beside UTC on the pages, and of all in Goodman's records"

SETTINGS: Final = (
    _fixed("bind", "0.0.0.0:8000", "address and port the web pages are served at"),
    _fixed("raw", "", "RAW folder the telescope-control PC writes into; empty: raw/ here"),
    _fixed("database_url", "", "SQLAlchemy URL; empty: coelostat.sqlite here", secret=True),
    _fixed(
        "query_database_url",
        "",
        "PostgreSQL only: the same database as a role of its own that owns nothing, for SELECT",
        secret=True,
    ),
    _fixed("redis_url", "", "Redis-protocol server; empty: one is started here", secret=True),
    _fixed("smtp_password", "", "password of mail.smtp_user at the mail server", secret=True),
    _fixed("workers", 2, "worker processes that reduce frames"),
    _fixed("web_threads", 64, "threads of the web server; each open live page holds one"),
    _fixed("worker_memory_mb", 8192, "memory limit of one job, MB"),
    _fixed(
        "stop_wait_s", 60, "a running job may take so long to end when the program stops, seconds"
    ),
    _fixed("trusted_proxies", 0, "reverse proxies in front whose forwarded headers are believed"),
    Setting("site", "name", "Observatory", "name of the observatory, on pages and in products"),
    Setting("site", "latitude_deg", 0.0, "site latitude, degrees"),
    Setting("site", "longitude_deg", 0.0, "site longitude, degrees, east positive"),
    Setting("site", "elevation_m", 0.0, "site elevation, metres"),
    Setting("site", "timezone", "UTC", _ZONE_HELP),
    Setting("site", "url", "", "address of these pages as observers type it, for links in mails"),
    Setting("access", "visibility", "everyone", "who sees frames: everyone (signed in) or members"),
    Setting("access", "proprietary_days", 365, "days until a proposal's frames are everyone's"),
    Setting("access", "media_open", False, "serve what is public of /media/ without a token"),
    Setting("access", "token_days", 0, "days a token lives; 0: until revoked"),
    Setting("access", "invitation_days", 7, "days a link for setting a password is good"),
    Setting("scan", "watch", True, "watch RAW and take new files by itself"),
    Setting("scan", "interval_s", 10, "seconds between looks at RAW when watching"),
    Setting("scan", "settle_s", 3, "a file younger than this may still be growing, seconds"),
    Setting("plan", "automatic", False, "make and process the blocks of a night by themselves"),
    Setting("calibration", "max_age_days_bias", 30, "oldest bias that is used, days"),
    Setting("calibration", "max_age_days_dark", 30, "oldest dark that is used, days"),
    Setting("calibration", "max_age_days_flat", 30, "oldest flat that is used, days"),
    Setting("calibration", "dark_temp_tolerance_c", 2.0, "largest temperature difference, Celsius"),
    Setting("calibration", "dark_exptime_tolerance", 0.02, "same exposure within this fraction"),
    Setting("calibration", "thin_frames", 5, "a master of fewer frames is flagged as thin"),
    Setting("reduction", "clip_sigma", 5.0, "rejection threshold of combinations, sigma"),
    Setting("reduction", "cosmic_rays", True, "find cosmic rays on science frames"),
    Setting("reduction", "flat_faint_adu", 1000.0, "flats fainter than this are left out, ADU"),
    Setting("catalogues", "online", False, "fetch stars from VizieR where no catalogue has them"),
    Setting("catalogues", "server", "vizier.cds.unistra.fr", "the VizieR server that is asked"),
    Setting("catalogues", "timeout_s", 30, "seconds VizieR may take before it counts as away"),
    Setting("photometry", "psf", True, "measure sources by the point spread function as well"),
    Setting("quality", "fwhm_arcsec", 6.0, "wide: stars wider than this, arcseconds; 0: none are"),
    Setting("quality", "fwhm_times", 1.6, "wide: so many times as wide as is usual; 0: none are"),
    Setting("quality", "ellipticity", 0.25, "elongated: stars of more than this; 0: none are"),
    Setting("quality", "trail_fwhm", 1.0, "trailed: drawn out by this many FWHM; 0: none are"),
    Setting("quality", "sky_mag", 17.0, "bright_sky: brighter, mag of an arcsec^2; 0: none are"),
    Setting("quality", "sky_full", 0.3, "bright_sky: fills this part of the well; 0: none are"),
    Setting("quality", "depth_mag", 1.0, "shallow: so much less deep than is usual; 0: none are"),
    Setting("quality", "clouds_mag", 0.3, "clouds: so much below a clear sky; 0: none are"),
    Setting("quality", "astrometry_pix", 0.5, "bad_astrometry: scatter, pixels; 0: none are"),
    Setting("quality", "usual_nights", 30, "nights before that tell what is usual"),
    Setting("mail", "smtp_host", "", "mail server that takes our mails; empty: no mail is sent"),
    Setting("mail", "smtp_port", 25, "its port: 25 or 587, 465 where security is tls"),
    Setting("mail", "security", "none", "how it is spoken to: none, starttls or tls"),
    Setting("mail", "smtp_user", "", "account at the mail server; empty: it wants none"),
    Setting("mail", "sender", "", "e-mail address our mails come from"),
    Setting("mail", "reply_to", "", "e-mail address for answers where the writer has none"),
    Setting("mail", "max_recipients", 100, "people one mail may go to"),
    Setting("mail", "per_hour", 20, "mails one person may write in an hour"),
    Setting("mail", "give_up_h", 24, "hours a mail is tried while its server is away"),
    Setting("uploads", "max_mb", 4000, "most that goes in one upload, MB"),
    Setting("uploads", "max_files", 100, "most files in one upload"),
    Setting("disk", "reserve_mb", 500, "stop writing products when less is free, MB"),
    Setting("query", "max_rows", 100000, "rows a SELECT may answer"),
    Setting("query", "timeout_s", 5, "seconds a SELECT may take"),
    Setting("jobs", "lease_s", 60, "a worker silent for this long is taken for dead, seconds"),
    Setting("jobs", "max_attempts", 3, "starts of one job before it is given up"),
    Setting("jobs", "timeout_s", 3600, "longest time one job may run, seconds"),
    Setting("jobs", "keep_days", 90, "days finished jobs and their logs are kept"),
)

OPERATIONAL: Final = {s.name: s for s in SETTINGS if not s.infrastructure}

_DAY_S: Final = 86_400
_CENTURY_DAYS: Final = 36_500
# What a number must lie in, both ends included: past these the program would stop, or never rest.
_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "server.workers": (0, 1000),
    "server.web_threads": (2, 10_000),
    "server.worker_memory_mb": (256, 1 << 30),
    "server.stop_wait_s": (0, 86_400),
    "server.trusted_proxies": (0, 10),
    "site.latitude_deg": (-90, 90),
    "site.longitude_deg": (-360, 360),
    "site.elevation_m": (-500, 10_000),
    "access.proprietary_days": (0, _CENTURY_DAYS),
    "access.token_days": (0, _CENTURY_DAYS),
    "access.invitation_days": (1, 365),
    "scan.interval_s": (1, _DAY_S),
    "scan.settle_s": (0, _DAY_S),
    "calibration.max_age_days_bias": (0, _CENTURY_DAYS),
    "calibration.max_age_days_dark": (0, _CENTURY_DAYS),
    "calibration.max_age_days_flat": (0, _CENTURY_DAYS),
    "calibration.dark_temp_tolerance_c": (0, 1000),
    "calibration.dark_exptime_tolerance": (0, 0.5),
    "calibration.thin_frames": (0, 10_000),
    "reduction.clip_sigma": (1, 1000),
    "reduction.flat_faint_adu": (0, 1e9),
    "catalogues.timeout_s": (1, 600),
    "quality.fwhm_arcsec": (0, 1000),
    "quality.fwhm_times": (0, 100),
    "quality.ellipticity": (0, 1),
    "quality.trail_fwhm": (0, 100),
    "quality.sky_mag": (0, 30),
    "quality.sky_full": (0, 1),
    "quality.depth_mag": (0, 30),
    "quality.clouds_mag": (0, 30),
    "quality.astrometry_pix": (0, 1000),
    "quality.usual_nights": (0, 1000),
    "mail.smtp_port": (1, 65_535),
    "mail.max_recipients": (1, 10_000),
    "mail.per_hour": (1, 100_000),
    "mail.give_up_h": (0, 30 * 24),
    "uploads.max_mb": (1, 10**7),
    "uploads.max_files": (1, 10_000),
    "disk.reserve_mb": (0, 10**9),
    "query.max_rows": (1, 10**7),
    "query.timeout_s": (1, 600),
    "jobs.lease_s": (1, 3600),
    "jobs.max_attempts": (1, 1000),
    "jobs.timeout_s": (1, 30 * _DAY_S),
    "jobs.keep_days": (1, _CENTURY_DAYS),
}
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "access.visibility": ("everyone", "members"),
    "mail.security": ("none", "starttls", "tls"),
}
_ADDRESS: Final = (r"[^\s@<>,;:\"\\()\[\]]+@[\w.-]+\w", "an e-mail address")
# What a text must look like where it is not empty, and how that is said.
_SHAPES: Final[Mapping[str, tuple[str, str]]] = {
    "site.url": (r"https?://[^\s/?#@]+(/[^\s?#]*)?", "like http://dome:8000"),
    "mail.smtp_host": (r"[\w.:-]+", "the name or address of a machine"),
    "catalogues.server": (r"[\w.:-]+", "the name or address of a machine"),
    "mail.sender": _ADDRESS,
    "mail.reply_to": _ADDRESS,
}
_ZONE: Final = "site.timezone"
_KINDS: Final = {bool: "true or false", int: "a whole number", float: "a number"}

_ENVIRONMENT: Final = {
    "bind": "COELOSTAT_BIND",
    "raw": "COELOSTAT_RAW",
    "database_url": "DATABASE_URL",
    "query_database_url": "QUERY_DATABASE_URL",
    "redis_url": "REDIS_URL",
    "smtp_password": "COELOSTAT_SMTP_PASSWORD",
    "workers": "COELOSTAT_WORKERS",
    "web_threads": "COELOSTAT_WEB_THREADS",
}


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration of one start of the program."""

    instance: Path
    raw: Path
    bind: str
    database_url: str
    query_database_url: str
    redis_url: str
    workers: int
    web_threads: int
    worker_memory_mb: int
    stop_wait_s: int
    trusted_proxies: int
    secret_key: str
    smtp_password: str = ""
    admin_password: str | None = None
    defaults: Mapping[str, SettingValue] = field(default_factory=dict)
    cameras: tuple[Mapping[str, Any], ...] = ()


def coerce(setting: Setting, value: object) -> SettingValue:
    """Return `value` as the setting's type; strings as they come from forms are understood.

    Raises
    ------
    ConfigError
        If the value cannot be read as the type of the default, or nothing could work with it.
    """
    coerced = _typed(setting, value)
    if setting.name in _RANGES:
        _check_range(setting, float(str(coerced)))
    elif setting.choices and coerced not in setting.choices:
        raise ConfigError(f"{setting.name} must be {' or '.join(setting.choices)}, not {coerced!r}")
    elif setting.name == _ZONE:
        _check_zone(setting, str(coerced))
    elif setting.name in _SHAPES:
        _check_shape(setting, str(coerced))
    return coerced


def _check_shape(setting: Setting, value: str) -> None:
    pattern, words = _SHAPES[setting.name]
    if value and not re.fullmatch(pattern, value):
        raise ConfigError(f"{setting.name} must be {words}, not {value!r}")


def _check_range(setting: Setting, value: float) -> None:
    least, most = _RANGES[setting.name]
    if not least <= value <= most:  # NaN is refused here too
        kind = _KINDS[type(setting.default)]
        raise ConfigError(f"{setting.name} must be {kind} from {least} to {most}, not {value:g}")


def _check_zone(setting: Setting, name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"{setting.name} must be a zone such as UTC or America/Santiago, not {name!r}"
        ) from error


def _typed(setting: Setting, value: object) -> SettingValue:
    default = setting.default
    try:
        if isinstance(default, bool):
            return _as_bool(value)
        if isinstance(default, int):
            return int(str(value))
        if isinstance(default, float):
            return float(str(value))
    except ValueError:
        kind = _KINDS[type(default)]
        raise ConfigError(f"{setting.name} must be {kind}, not {value!r}") from None
    if isinstance(default, list):
        parts = value if isinstance(value, list) else str(value).split(",")
        return [str(part).strip() for part in parts]
    return str(value)


def _as_bool(value: object) -> bool:
    text = str(value).strip().lower()
    if text in {"true", "1", "yes", "on"}:
        return True
    if text in {"false", "0", "no", "off"}:
        return False
    raise ValueError(text)


def load(environ: Mapping[str, str] = os.environ) -> Config:
    """Read the instance folder's config.toml and the environment, which wins."""
    root = Path(__file__).resolve().parent.parent
    instance = Path(environ.get("COELOSTAT_INSTANCE") or root / "instance").resolve()
    table = _read_toml(instance / "config.toml")
    fixed = _infrastructure(table, environ)
    return Config(
        instance=instance,
        raw=Path(str(fixed.pop("raw")) or instance / "raw").resolve(),
        database_url=str(fixed.pop("database_url")) or f"sqlite:///{instance}/coelostat.sqlite",
        secret_key=_secret_key(instance),
        admin_password=environ.get("COELOSTAT_ADMIN_PASSWORD") or None,
        defaults=_operational(table),
        cameras=tuple(table.get("cameras", ())),
        **fixed,
    )


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not good TOML: {error}") from error


def _infrastructure(table: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    server = table.get("server", {})
    fixed: dict[str, Any] = {}
    for setting in (s for s in SETTINGS if s.infrastructure):
        variable = _ENVIRONMENT.get(setting.item, "")
        value = environ.get(variable) or server.get(setting.item, setting.default)
        fixed[setting.item] = coerce(setting, value)
    unknown = set(server) - set(fixed)
    if unknown:
        raise ConfigError(f"config.toml: [server] has no setting {sorted(unknown)[0]!r}")
    return fixed


def _operational(table: Mapping[str, Any]) -> dict[str, SettingValue]:
    values: dict[str, SettingValue] = {}
    for section, items in table.items():
        if section in {"server", "cameras"}:
            continue
        if not isinstance(items, Mapping):
            raise ConfigError(f"config.toml: {section!r} must be a table")
        for item, value in items.items():
            setting = OPERATIONAL.get(f"{section}.{item}")
            if setting is None:
                raise ConfigError(f"config.toml: there is no setting {section}.{item}")
            values[setting.name] = coerce(setting, value)
    return values


def _secret_key(instance: Path) -> str:
    """Return the key that signs sessions, made at the first start and kept to its owner."""
    path = instance / "secret_key"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        instance.mkdir(parents=True, exist_ok=True)
    key = secrets.token_hex(32)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:  # another process of the same start was quicker
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as stream:
        stream.write(key)
    return key


def current() -> Config:
    """Return the configuration the running application was made with."""
    return cast(Config, current_app.extensions["coelostat.config"])
