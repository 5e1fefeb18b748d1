"""Reducing the frames of a science block."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from app import __version__
from app.db import db
from app.errors import ConflictError
from app.jobs import storing
from app.jobs.pixels import MasterShelf, open_raw
from app.jobs.runner import JobContext
from app.models import Block, BlockFrame, BlockKind, Frame
from app.services import calibrations, events, products
from app.services.block_members import label, shortcoming
from app.services.calibration_key import Tolerances, mixture
from app.services.calibrations import CalibrationChoice
from app.services.frames import OVERSCAN_BIAS_FLAT
from app.services.products import Made
from reduction import headers, recipes
from reduction.calibrate import PlanParams
from reduction.errors import BadFileError, NotEnoughFramesError, ReductionError
from reduction.exposure import Calibrated, Exposure
from reduction.recipes import CalibrateParams

_RECIPE: Final = "calibrate"
_SHOWN: Final = 5  # reasons in a sentence


class MembersChangedError(Exception):
    """Frames joined the block while it was reduced."""


@dataclass(slots=True)
class _Run:
    """One pass over a block: how, with what, and what has come of it."""

    params: CalibrateParams
    shelf: MasterShelf
    done: set[int] = field(default_factory=set)  # frame ids looked at
    reduced: int = 0
    skipped: int = 0
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def result(self) -> dict[str, Any]:
        found = {"reduced": self.reduced, "unchanged": self.skipped, "left_out": self.left_out}
        return found | ({"message": self.message} if self.message else {})

    @property
    def message(self) -> str:
        """What is said of a run that found its frames done already; empty for others."""
        if not self.skipped:
            return ""
        are = f"{self.skipped} frame{' was' if self.skipped == 1 else 's were'} up to date"
        return f"{are}, {self.reduced} reduced" if self.reduced else f"{are}, nothing to do"


def reduce(context: JobContext, block: Block) -> None:
    """Reduce every frame of a block and finish the job; those that join meanwhile too.

    Raises
    ------
    NotEnoughFramesError
        If none could be reduced.
    """
    _check_unmixed(context, block)
    run = _Run(_params(context), MasterShelf(context.paths))
    while True:
        _reduce_pending(context, block, run)
        if not run.reduced and not run.skipped:
            raise NotEnoughFramesError(found=0, needed=1, why=_reasons(run))
        try:
            _finish(context, block, run)
        except MembersChangedError:
            continue
        return


def _check_unmixed(context: JobContext, block: Block) -> None:
    good = [entry.frame for entry in block.entries if not shortcoming(entry.frame)]
    if good and (mixed := mixture(good, BlockKind.SCI, _tolerances(context))):
        raise ConflictError(f"{label(block)} mixes frames that do not belong together: {mixed}")


def _params(context: JobContext) -> CalibrateParams:
    wants_masks = "mc" in str(context.arguments.get("code", "mc"))
    params = CalibrateParams(plan=PlanParams(exptime_tolerance=_tolerances(context).exptime))
    if wants_masks and context.settings.flag("reduction.cosmic_rays"):
        return params
    return replace(params, cosmic_rays=None)


def _tolerances(context: JobContext) -> Tolerances:
    return Tolerances.of(context.settings)


def _reduce_pending(context: JobContext, block: Block, run: _Run) -> None:
    pending = [entry for entry in block.entries if entry.frame_id not in run.done]
    for number, entry in enumerate(pending):
        context.check()
        context.progress(number / len(pending), f"frame {number + 1} of {len(pending)}")
        _reduce_entry(context, entry, run)
        run.done.add(entry.frame_id)


def _reduce_entry(context: JobContext, entry: BlockFrame, run: _Run) -> None:
    """Reduce one frame of a block, or note by name why it cannot be: the others go on."""
    raw = entry.frame
    choice = calibrations.choose(raw, context.settings)
    masters = {
        role: db.session.get_one(Frame, frame_id) for role, frame_id in choice.frame_ids.items()
    }
    if _is_unchanged(context, entry, masters, run):
        run.skipped += 1
        _keep(context, entry)
        return
    taken = run.shelf.calibrations(masters)
    try:
        if reason := shortcoming(raw):
            raise BadFileError("not_wanted", reason)
        exposure = open_raw(raw, context.paths)
        result = recipes.calibrate(exposure, calibrations=taken, params=run.params)
    except ReductionError as error:
        _leave_out(context, entry, str(error), run)
        return
    _store(context, entry, _Reduced(exposure, _explained(result, choice), masters), run)
    run.reduced += 1


def _is_unchanged(
    context: JobContext, entry: BlockFrame, masters: dict[str, Frame], run: _Run
) -> bool:
    """Tell whether a frame's result is there and would come out the same again."""
    raw, product = entry.frame, entry.product
    if product is None or not raw.content_sha256 or shortcoming(raw):
        return False
    expected = _fingerprint(run, products.content(raw, raw.content_sha256), masters)
    return product.fingerprint == expected and (context.paths.data / product.path).is_file()


def _fingerprint(run: _Run, content: str, masters: dict[str, Frame]) -> str:
    recipe_hash = recipes.recipe_hash(_RECIPE, run.params)
    return products.fingerprint(recipe_hash, [content], masters)


def _keep(context: JobContext, entry: BlockFrame) -> None:
    """Take back that a result is out of date: it turned out to be the same."""
    if entry.product is not None and (entry.product.outdated or entry.left_out):
        with context.checkpoint():
            entry.product.outdated = None
            entry.left_out = ""


def _leave_out(context: JobContext, entry: BlockFrame, reason: str, run: _Run) -> None:
    context.log.warning("%s left out: %s", entry.frame.file_name, reason)
    run.left_out[entry.frame.file_name] = reason
    with context.checkpoint():
        products.leave_out(entry, reason)


def _explained(result: Calibrated, choice: CalibrationChoice) -> Calibrated:
    """Add to what is missing why there was none, in the words of the choice."""
    reasons = {
        f"no {role}": getattr(choice, role).reason
        for role in ("bias", "dark", "flat")
        if not getattr(choice, role).is_found
    }
    missing = [
        next((f"{said} ({why})" for start, why in reasons.items() if said.startswith(start)), said)
        for said in result.missing
    ]
    used = [getattr(choice, role).reason for role in choice.frame_ids]
    return replace(result, missing=missing, notes=[*result.notes, *used])


@dataclass(frozen=True, slots=True)
class _Reduced:
    """A raw frame, what became of it, and with what."""

    exposure: Exposure
    result: Calibrated
    masters: dict[str, Frame]

    @property
    def status(self) -> int:
        """MAR's status: its first step counts as done if bias and flat are both applied."""
        done = {*self.result.done, *self.exposure.info.done}
        return OVERSCAN_BIAS_FLAT if {"bias", "flat"} <= done else 0


def _store(context: JobContext, entry: BlockFrame, reduced: _Reduced, run: _Run) -> None:
    raw, exposure, result = entry.frame, reduced.exposure, reduced.result
    provenance = headers.Provenance(
        inputs=[(raw.path, exposure.sha256)],
        masters={role: (f.path, f.content_sha256) for role, f in reduced.masters.items()},
        recipe=_RECIPE,
        recipe_hash=recipes.recipe_hash(_RECIPE, run.params),
        software=f"Coelostat {__version__}",
    )
    cards = headers.reduced_cards(exposure.info, result, provenance)
    context.check()
    content = products.content(raw, exposure.sha256)
    expected = _fingerprint(run, content, reduced.masters)
    made = Made(
        written=storing.write(context, storing.reduced_path(raw), result.image, cards),
        masters={role: frame.id for role, frame in reduced.masters.items()},
        fingerprint=expected,
        counts=result.counts,
        missing=result.missing,
    )
    before = entry.product.path if entry.product else None
    with context.checkpoint():
        raw.content_sha256 = exposure.sha256
        product = products.store_reduced(entry, result, made, reduced.status)
        product.outdated = _outdated(reduced.masters, made.fingerprint, run, content)
    storing.remove_replaced(context, before, made.written.path)
    context.log.info(
        "%s: %s; missing: %s",
        raw.file_name,
        ", ".join(result.done),
        "; ".join(result.missing) or "nothing",
    )


def _outdated(masters: dict[str, Frame], fingerprint: str, run: _Run, content: str) -> str | None:
    """Return what became of the masters of a result before it could be stored, if anything did.

    Whoever changed a master flagged the results there were; this one was not among them.
    """
    invalid = [role for role, frame in masters.items() if not frame.is_valid]
    if invalid:
        return f"{invalid[0]} master {masters[invalid[0]].id} was set invalid"
    if _fingerprint(run, content, masters) != fingerprint:
        return "one of its masters was made anew meanwhile"
    return None


def _finish(context: JobContext, block: Block, run: _Run) -> None:
    with context.finish(run.result):
        db.session.refresh(block)
        if not {entry.frame_id for entry in block.entries} <= run.done:
            raise MembersChangedError
        block.status = 1
        events.publish("block", block=block.id)
    if run.message:
        context.log.info("%s: %s", label(block), run.message)


def _reasons(run: _Run) -> str:
    said: Sequence[str] = [f"{name}: {why}" for name, why in run.left_out.items()]
    more = f"; and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    return ("; ".join(said[:_SHOWN]) + more) or "the block is empty"
