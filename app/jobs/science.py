"""Reducing the frames of a science block."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from app import __version__
from app.db import db
from app.errors import ConflictError
from app.jobs import storing
from app.jobs.behind import WriteBehind
from app.jobs.pixels import MasterShelf, open_raw, read_ahead
from app.jobs.runner import JobContext
from app.jobs.skywork import SkyFacts, SkyWork
from app.jobs.storing import Prepared
from app.jobs.wishes import RECIPE, Way, Wishes
from app.models import Block, BlockFrame, BlockKind, Frame
from app.services import (
    calibrations,
    cone,
    events,
    products,
    quality,
    reduction_status,
    settings,
    source_files,
)
from app.services.block_members import label, shortcoming
from app.services.calibration_key import Tolerances, mixture
from app.services.calibrations import CalibrationChoice
from app.services.processing import EXISTING
from app.services.products import Made
from app.services.quality import Thresholds
from reduction import headers, recipes
from reduction.calibrate import PlanParams
from reduction.errors import BadFileError, NotEnoughFramesError, ReductionError
from reduction.exposure import Calibrated, Exposure
from reduction.image import Image
from reduction.recipes import CalibrateParams

_SHOWN: Final = 5  # reasons in a sentence


class MembersChangedError(Exception):
    """Frames joined the block while it was reduced."""


@dataclass(slots=True)
class _Run:
    """One pass over a block: how, with what, and what has come of it."""

    wishes: Wishes
    shelf: MasterShelf
    behind: WriteBehind
    sky: SkyWork
    done: set[int] = field(default_factory=set)  # frame ids looked at
    spare: Image | None = None  # of a frame that is stored: the next one takes its memory
    reduced: int = 0
    skipped: int = 0
    left_out: dict[str, str] = field(default_factory=dict)

    def take_spare(self) -> Image | None:
        """Return the spare image, for once."""
        spare, self.spare = self.spare, None
        return spare

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
    with WriteBehind() as behind:
        sky = SkyWork.of(_code(context), has_psf=context.settings.flag("photometry.psf"))
        sky.warn_of_loss(block, context.log)
        run = _Run(_wishes(context), MasterShelf(context.paths), behind, sky)
        while not _is_reduced(context, block, run):
            context.log.info("%s: frames joined it meanwhile", label(block))


def _is_reduced(context: JobContext, block: Block, run: _Run) -> bool:
    """Reduce the frames of a block that are left and finish the job, unless others joined it."""
    _reduce_pending(context, block, run)
    if not run.reduced and not run.skipped:
        raise NotEnoughFramesError(found=0, needed=1, why=_reasons(run))
    try:
        _finish(context, block, run)
    except MembersChangedError:
        return False
    return True


def _check_unmixed(context: JobContext, block: Block) -> None:
    good = [entry.frame for entry in block.entries if not shortcoming(entry.frame)]
    if good and (mixed := mixture(good, BlockKind.SCI, _tolerances(context))):
        raise ConflictError(f"{label(block)} mixes frames that do not belong together: {mixed}")


def _wishes(context: JobContext) -> Wishes:
    params = CalibrateParams(plan=PlanParams(exptime_tolerance=_tolerances(context).exptime))
    return Wishes(
        params,
        may_search="mc" in _code(context),
        searches=context.settings.flag("reduction.cosmic_rays"),
    )


def _code(context: JobContext) -> str:
    """Return the steps the job was asked for; one that says none does all there are."""
    return str(context.arguments.get("code", "".join(EXISTING)))


def _tolerances(context: JobContext) -> Tolerances:
    return Tolerances.of(context.settings)


def _reduce_pending(context: JobContext, block: Block, run: _Run) -> None:
    pending = [entry for entry in block.entries if entry.frame_id not in run.done]
    for number, entry in enumerate(pending):
        context.check()
        context.progress(number / len(pending), f"frame {number + 1} of {len(pending)}")
        if number + 1 < len(pending):
            read_ahead(pending[number + 1].frame, context.paths)
        _reduce_entry(context, entry, run)
        run.done.add(entry.frame_id)
    run.behind.settle()


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
    way = run.wishes.of(raw)
    try:
        if reason := shortcoming(raw):
            raise BadFileError("not_wanted", reason)
        exposure = way.seen(open_raw(raw, context.paths))
        result = recipes.calibrate(
            exposure, calibrations=taken, params=way.params, spare=run.take_spare()
        )
    except ReductionError as error:
        _leave_out(context, entry, str(error), run)
        return
    result = run.sky.noted(way.judged(_explained(result, choice)), exposure)
    facts = run.sky.put(result.image, exposure, context.log)
    _send(context, entry, _Reduced(exposure, result, masters, way, facts), run)


def _is_unchanged(
    context: JobContext, entry: BlockFrame, masters: dict[str, Frame], run: _Run
) -> bool:
    """Tell whether a frame's result is there and would come out the same again."""
    raw, product = entry.frame, entry.product
    if product is None or not raw.content_sha256 or shortcoming(raw):
        return False
    content = products.content(raw, raw.content_sha256)
    expected = _fingerprint(run, run.wishes.of(raw), content, masters)
    return product.fingerprint == expected and _is_whole(context, product)


def _is_whole(context: JobContext, product: Frame) -> bool:
    """Tell whether the files of a result are there."""
    had_sources = product.n_sources is not None
    is_there = (context.paths.data / product.path).is_file()
    return is_there and (not had_sources or source_files.are_kept(product))


def _fingerprint(run: _Run, way: Way, content: str, masters: dict[str, Frame]) -> str:
    """Return what a result hangs on: made before there was a catalogue, it is made again."""
    recipe = f"{way.recipe_hash} {run.sky.key}" if run.sky.is_wanted else way.recipe_hash
    return products.fingerprint(recipe, [content], masters)


def _keep(context: JobContext, entry: BlockFrame) -> None:
    """Take back that a result is out of date: it turned out to be the same."""
    if entry.product is not None and (entry.product.outdated or entry.left_out):
        with context.checkpoint():
            entry.product.outdated = None
            products.take_in(entry)


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
    way: Way
    facts: SkyFacts
    fingerprint: str = ""  # when it was made

    def status(self, raw: Frame, code: str) -> int:
        """Return MAR's status of it."""
        done = {*self.result.done, *self.exposure.info.done}
        return reduction_status.status_of(raw, code, done, self.facts.columns)


def _send(context: JobContext, entry: BlockFrame, reduced: _Reduced, run: _Run) -> None:
    """Have a result written while the next frame is reduced; it is stored when that is done."""
    raw, exposure, result = entry.frame, reduced.exposure, reduced.result
    provenance = headers.Provenance(
        inputs=[(raw.path, exposure.sha256)],
        masters={role: (f.path, f.content_sha256) for role, f in reduced.masters.items()},
        recipe=RECIPE,
        recipe_hash=reduced.way.recipe_hash,
        software=f"Coelostat {__version__}",
    )
    cards = headers.reduced_cards(exposure.info, result, provenance)
    context.check()
    storing.check_room(context)
    content = products.content(raw, exposure.sha256)
    sent = replace(reduced, fingerprint=_fingerprint(run, reduced.way, content, reduced.masters))
    relative, image = storing.reduced_path(raw), result.image
    run.behind.send(
        partial(
            storing.prepare,
            *(context.paths, relative, image, (cards, reduced.facts.cards)),
            table=reduced.facts.table,
        ),
        partial(_store, context, entry, sent, run),
        size=image.data.nbytes + image.variance.nbytes + image.mask.nbytes,
    )


def _store(
    context: JobContext, entry: BlockFrame, reduced: _Reduced, run: _Run, prepared: Prepared
) -> None:
    """Give a result on the disk its name and commit its rows."""
    raw, exposure, result = entry.frame, reduced.exposure, reduced.result
    before = entry.product.path if entry.product else None
    with storing.placed(context, prepared, context.checkpoint()) as written:
        made = Made(
            written=written,
            masters={role: frame.id for role, frame in reduced.masters.items()},
            fingerprint=reduced.fingerprint,
            counts=result.counts,
            missing=result.missing,
        )
        raw.content_sha256 = exposure.sha256
        status = reduced.status(raw, _code(context))
        product = products.store_reduced(entry, result, made, status)
        product.technique = str(exposure.info.technique)
        product.outdated = _outdated(reduced, raw, run)
        for name, value in reduced.facts.columns.items():
            setattr(product, name, value)
        quality.store(quality.judge_alone(Thresholds.of(context.settings), Frame.id == product.id))
        cone.place(product, reduced.facts.cells)
    storing.remove_replaced(context, before, written.path)
    named = {written.path, before or written.path}
    storing.remove_other_sources(context, sorted(named), written.sources)
    run.reduced += 1
    run.spare = result.image
    context.log.info(
        "%s: %s; missing: %s",
        raw.file_name,
        ", ".join(result.done),
        "; ".join(result.missing) or "nothing",
    )


def _outdated(reduced: _Reduced, raw: Frame, run: _Run) -> str | None:
    """Return what became of the ground of a result before it could be stored, if anything did.

    Whoever changed a master, or the proposal's settings, flagged the results there were; this one
    was not among them.
    """
    masters = reduced.masters
    invalid = [role for role, frame in masters.items() if not frame.is_valid]
    if invalid:
        return f"{invalid[0]} master {masters[invalid[0]].id} was set invalid"
    content = products.content(raw, reduced.exposure.sha256)
    if _fingerprint(run, run.wishes.of(raw), content, masters) != reduced.fingerprint:
        return "its masters or the settings of its proposal were changed meanwhile"
    return None


def _finish(context: JobContext, block: Block, run: _Run) -> None:
    made = [entry.product_id for entry in block.entries if entry.product_id is not None]
    verdicts = quality.judge_frames(made, Thresholds.of(settings.snapshot()))
    with context.finish(run.result):
        quality.store(verdicts)
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
