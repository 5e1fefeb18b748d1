"""Which frames may be reduced together, and what two frames differ in."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

from app.models import BlockKind, Frame
from app.services.settings import Snapshot
from reduction.frameinfo import FrameKind

# The kinds of frames a block takes. Stars taken to calibrate others are reduced as science is.
MEMBER_KINDS: Final = {
    BlockKind.BIAS: (FrameKind.BIAS,),
    BlockKind.DARK: (FrameKind.DARK,),
    BlockKind.FLAT: (FrameKind.FLAT,),
    BlockKind.SCI: (FrameKind.SCIENCE, FrameKind.STANDARD),
    BlockKind.FRINGE: (FrameKind.SCIENCE,),
}
_BANDED: Final = frozenset({BlockKind.FLAT, BlockKind.SCI, BlockKind.FRINGE})
_REDUCED_ONE_BY_ONE: Final = frozenset({BlockKind.SCI, BlockKind.FRINGE})
# What a spectrograph's set-up hangs on, where its headers say it.
_SETUP: Final = ("grating", "wavmode", "slit", "cam_targ", "grt_targ", "filter2", "filter_2")
_SHOWN: Final = 4  # file names in a sentence


@dataclass(frozen=True, slots=True)
class CalibrationKey:
    """What all frames of a block share; frames whose keys differ never meet."""

    camera: int | None
    readout: str
    binning: tuple[int, int]
    size: tuple[int, int]
    technique: str = ""
    setup: tuple[str, ...] = ()
    band: str | None = None
    light: str = ""  # what a flat was lit by
    done: tuple[str, ...] = ()  # what its writer had taken out of a calibration already

    @property
    def text(self) -> str:
        """The key as one line, the same in every process and version."""
        return "|".join(str(getattr(self, field.name)) for field in fields(self))


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How far darks may lie apart and still be combined or used."""

    temp_c: float
    exptime: float  # as a fraction

    @classmethod
    def of(cls, settings: Snapshot) -> "Tolerances":
        """Return the site's tolerances."""
        return cls(
            temp_c=settings.number("calibration.dark_temp_tolerance_c"),
            exptime=settings.number("calibration.dark_exptime_tolerance"),
        )


def key_of(frame: Frame, kind: BlockKind) -> CalibrationKey:
    """Return what a frame shares with the others of a block of `kind`."""
    bare = CalibrationKey(
        camera=frame.camera_id,
        readout=frame.readout_key,
        binning=(frame.binning_x, frame.binning_y),
        size=(frame.nx, frame.ny),
        done=() if kind in _REDUCED_ONE_BY_ONE else tuple(sorted(frame.steps_done)),
    )
    if kind not in _BANDED:
        return bare
    return replace(
        bare,
        technique=frame.technique,
        setup=setup_of(frame),
        band=frame.band,
        light=(frame.flat_source or "") if kind == BlockKind.FLAT else "",
    )


def setup_of(frame: Frame) -> tuple[str, ...]:
    """Return a spectrograph's set-up; nothing for a direct image."""
    if frame.technique != "spectroscopy":
        return ()
    return tuple(str(frame.extras.get(name) or "") for name in _SETUP)


def temperature(frame: Frame) -> float | None:
    """Return the detector's temperature: measured, or else what the cooler was set to."""
    return frame.temp_set_c if frame.temp_c is None else frame.temp_c


def group(frames: Sequence[Frame], kind: BlockKind, tolerances: Tolerances) -> list[list[Frame]]:
    """Sort frames into what may become one block each, the largest group first.

    Darks are grouped by temperature and exposure besides: a group reaches from its least value
    as far as the tolerance goes.
    """
    by_key: dict[CalibrationKey, list[Frame]] = defaultdict(list)
    for frame in frames:
        by_key[key_of(frame, kind)].append(frame)
    groups = list(by_key.values())
    if kind == BlockKind.DARK:
        groups = [dark for same in groups for dark in _split_darks(same, tolerances)]
    return sorted(groups, key=lambda members: (-len(members), min(f.id for f in members)))


def _split_darks(frames: Sequence[Frame], tolerances: Tolerances) -> list[list[Frame]]:
    by_temperature = _runs(frames, temperature, lambda low: low + tolerances.temp_c)
    return [
        run
        for same in by_temperature
        for run in _runs(same, lambda f: f.exptime_s, lambda low: low * (1 + tolerances.exptime))
    ]


def _runs(
    frames: Sequence[Frame],
    value: Callable[[Frame], float | None],
    reach: Callable[[float], float],
) -> list[list[Frame]]:
    """Cut frames sorted by `value` where it leaves the reach of its run's first; unsaid apart."""
    said = sorted((number, f.id, f) for f in frames if (number := value(f)) is not None)
    runs: list[list[Frame]] = []
    end = float("-inf")
    for number, _, frame in said:
        if number > end:
            runs.append([])
            end = reach(number)
        runs[-1].append(frame)
    unsaid = [f for f in frames if value(f) is None]
    return [*runs, unsaid] if unsaid else runs


def differences(frame: Frame, other: Frame, kind: BlockKind, tolerances: Tolerances) -> list[str]:
    """Return what keeps two frames out of one block, each in words; empty where nothing does."""
    here, there = key_of(frame, kind), key_of(other, kind)
    found = [
        f"{word} {_shown(there, name)} instead of {_shown(here, name)}"
        for name, word in _WORDS.items()
        if getattr(here, name) != getattr(there, name)
    ]
    if here.camera != there.camera:
        found.insert(0, f"camera {_camera(other)} instead of {_camera(frame)}")
    if kind == BlockKind.DARK:
        found += _dark_differences(frame, other, tolerances)
    return found


_WORDS: Final = {
    "binning": "binning",
    "size": "size",
    "readout": "readout",
    "technique": "technique",
    "setup": "set-up",
    "band": "band",
    "light": "flat light",
    "done": "steps done",
}


def _shown(key: CalibrationKey, name: str) -> str:
    value = getattr(key, name)
    if name in {"binning", "size"}:
        return f"{value[0]}x{value[1]}"
    if name in {"setup", "done"}:
        return " ".join(part for part in value if part) or "none"
    return str(value or "none")


def _camera(frame: Frame) -> str:
    return frame.camera.name if frame.camera else "unidentified"


def _dark_differences(frame: Frame, other: Frame, tolerances: Tolerances) -> list[str]:
    found = []
    if not same_exposure(frame.exptime_s, other.exptime_s, tolerances.exptime):
        found.append(
            f"exposure {_number(other.exptime_s, 's')} instead of {_number(frame.exptime_s, 's')}"
        )
    here, there = temperature(frame), temperature(other)
    if not same_temperature(here, there, tolerances.temp_c):
        found.append(f"temperature {_number(there, 'C')} instead of {_number(here, 'C')}")
    return found


def _number(value: float | None, unit: str) -> str:
    return "not said" if value is None else f"{value:g} {unit}"


def same_exposure(one: float | None, other: float | None, tolerance: float) -> bool:
    """Tell whether two exposures are the same within a fraction; unsaid only equals unsaid."""
    if one is None or other is None:
        return one is other
    return abs(one - other) <= tolerance * max(one, other)


def same_temperature(one: float | None, other: float | None, tolerance: float) -> bool:
    """Tell whether two temperatures are the same within degrees; unsaid only equals unsaid."""
    if one is None or other is None:
        return one is other
    return abs(one - other) <= tolerance


def mixture(frames: Sequence[Frame], kind: BlockKind, tolerances: Tolerances) -> str:
    """Return in words why these frames cannot be one block; empty where they can."""
    first = frames[0]
    strangers: dict[str, list[str]] = defaultdict(list)
    for frame in frames[1:]:
        found = differences(first, frame, kind, tolerances)
        if found:
            strangers[", ".join(found)].append(frame.file_name)
    return "; ".join(f"{names_of(names)}: {what}" for what, names in strangers.items())


def names_of(names: Sequence[str]) -> str:
    """Return file names for a sentence, the first few of many."""
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
