"""How a proposal wants its frames reduced, where that is not how the site reduces all.

What the people of a proposal do not set holds as the site has it. The settings are part of what a
result hangs on: when one changes, the frames are reduced again.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from sqlalchemy import select

from app.db import db, transaction
from app.errors import InvalidRequestError
from app.models import Block, BlockFrame, BlockKind, Frame, Level, Proposal, User
from app.services import access, audit, events, frames

DEFAULT: Final = "default"
_MOST_FRAMES: Final = 10_000
_CALIBRATION_KINDS: Final = frozenset({BlockKind.BIAS, BlockKind.DARK, BlockKind.FLAT})
_TRUE: Final = frozenset({"true", "1", "yes", "on", "t"})
_FALSE: Final = frozenset({"false", "0", "no", "off", "f", ""})


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings of one proposal; what is None, or "default", is the site's to say."""

    saturation_threshold: float | None = None  # percent of a frame's pixels
    cosmic_ray_method: str = DEFAULT
    technique: str = DEFAULT
    ignore_bias: bool = False
    ignore_flats: bool = False
    min_bias: int | None = None
    min_flats: int | None = None

    @property
    def are_set(self) -> bool:
        """Tell whether any of them differs from what the site does."""
        return self != Rules()

    @property
    def as_stored(self) -> dict[str, Any]:
        """Return those that are set, by name."""
        usual = asdict(Rules())
        return {name: value for name, value in asdict(self).items() if value != usual[name]}


@dataclass(frozen=True, slots=True)
class Setting:
    """One of them, for people: what it is called, what it does, and what it may be."""

    name: str
    label: str
    help: str
    choices: tuple[str, ...] = ()
    unset: str = "as the site has it"


SETTINGS: Final = (
    Setting(
        "saturation_threshold",
        "saturated pixels, %",
        "a flat with more is left out of a master of this proposal's flats alone; "
        "a science frame with more says so in its notes",
        unset="as the site has it: 1",
    ),
    Setting(
        "cosmic_ray_method",
        "cosmic rays",
        "lacosmic searches for them whatever the site does, none leaves them",
        (DEFAULT, "lacosmic", "none"),
    ),
    Setting(
        "technique",
        "technique",
        "what the frames are, where their headers are wrong",
        (DEFAULT, "imaging", "spectroscopy"),
        unset="as their headers have it",
    ),
    Setting("ignore_bias", "leave the bias out", "no bias is taken off", ("false", "true")),
    Setting("ignore_flats", "leave the flats out", "no flat is divided by", ("false", "true")),
    Setting(
        "min_bias",
        "least bias frames",
        "a master bias of fewer is not used",
        unset="as few as there are; often 10",
    ),
    Setting(
        "min_flats",
        "least flats",
        "a master flat of fewer is not used",
        unset="as few as there are; often 10",
    ),
)
_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}
# What people know them by elsewhere.
_OTHER_NAMES: Final = {
    "cosmic_rays": "cosmic_ray_method",
    "cosmic_ray": "cosmic_ray_method",
    "ignore_flat": "ignore_flats",
    "minimum_bias": "min_bias",
    "minimum_flats": "min_flats",
    "saturation": "saturation_threshold",
}
_OF_SPECTRA: Final = frozenset(
    {"flat_normalization", "flat_normalisation", "normalization", "normalisation"}
    | {"normalization_order", "normalisation_order", "flat_order", "order"}
    | {"extraction", "extraction_method", "profile", "target_model", "targets", "max_targets"}
)


def rules_of(frame: Frame) -> Rules:
    """Return how a frame is to be reduced; calibrations are everyone's, and the site's."""
    if frame.proposal_id is None or frame.proposal is None or frame.kind in _CALIBRATION_KINDS:
        return Rules()
    return of(frame.proposal)


def of(proposal: Proposal) -> Rules:
    """Return the settings of a proposal; what an older version stored and we lack is left out."""
    known = {field.name for field in fields(Rules)}
    return Rules(**{name: v for name, v in (proposal.reduction or {}).items() if name in known})


def most_saturated(members: list[Frame]) -> float | None:
    """Return the fraction of saturated pixels up to which flats enter their master, if set.

    Only where all of them are of one proposal: a master of others' frames too is the site's.
    """
    owners = {frame.proposal_id for frame in members}
    proposal = members[0].proposal if len(owners) == 1 else None
    threshold = of(proposal).saturation_threshold if proposal is not None else None
    return None if threshold is None else threshold / 100


def change(proposal: Proposal, sent: Mapping[str, Any], *, by: User) -> Rules:
    """Set what is sent of a proposal's settings, all or nothing; "default" or "" takes one back.

    Raises
    ------
    NotAllowedError
        If `by` may not lead the proposal.
    InvalidRequestError
        If a setting is not known, comes with spectra, or cannot be what was sent.
    """
    access.check_lead(by, proposal)
    values = _checked(sent)
    with transaction():
        held = select(Proposal).where(Proposal.id == proposal.id).with_for_update()
        proposal = db.session.scalars(held.execution_options(populate_existing=True)).one()
        before = of(proposal)
        rules = Rules(**(asdict(before) | values))
        if rules != before:
            proposal.reduction = rules.as_stored
            said = "; ".join(f"{name}: {value}" for name, value in rules.as_stored.items())
            audit.note(by, "set the reduction", proposal, said or "as the site has it")
            _make_due(proposal, before, rules)
    return rules


def _checked(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by name, as they are stored; a wrong one is refused with all that are."""
    values: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for name, value in sent.items():
        known = _OTHER_NAMES.get(name, name)
        try:
            values[known] = _value(known, str(value).strip())
        except ValueError as error:
            wrong[name] = str(error)
    if wrong:
        raise InvalidRequestError(**wrong)
    if not values:
        raise InvalidRequestError(f"Say which to change: {', '.join(_BY_NAME)}.")
    return values


def _value(name: str, text: str) -> Any:  # noqa: ANN401 - as the setting's type
    setting = _BY_NAME.get(name)
    if setting is None:
        raise ValueError(_unknown(name, text))
    text = text.lower()
    if name == "saturation_threshold":
        return _number(text, 0, 100)
    if name in {"min_bias", "min_flats"}:
        number = _number(text, 1, _MOST_FRAMES)
        if number is not None and not number.is_integer():
            raise ValueError("must be a whole number of frames")
        return None if number is None else int(number)
    if name in {"ignore_bias", "ignore_flats"}:
        return _flag(text)
    return _choice(setting, text or DEFAULT)


def _unknown(name: str, text: str) -> str:
    if name in _OF_SPECTRA:
        if "normali" in name and text.lower() == "mean":
            return "images are always divided by a flat of mean one: there is nothing to set yet"
        return "comes with spectra, in a later version: it means nothing for images"
    return f"there is no such setting; these are: {', '.join(_BY_NAME)}"


def _number(text: str, least: float, most: float) -> float | None:
    if text in {"", DEFAULT, "none", "null"}:
        return None
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"must be a number from {least} to {most}, or default") from None
    if not least <= number <= most:  # NaN is refused here too
        raise ValueError(f"must be a number from {least} to {most}, not {text[:40]}")
    return number


def _flag(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE or text == DEFAULT:
        return False
    raise ValueError("must be true or false")


def _choice(setting: Setting, text: str) -> str:
    if text in setting.choices:
        return text
    if text == "dcr":
        raise ValueError(
            "dcr is made for spectra and not for images: choose lacosmic, none or default"
        )
    raise ValueError(f"must be {', '.join(setting.choices)}, not {text[:40]}")


# What follows


def _make_due(proposal: Proposal, before: Rules, after: Rules) -> None:
    """Flag what was reduced by other settings, and have its blocks run again."""
    reason = f"the reduction settings of {proposal.code} were changed"
    reduced = select(Frame).where(
        Frame.proposal_id == proposal.id, Frame.level == Level.REDUCED, Frame.fingerprint != ""
    )
    for frame in db.session.scalars(reduced):
        frame.outdated = reason
        frames.changed(frame)
    kinds = [BlockKind.SCI]
    if before.saturation_threshold != after.saturation_threshold:
        kinds.append(BlockKind.FLAT)
    holding = (
        select(BlockFrame.block_id)
        .join(Frame, Frame.id == BlockFrame.frame_id)
        .where(Frame.proposal_id == proposal.id)
    )
    for block in db.session.scalars(
        select(Block).where(Block.kind.in_(kinds), Block.id.in_(holding), Block.status != 0)
    ):
        block.status = 0
        events.publish("block", block=block.id)
