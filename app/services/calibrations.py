"""Choosing the masters of a frame: of its camera and setting, near in time, and saying why."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Protocol

from sqlalchemy import ColumnElement, select

from app.db import db
from app.models import BlockKind, Frame, Level
from app.services import likeness, proposal_reduction
from app.services.calibration_key import (
    Tolerances,
    same_exposure,
    setup_of,
    temperature,
)
from app.services.proposal_reduction import Rules
from app.services.settings import Snapshot
from app.wording import counted
from reduction.pedestal import needless_dark

_EACH_SIDE: Final = 12  # candidates looked at before and after a night
_SKY: Final = ("sky", "twilight")


@dataclass(frozen=True, slots=True)
class MasterChoice:
    """A master for a frame, or none, and why.

    `frame_id` is of one that exists; `block_id` and `plan_key` are of one still to be made.
    """

    frame_id: int | None
    age_days: float | None
    reason: str
    block_id: int | None = None
    plan_key: str | None = None
    is_needed: bool = True

    @property
    def is_found(self) -> bool:
        """Whether there is a master, made or planned."""
        return self.frame_id is not None or self.plan_key is not None

    @property
    def is_lacking(self) -> bool:
        """Whether a frame that needs one goes without."""
        return self.is_needed and not self.is_found


@dataclass(frozen=True, slots=True)
class CalibrationChoice:
    """What a frame is to be calibrated with."""

    bias: MasterChoice
    dark: MasterChoice
    flat: MasterChoice

    @property
    def frame_ids(self) -> dict[str, int]:
        """The masters that exist, by role."""
        found = {"bias": self.bias, "dark": self.dark, "flat": self.flat}
        return {role: c.frame_id for role, c in found.items() if c.frame_id is not None}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A master that could be used: one that exists, or one that the night's plan would make."""

    night: date
    frame_id: int | None = None
    block_id: int | None = None
    plan_key: str | None = None
    exptime_s: float | None = None
    scales: bool = False
    light: str = ""
    is_thin: bool = False
    frames: int = 0  # that it was made of, or would be


_SITES: Final = Rules()  # of a frame whose proposal sets nothing


class Planned(Protocol):
    """Masters still to be made, that would fit a frame."""

    def __call__(self, kind: BlockKind, frame: Frame) -> Iterable[Candidate]:
        """Return those of `kind` that a frame of this camera and setting could use."""


def none_planned(kind: BlockKind, frame: Frame) -> Iterable[Candidate]:  # noqa: ARG001
    """Return no candidates: only masters that exist count."""
    return ()


class Memory(dict[tuple[object, ...], MasterChoice]):
    """Choices made before, for a look at many frames of few settings while nothing changes."""

    def recall(self, key: tuple[object, ...], choose: Callable[[], MasterChoice]) -> MasterChoice:
        """Return the choice for frames that share `key`, made at the first asking."""
        found = self.get(key)
        if found is None:
            found = self[key] = choose()
        return found


def choose(
    frame: Frame,
    at: Snapshot,
    *,
    planned: Planned = none_planned,
    memory: Memory | None = None,
) -> CalibrationChoice:
    """Return the masters a frame would be calibrated with now, each with its reason.

    With a `memory`, frames that hang on the same are asked about once. What the people of a
    frame's proposal set comes before all else.
    """
    memory = Memory() if memory is None else memory
    rules = proposal_reduction.rules_of(frame)
    shared = (frame.level, frame.night, *likeness.setting(frame), tuple(frame.steps_done), rules)
    cold = (frame.exptime_s, temperature(frame))
    light = (frame.technique, frame.band, setup_of(frame))
    bias = memory.recall(
        ("bias", *shared), lambda: choose_bias(frame, at, planned=planned, rules=rules)
    )
    has_bias = bias.is_found
    return CalibrationChoice(
        bias=bias,
        dark=memory.recall(
            ("dark", *shared, *cold, has_bias),
            lambda: choose_dark(frame, at, has_bias=has_bias, planned=planned),
        ),
        flat=memory.recall(
            ("flat", *shared, *light),
            lambda: choose_flat(frame, at, planned=planned, rules=rules),
        ),
    )


def choose_bias(
    frame: Frame, at: Snapshot, *, planned: Planned = none_planned, rules: Rules = _SITES
) -> MasterChoice:
    """Return the nearest bias of a frame's camera and setting."""
    if refused := _not_wanted(frame, "bias"):
        return refused
    if rules.ignore_bias:
        return _left_out(frame, "bias", "ignore_bias")
    least = rules.min_bias or 0
    large = Frame.ncombine >= least
    found = [*_existing(frame, BlockKind.BIAS, large), *planned(BlockKind.BIAS, frame)]
    wanted = _Wanted(
        "bias", at.integer("calibration.max_age_days_bias"), _of_at_least(frame, least)
    )
    return _nearest(frame, _large_enough(found, least), wanted)


def choose_dark(
    frame: Frame, at: Snapshot, *, has_bias: bool, planned: Planned = none_planned
) -> MasterChoice:
    """Return the nearest dark of the same exposure, else one that can be scaled to it.

    Only a frame that has a bias can use it, and only a dark of which it is known whether it
    still holds its bias.
    """
    if refused := _not_wanted(frame, "dark"):
        return refused
    if frame.exptime_s is None:
        return MasterChoice(None, None, "no dark: the frame does not say how long it was exposed")
    near = Tolerances.of(at)
    wanted = _Wanted("dark", at.integer("calibration.max_age_days_dark"), _of_dark(frame, near))
    still_to_make = list(planned(BlockKind.DARK, frame))
    same_long = [c for c in still_to_make if _is_as_long(c, frame, near)]
    exact = _nearest(frame, [*_darks(frame, near, as_long=True), *same_long], wanted)
    if exact.is_found or not has_bias:
        return _unless_needless(exact, frame)
    others = [*_darks(frame, near, as_long=False), *still_to_make]
    scalable = [c for c in others if c.scales and c.exptime_s]
    scaled = _nearest(frame, scalable, wanted, prefer=lambda c: _scaling_cost(c, frame))
    return scaled if scaled.is_found else _unless_needless(exact, frame)


def _unless_needless(choice: MasterChoice, frame: Frame) -> MasterChoice:
    """Return the choice, or that a detector so cold needs no dark, in the reduction's words."""
    needless = "" if choice.is_found else needless_dark(frame.temp_c)
    return MasterChoice(None, None, needless, is_needed=False) if needless else choice


def choose_flat(
    frame: Frame, at: Snapshot, *, planned: Planned = none_planned, rules: Rules = _SITES
) -> MasterChoice:
    """Return the nearest flat of a frame's camera, setting and band; of one night's, the sky's."""
    if refused := _not_wanted(frame, "flat"):
        return refused
    if frame.band is None:
        return MasterChoice(None, None, "no flat: the frame does not say which filter was used")
    if rules.ignore_flats:
        return _left_out(frame, "flat", "ignore_flats")
    least = rules.min_flats or 0
    detail = f" in {frame.band}{_of_at_least(frame, least)}"
    wanted = _Wanted("flat", at.integer("calibration.max_age_days_flat"), detail)
    large = Frame.ncombine >= least
    found = [*_existing(frame, BlockKind.FLAT, large), *planned(BlockKind.FLAT, frame)]
    found = _large_enough(found, least)
    return _nearest(frame, found, wanted, prefer=lambda c: 0.0 if c.light in _SKY else 1.0)


def _left_out(frame: Frame, step: str, setting: str) -> MasterChoice:
    """Return the refusal where the people of a frame's proposal want none."""
    return MasterChoice(None, None, f"no {step}: {_proposal(frame)} leaves it out ({setting})")


def _large_enough(found: Sequence[Candidate], least: int) -> list[Candidate]:
    return [candidate for candidate in found if candidate.frames >= least]


def _of_at_least(frame: Frame, least: int) -> str:
    return f" of at least {least} frames, as {_proposal(frame)} wants," if least else ""


def _proposal(frame: Frame) -> str:
    return f"proposal {frame.proposal.code}" if frame.proposal else "its proposal"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is looked for, in words, and how old it may be."""

    what: str
    max_days: int
    detail: str = ""


def _not_wanted(frame: Frame, step: str) -> MasterChoice | None:
    """Return the refusal where a frame needs no master of a kind, or its age has no meaning."""
    if frame.level == Level.RAW and step in frame.steps_done:
        reason = f"no {step} needed: the file had it taken out already"
        return MasterChoice(None, None, reason, is_needed=False)
    if frame.night is None:
        return MasterChoice(
            None, None, f"no {step}: the frame has no date, so none can be called near"
        )
    return None


def _of_dark(frame: Frame, near: Tolerances) -> str:
    temp_c = temperature(frame)
    if temp_c is None:
        return f" of {frame.exptime_s:g} s"
    return f" of {frame.exptime_s:g} s at {temp_c:.1f} ± {near.temp_c:g} C"


def _is_as_long(candidate: Candidate, frame: Frame, near: Tolerances) -> bool:
    return same_exposure(candidate.exptime_s, frame.exptime_s, near.exptime)


def _scaling_cost(candidate: Candidate, frame: Frame) -> float:
    """Return what scaling a dark costs: noise grows when a short one is stretched."""
    ratio = (frame.exptime_s or 0.0) / (candidate.exptime_s or 1.0)
    return ratio if ratio > 1.0 else 0.0


def _nearest(
    frame: Frame,
    candidates: Sequence[Candidate],
    wanted: _Wanted,
    prefer: Callable[[Candidate], float] = lambda _candidate: 0.0,
) -> MasterChoice:
    """Return the candidate that costs least by `prefer` and age, if it is young enough."""
    if not candidates:
        return MasterChoice(
            None, None, f"no {wanted.what}{wanted.detail} of this camera and setting"
        )
    young = [c for c in candidates if abs(_days(frame, c)) <= wanted.max_days]
    if not young:
        return _too_old(frame, candidates, wanted)
    best = min(young, key=lambda c: (abs(_days(frame, c)), prefer(c), -(c.frame_id or 0)))
    return MasterChoice(
        frame_id=best.frame_id,
        age_days=float(_days(frame, best)),
        reason=_described(frame, best, wanted),
        block_id=best.block_id,
        plan_key=best.plan_key,
    )


def _too_old(frame: Frame, candidates: Sequence[Candidate], wanted: _Wanted) -> MasterChoice:
    nearest = min(candidates, key=lambda c: abs(_days(frame, c)))
    return MasterChoice(
        frame_id=None,
        age_days=None,
        reason=(
            f"no {wanted.what}{wanted.detail} of this camera and setting within "
            f"{counted(wanted.max_days, 'day')}; the nearest is {_dated(frame, nearest)}"
        ),
    )


def _days(frame: Frame, candidate: Candidate) -> int:
    """Return how many nights older a candidate is; negative where it is younger."""
    return 0 if frame.night is None else (frame.night - candidate.night).days


def _age(days: int) -> str:
    if days == 0:
        return "of the same night"
    unit = "day" if abs(days) == 1 else "days"
    return f"{abs(days)} {unit} {'older' if days > 0 else 'younger'}"


def _dated(frame: Frame, candidate: Candidate) -> str:
    """Return how old a candidate is, with its night where that is not the frame's own."""
    days = _days(frame, candidate)
    return f"{_age(days)} (night {candidate.night})" if days else _age(days)


def _described(frame: Frame, best: Candidate, wanted: _Wanted) -> str:
    if best.frame_id is None and best.night != frame.night:
        return _promised(frame, best, wanted)
    made = "" if best.frame_id is not None else ", still to be made"
    thin = ", thin" if best.is_thin else ""
    scaled = ""
    if wanted.what == "dark" and best.exptime_s and frame.exptime_s != best.exptime_s:
        scaled = f" of {best.exptime_s:g} s for {frame.exptime_s:g} s"
    return f"nearest {wanted.what}{scaled}, {_dated(frame, best)}{thin}{made}"


def _promised(frame: Frame, best: Candidate, wanted: _Wanted) -> str:
    """Return what is said of raw frames of another night that nobody combined yet."""
    long = f" of {best.exptime_s:g} s" if wanted.what == "dark" and best.exptime_s else ""
    thin = ", thin" if best.is_thin else ""
    undone = "processed" if best.block_id is not None else "made"
    return (
        f"{best.frames} {wanted.what}{long} of {best.night} ({_age(_days(frame, best))}{thin}) "
        f"would do; their block is not {undone} yet"
    )


def _existing(frame: Frame, kind: BlockKind, *conditions: ColumnElement[bool]) -> list[Candidate]:
    """Return the masters that exist for a frame, nearest nights first on either side."""
    wanted = [*likeness.usable(kind), *likeness.same_setting(frame, kind), *conditions]
    found = [row for side in _sides(frame, wanted) for row in side]
    return [_candidate(row) for row in found if likeness.setup_fits(row, frame, kind)]


def _darks(frame: Frame, near: Tolerances, *, as_long: bool) -> list[Candidate]:
    """Return the darks of a frame's temperature, of all exposures or of its own."""
    conditions = [likeness.near_temperature(frame, near)]
    if as_long:
        exptime_s, off = frame.exptime_s or 0.0, near.exptime
        conditions.append(Frame.exptime_s.between(exptime_s * (1 - off), exptime_s / (1 - off)))
    found = _existing(frame, BlockKind.DARK, *conditions)
    return [c for c in found if not as_long or _is_as_long(c, frame, near)]


def _sides(frame: Frame, conditions: list[ColumnElement[bool]]) -> list[Sequence[Frame]]:
    query = select(Frame).where(*conditions)
    before = query.where(Frame.night <= frame.night).order_by(Frame.night.desc(), Frame.id.desc())
    after = query.where(Frame.night > frame.night).order_by(Frame.night, Frame.id.desc())
    return [db.session.scalars(side.limit(_EACH_SIDE)).all() for side in (before, after)]


def _candidate(row: Frame) -> Candidate:
    return Candidate(
        night=row.night,  # type: ignore[arg-type]  # `usable` asks for one
        frame_id=row.id,
        exptime_s=row.exptime_s,
        scales="bias" in row.steps_done or bool(row.fingerprint),
        light=row.flat_source or "",
        is_thin=row.is_thin,
        frames=row.ncombine,
    )
