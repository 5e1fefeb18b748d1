"""What a frame's header says, in the field's terms: the result of header translation."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from datetime import date, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from reduction.camera import Amplifier

# Keyword ("" for none), rule and doubt of a translated value.
Note = tuple[str, str, str | None]


class FrameKind(StrEnum):
    """What a frame was taken for. A master is a `FrameInfo` of this kind with level 1."""

    BIAS = "bias"
    DARK = "dark"
    FLAT = "flat"
    SCIENCE = "science"
    STANDARD = "standard"
    ARC = "arc"
    FOCUS = "focus"
    POINTING = "pointing"
    GUIDE = "guide"
    TEST = "test"
    UNKNOWN = "unknown"


class Origin(NamedTuple):
    """Where a translated value comes from: the raw card, the rule that chose it, and any doubt."""

    card: str
    rule: str
    doubt: str | None = None


class Origins(Mapping[str, Origin]):
    """The origins of an exposure's values; their cards are looked up when they are asked for.

    Parameters
    ----------
    card_of : callable
        Returns the raw card of a keyword.
    notes : mapping
        Keyword, rule and doubt by the name of the value; not copied.
    doubts : mapping or None
        The doubts of `notes` by the name of the value, where they are known already.
    """

    __slots__ = ("_card_of", "_doubts", "_notes")

    def __init__(
        self,
        card_of: Callable[[str], str],
        notes: Mapping[str, Note],
        doubts: Mapping[str, str] | None = None,
    ) -> None:
        self._card_of = card_of
        self._notes = notes
        self._doubts = doubts

    def doubts(self) -> dict[str, str]:
        """Return the doubt of every doubted value, by its name."""
        return dict(doubts_of(self._notes) if self._doubts is None else self._doubts)

    def __getitem__(self, name: str) -> Origin:
        keyword, rule, doubt = self._notes[name]
        return Origin(self._card_of(keyword) if keyword else "", rule, doubt)

    def __iter__(self) -> Iterator[str]:
        return iter(self._notes)

    def __len__(self) -> int:
        return len(self._notes)

    def __repr__(self) -> str:
        return repr(dict(self))

    def __reduce__(self) -> tuple[type[dict[str, Origin]], tuple[dict[str, Origin]]]:
        return dict, (dict(self),)


def doubts_of(notes: Mapping[str, Note]) -> dict[str, str]:
    """Return the doubt of every doubted value, by its name."""
    return {name: note[2] for name, note in notes.items() if note[2]}


@dataclass(frozen=True)
class FrameInfo:
    """One exposure, translated from its header. None is "not said", never zero.

    Attributes that need a word: `level` 0 raw, 1 master, 2 reduced (Goodman's data_type);
    `kind_doubt` says why the kind is not certain (a doubtful frame never enters a master);
    `technique` "imaging" or "spectroscopy"; `start_utc`, `mid_utc` aware, UTC; `night` the local
    evening's date (noon to noon); `position_role` "target", "mount" or "wcs"; `nx`, `ny` the
    assembled and trimmed frame; `done` the calibrations the pixels already had ("bias", "dark",
    "flat", "registered"); `unusable` why the file is registered but cannot be reduced (a colour
    cube, say); `extras` values only one face asks for (Goodman's slit, grating, ...); `origins`
    one entry for each attribute that was set, by its name.
    """

    writer: str
    kind: FrameKind
    nx: int
    ny: int
    hdus: tuple[int, ...] = (0,)
    amplifiers: tuple[Amplifier, ...] = ()
    kind_doubt: str | None = None
    level: int = 0
    flat_source: str | None = None
    technique: str = "imaging"
    instrument: str = ""
    telescope: str = ""
    band: str | None = None
    band_raw: str | None = None
    exptime_s: float | None = None
    start_utc: datetime | None = None
    mid_utc: datetime | None = None
    night: date | None = None
    object_name: str | None = None
    ra_deg: float | None = None
    dec_deg: float | None = None
    position_role: str | None = None
    gain_e_per_adu: float | None = None
    gain_setting: float | None = None
    offset_setting: float | None = None
    read_noise_e: float | None = None
    saturation_adu: float | None = None
    binning_x: int = 1
    binning_y: int = 1
    readout_mode: str = ""
    bits: int | None = None
    temp_c: float | None = None
    temp_set_c: float | None = None
    airmass: float | None = None
    proposal_code: str | None = None
    observer: str | None = None
    latitude_deg: float | None = None
    longitude_deg: float | None = None
    elevation_m: float | None = None
    pixel_scale_arcsec: float | None = None
    pedestal_adu: float = 0.0
    bayer_pattern: str | None = None
    ncombine: int = 1
    done: frozenset[str] = frozenset()
    unusable: str | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "FrameInfo":
        """Return what the constructor makes of `values`, at a fifth of its cost.

        The constructor of a frozen dataclass sets each of fifty fields by a call.
        """
        made = object.__new__(cls)
        made.__dict__.update(_DEFAULTS, extras={}, origins={})
        made.__dict__.update(values)
        return made

    def with_own(self, values: Mapping[str, Any]) -> "FrameInfo":
        """Return what `dataclasses.replace` does, at a tenth of its cost; `base` is this one."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        made.__dict__.update(values, _base=self)
        return made

    @property
    def base(self) -> "FrameInfo":
        """What it was made of by `with_own`: frames of one base differ in such values only."""
        found: FrameInfo = self.__dict__.get("_base", self)
        return found

    @property
    def doubts(self) -> dict[str, str]:
        """Attribute name to doubt, for every doubted value."""
        origins = self.origins
        if isinstance(origins, Origins):
            found = origins.doubts()
        else:
            found = {name: o.doubt for name, o in origins.items() if o.doubt}
        return found | ({"kind": self.kind_doubt} if self.kind_doubt else {})


class Told(NamedTuple):
    """An exposure by what it may share with others, and what is its own.

    Attributes
    ----------
    base : FrameInfo
        Says everything but the rest; frames of one series have the very same.
    ra_deg, dec_deg, airmass, start_utc, mid_utc, night
        As in `FrameInfo`.
    doubts : mapping
        As `FrameInfo.doubts`; not copied.
    """

    base: FrameInfo
    ra_deg: float | None
    dec_deg: float | None
    airmass: float | None
    start_utc: datetime | None
    mid_utc: datetime | None
    night: date | None
    doubts: Mapping[str, str]

    @classmethod
    def of(cls, info: FrameInfo) -> "Told":
        """Return a whole exposure so."""
        place = info.ra_deg, info.dec_deg, info.airmass
        return cls(info.base, *place, info.start_utc, info.mid_utc, info.night, info.doubts)


class ToldColumns(NamedTuple):
    """Several exposures, an attribute of all of them beside the other: as `Told` has them."""

    base: Sequence[FrameInfo]
    ra_deg: Sequence[float | None]
    dec_deg: Sequence[float | None]
    airmass: Sequence[float | None]
    start_utc: Sequence[datetime]
    mid_utc: Sequence[datetime]
    night: Sequence[date]
    doubts: Sequence[Mapping[str, str]]

    def one(self, i: int) -> Told:
        """Return one exposure."""
        return Told._make([column[i] for column in self])


NOTHING_TOLD = ToldColumns(*[()] * 8)
_DEFAULTS = {one.name: one.default for one in fields(FrameInfo) if one.default is not MISSING}
