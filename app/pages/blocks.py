"""Blocks: what there is, what the plan of a night would make, and putting them to work."""

from collections.abc import Sequence
from datetime import date

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.api.auth import current_user
from app.errors import InvalidRequestError
from app.models import Block, BlockKind
from app.pages.base import asked_row, back, blueprint, refuse_unknown
from app.pages.nights import Told, parse_night, told
from app.services import access, audit, blocks, lineage, nights, plan
from app.services.sky_columns import LEFT_OUT
from app.wording import counted


@blueprint.get("/blocks/")
def show_blocks() -> ResponseReturnValue:
    """List blocks, newest first."""
    user = current_user()
    refuse_unknown(("kind", "night", "before"))
    kind, night = request.args.get("kind") or None, _day("night")
    rows = nights.block_rows(user, kind=kind, night=night, before_id=asked_row("before"))
    shown = {"rows": rows, "kind": kind, "night": night, "kinds": list(BlockKind)}
    if request.headers.get("HX-Target") == "blocks":
        return render_template("parts/block_rows.html", **shown)
    return render_template("blocks.html", newest=nights.newest_night(user), **shown)


def _day(name: str) -> date | None:
    text = request.values.get(name, "").strip()
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidRequestError(
            **{name: f"must be a date such as 2026-11-20, not {text!r}"}
        ) from None


@blueprint.get("/blocks/plan/")
def show_plan() -> ResponseReturnValue:
    """Show what the plan would make of a night, and what each science frame would get."""
    user = current_user()
    night = _day("night") or nights.newest_night(user)
    made = plan.preview(night, user=user) if night is not None else None
    labels = {block.plan_key: block.label for block in made.blocks} if made else {}
    lacking = _lacking(made.science) if made else None
    return render_template("plan.html", night=night, plan=made, labels=labels, told=lacking)


def _lacking(science: Sequence[plan.PlannedScience]) -> Told:
    """Return which calibrations all science frames of a plan would go without, and which some."""
    choices = [(one.choice.bias, one.choice.dark, one.choice.flat) for one in science]
    return told([each.reason for each in one if each.is_lacking] for one in choices)


@blueprint.post("/blocks/plan/<name>/make/")
def make_plan(name: str) -> ResponseReturnValue:
    """Make the blocks of a night's plan, without putting them to work."""
    made = plan.apply(parse_night(name), owner=current_user())
    return back(
        f"{counted(len(made), 'block is', 'blocks are')} ready."
        if made
        else "This night has no frames for a block that is yours to make.",
        url_for("pages.show_blocks", night=name),
    )


@blueprint.post("/blocks/")
def make_block() -> ResponseReturnValue:
    """Make a block from dates, by hand."""
    user = current_user()
    kind = _kind(request.form.get("kind", ""))
    start = _needed_day("start")
    end = _day("end") or start
    contains = request.form.get("name_has", "").strip()
    if request.form.get("all_bands"):
        group = blocks.create_group(kind, start, end, owner=user, contains=contains)
        return redirect(url_for("pages.show_block", block_id=group.id), 303)
    made = blocks.create(
        kind,
        start,
        end,
        owner=user,
        band=request.form.get("band", "").strip() or None,
        field=request.form.get("field", "").strip() or None,
        contains=contains,
    )
    if len(made) == 1:
        return redirect(url_for("pages.show_block", block_id=made[0].id), 303)
    message = f"{len(made)} blocks were made, one for each camera and setting."
    return back(message, url_for("pages.show_blocks", kind=kind))


def _kind(text: str) -> BlockKind:
    try:
        return BlockKind(text)
    except ValueError:
        raise InvalidRequestError(kind=f"must be one of {', '.join(BlockKind)}") from None


def _needed_day(name: str) -> date:
    day = _day(name)
    if day is None:
        raise InvalidRequestError(**{name: "give a date such as 2026-11-20"})
    return day


@blueprint.get("/blocks/<int:block_id>/")
def show_block(block_id: int) -> ResponseReturnValue:
    """Show one block with its frames, or with the blocks of its bands."""
    user = current_user()
    block = nights.block(user, block_id)
    row = nights.counted(user, [block])[0]
    members = lineage.of_blocks(user, [block])[block.id]
    shown = {
        "row": row,
        "block": block,
        "members": members,
        "told": told(product.missing for product in members.products),
        "products": {product.id: product for product in members.products},
        "left_out": {entry.frame_id: entry.left_out for entry in block.entries},
        "product_of": {entry.frame_id: entry.product_id for entry in block.entries},
        "off_sky": sum(LEFT_OUT in product.notes for product in members.products),
        "parts": nights.counted(user, nights.parts_of(user, block)),
        "contains": "" if access.hiding_blocks(user, [block.id]) else block.contains,
        "label": blocks.label(block),
        "acts": audit.of(block),
    }
    if request.headers.get("HX-Target") == "block":
        return render_template("parts/block.html", **shown)
    return render_template("block.html", **shown)


@blueprint.post("/blocks/<int:block_id>/process/")
def process_block(block_id: int) -> ResponseReturnValue:
    """Put a block to work."""
    user = current_user()
    job = blocks.process(
        nights.block(user, block_id), owner=user, code=request.form.get("code", "").strip()
    )
    return back(f"Job {job.id} is in the queue.", url_for("pages.show_block", block_id=block_id))


@blueprint.post("/blocks/<int:block_id>/valid/")
def toggle_block_valid(block_id: int) -> ResponseReturnValue:
    """Turn the validity of a block round."""
    user = current_user()
    block = blocks.toggle_valid(nights.block(user, block_id), by=user)
    said = "valid again" if block.is_valid else f"invalid now: {_unused(block)}"
    return back(f"The block is {said}.", url_for("pages.show_block", block_id=block_id))


def _unused(block: Block) -> str:
    """Return what follows for a block from being invalid."""
    if block.kind == BlockKind.SCI:
        return "it will not be processed; what was reduced stays"
    return "its master will not be used"


@blueprint.post("/blocks/<int:block_id>/comment/")
def comment_block(block_id: int) -> ResponseReturnValue:
    """Replace the remark on a block."""
    user = current_user()
    block = nights.block(user, block_id)
    blocks.set_comment(block, request.form.get("comment", "").strip()[:2000], by=user)
    return back("The comment is saved.", url_for("pages.show_block", block_id=block_id))
