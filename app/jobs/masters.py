"""Making the master of a bias, dark or flat block."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from app import __version__
from app.db import db
from app.errors import ConflictError
from app.jobs import storing
from app.jobs.discretion import Discretion
from app.jobs.pixels import MasterShelf, Opened, open_members
from app.jobs.runner import JobContext
from app.jobs.storing import Prepared
from app.models import Block, BlockKind, Frame
from app.services import calibrations, events, products, proposal_reduction
from app.services.block_members import label, shortcoming
from app.services.calibration_key import Tolerances, mixture
from app.services.calibrations import MasterChoice
from app.services.products import Made
from app.services.settings import Snapshot
from app.wording import counted
from reduction import headers, recipes
from reduction.combine import CombineParams
from reduction.errors import NotEnoughFramesError
from reduction.exposure import Exposure, Master
from reduction.frameinfo import FrameKind
from reduction.recipes import BiasParams, DarkParams, FlatParams

_TRIES: Final = 3  # runs of one job while frames join its block
_COMBINING: Final = 0.85  # of a job's time is over when the frames are combined


class MembersChangedError(Exception):
    """Frames joined or left the block, or were judged anew, while its master was made."""


@dataclass(frozen=True, slots=True)
class _Recipe:
    """A recipe with its parameters, the masters it takes, and what it lacks."""

    params: BiasParams | DarkParams | FlatParams
    masters: Mapping[str, Frame]
    missing: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Ready:
    """A master that is on the disk under no name yet, and what its rows need."""

    master: Master
    prepared: Prepared
    made: Made


def make(context: JobContext, block: Block) -> None:
    """Make the master of a block and finish the job; frames that join meanwhile get in too."""
    for _ in range(_TRIES):
        try:
            _make_once(context, block)
        except MembersChangedError:
            context.log.info("%s: its frames changed meanwhile, made again", label(block))
        else:
            return
    raise ConflictError(f"{label(block)}: its frames keep changing; process it again later")


def _make_once(context: JobContext, block: Block) -> None:
    standing = _standing(block)
    members = [entry.frame for entry in block.entries]
    context.progress(0.0, "reading")
    opened = open_members(members, context.paths)
    good = [frame for frame in members if frame.id in opened.exposures]
    _check(context, block, opened, good)
    recipe = _recipe(block, good[len(good) // 2], context.settings)
    master = _combined(context, block, recipe, list(opened.exposures.values()))
    ready = _prepared(context, block, recipe, master, opened, good)
    _store(context, block, ready, opened, standing)


def _standing(block: Block) -> dict[int, str]:
    """Return the frames of a block, each with what is wrong with it."""
    return {entry.frame_id: shortcoming(entry.frame) for entry in block.entries}


def _check(context: JobContext, block: Block, opened: Opened, good: Sequence[Frame]) -> None:
    """Stop where nothing is left to combine, or what is left does not belong together."""
    if not good:
        with context.checkpoint():
            _note_left_out(block, opened.refused)
        reasons = "; ".join(
            f"{entry.frame.file_name}: {opened.refused[entry.frame_id]}"
            for entry in block.entries[:5]
        )
        raise NotEnoughFramesError(found=0, needed=1, why=reasons or "the block is empty")
    if mixed := mixture(good, BlockKind(block.kind), Tolerances.of(context.settings)):
        raise ConflictError(f"{label(block)} mixes frames that do not belong together: {mixed}")


def _recipe(block: Block, frame: Frame, at: Snapshot) -> _Recipe:
    """Return how the block's master is made, `frame` standing for all of its frames."""
    clip = at.number("reduction.clip_sigma")
    combine = CombineParams(low_sigma=clip, high_sigma=clip)
    if block.kind == BlockKind.BIAS:
        return _Recipe(BiasParams(combine=combine), {}, ())
    bias = calibrations.choose_bias(frame, at)
    if block.kind == BlockKind.DARK:
        near = Tolerances.of(at)
        params = DarkParams(
            combine=combine, exptime_tolerance=near.exptime, max_temp_spread_c=near.temp_c
        )
        return _Recipe(params, _rows(bias=bias), _lacking(bias))
    dark = calibrations.choose_dark(frame, at, has_bias=bias.is_found)
    flat = FlatParams(combine=combine, min_level_adu=at.number("reduction.flat_faint_adu"))
    limit = proposal_reduction.most_saturated([entry.frame for entry in block.entries])
    flat = flat if limit is None else replace(flat, max_saturated=limit)
    return _Recipe(flat, _rows(bias=bias, dark=dark), _lacking(bias))


def _rows(**choices: MasterChoice) -> dict[str, Frame]:
    return {
        role: db.session.get_one(Frame, choice.frame_id)
        for role, choice in choices.items()
        if choice.frame_id is not None
    }


def _lacking(bias: MasterChoice) -> list[str]:
    return [bias.reason] if bias.is_lacking else []


def _combined(
    context: JobContext, block: Block, recipe: _Recipe, exposures: Sequence[Exposure]
) -> Master:
    context.progress(0.1, f"combining {counted(len(exposures), f'{block.kind} frame')}")

    def progress(fraction: float) -> None:
        context.check()
        context.progress(0.1 + (_COMBINING - 0.1) * fraction)

    taken = MasterShelf(context.paths).calibrations(recipe.masters)
    params = recipe.params
    if isinstance(params, BiasParams):
        master = recipes.make_bias(exposures, params=params, progress=progress)
    elif isinstance(params, DarkParams):
        master = recipes.make_dark(exposures, bias=taken.bias, params=params, progress=progress)
    else:
        master = recipes.make_flat(exposures, calibrations=taken, params=params, progress=progress)
    thin = len(master.used) < context.settings.integer("calibration.thin_frames")
    return replace(master, thin=thin)


def _prepared(
    context: JobContext,
    block: Block,
    recipe: _Recipe,
    master: Master,
    opened: Opened,
    good: Sequence[Frame],
) -> _Ready:
    """Write a master, under no name yet."""
    context.progress(_COMBINING, "writing")
    used = opened.named(master.used)
    frames = [frame for frame in good if frame.id in used]
    nights = sorted(frame.night for frame in frames if frame.night is not None)
    name = f"make_{block.kind}"
    discreet = Discretion.of(good, opened, context.settings)
    provenance = headers.Provenance(
        inputs=[(discreet.path(f), opened.exposures[f.id].sha256) for f in frames],
        masters={role: (f.path, f.content_sha256) for role, f in recipe.masters.items()},
        recipe=name,
        recipe_hash=recipes.recipe_hash(name, recipe.params),
        software=f"Coelostat {__version__}",
        extra={
            "START_DATE": nights[0].isoformat() if nights else None,
            "END_DATE": nights[-1].isoformat() if nights else None,
        },
    )
    middle = frames[len(frames) // 2]
    start, mean = products.span_utc([opened.exposures[f.id].info for f in frames])
    info = discreet.info(middle, opened.exposures[middle.id].info)
    info = replace(info, start_utc=start, mid_utc=mean)
    told = discreet.master(master)
    cards = headers.master_cards(FrameKind(block.kind), info, told, provenance)
    relative = storing.master_path(block, middle)
    fingerprint = products.fingerprint(
        provenance.recipe_hash,
        [products.content(f, opened.exposures[f.id].sha256) for f in good],
        recipe.masters,
    )
    counts = recipes.flag_counts(master.image)
    context.check()
    storing.check_room(context)
    prepared = storing.prepare(context.paths, relative, master.image, (cards, ()))
    used_masters = {role: frame.id for role, frame in recipe.masters.items()}
    made = Made(prepared.written, used_masters, fingerprint, counts, recipe.missing)
    return _Ready(master, prepared, made)


def _store(
    context: JobContext,
    block: Block,
    ready: _Ready,
    opened: Opened,
    standing: Mapping[int, str],
) -> None:
    master, made = ready.master, ready.made
    before = block.master.path if block.master else None
    result = {"used": len(master.used), "left_out": len(standing) - len(master.used)}
    with storing.placed(context, ready.prepared, context.finish(result)):
        db.session.refresh(block)
        if _standing(block) != standing:
            raise MembersChangedError
        used = opened.named(master.used)
        _note_left_out(block, opened.refused | _reasons(master, opened))
        by_id = {entry.frame_id: entry.frame for entry in block.entries}
        for frame_id, exposure in opened.exposures.items():
            by_id[frame_id].content_sha256 = exposure.sha256
        discreet = Discretion.of(by_id.values(), opened, context.settings)
        members = [by_id[frame_id] for frame_id in used]
        discreet.settle(products.store_master(block, discreet.master(master), made, members))
        block.status = 1
        events.publish("block", block=block.id)
    storing.remove_replaced(context, before, made.written.path)
    context.log.info(
        "%s: %d of %d frames, mode %.4g, noise %.4g",
        label(block),
        len(master.used),
        len(standing),
        master.stats.mode,
        master.stats.noise,
    )


def _reasons(master: Master, opened: Opened) -> dict[int, str]:
    ids = {exposure.name: frame_id for frame_id, exposure in opened.exposures.items()}
    return {ids[left.name]: left.reason for left in master.left_out}


def _note_left_out(block: Block, reasons: Mapping[int, str]) -> None:
    for entry in block.entries:
        if entry.frame_id in reasons:
            products.leave_out(entry, reasons[entry.frame_id])
        else:
            entry.left_out = ""
