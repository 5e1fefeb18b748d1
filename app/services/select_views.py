"""The tables a SELECT of a user sees: views under the names of the S-PLUS pipeline's tables.

Each is a SELECT over the rows the caller may see, so that the one access rule holds here too.
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import (
    Alias,
    Column,
    ColumnElement,
    Select,
    String,
    Table,
    case,
    cast,
    false,
    func,
    literal_column,
    select,
)
from sqlalchemy.sql import visitors

from app.db import db
from app.models import (
    Block,
    BlockKind,
    Frame,
    FrameParent,
    Job,
    JobState,
    Level,
    SuperflatLink,
    User,
)
from app.services.access import may_see, sees_every_frame

_TILE_COLUMNS: Final = (
    "id field band file_path weight_path file_thumb weight_thumb modeavg medianavg noiseavg"
    " medianrms noiserms date status flag comments isvalid updated_at crval1 crval2"
)
_FIELD_COLUMNS: Final = "id file_path field flag updated_at"
_NOT_MEASURED: Final[ColumnElement[Any]] = literal_column("NULL")


def views_for(user: User) -> dict[str, Select[Any]]:
    """Return each table name with the SELECT behind it, as `user` may see it."""
    individual = _individual_files(user)
    return {
        "files_individualfile": individual,
        "files_individualfiles": individual,
        "files_finaltiles": _nothing(_TILE_COLUMNS),
        "files_biasblock": _masters(user, BlockKind.BIAS),
        "files_darkblock": _masters(user, BlockKind.DARK),
        "files_flatbyfilter": _masters(user, BlockKind.FLAT, with_band=True),
        "files_flatsblock": _blocks(user, BlockKind.FLAT, is_group=True),
        "files_scibyfilter": _blocks(user, BlockKind.SCI, is_group=False),
        "files_sciblock": _blocks(user, BlockKind.SCI, is_group=True),
        "files_superflat": _superflats(user),
        "files_fieldimages": _nothing(_FIELD_COLUMNS),
        "process_operations": _operations(user),
    }


def readable_columns(views: Mapping[str, Select[Any]]) -> dict[str, list[str]]:
    """Return the columns of each base table that the views name, and so may be read."""
    found: dict[str, set[str]] = {}
    for view in views.values():
        for element in visitors.iterate(view):
            if isinstance(element, Column) and (table := _behind(element)) is not None:
                found.setdefault(table.name, set()).add(element.name)
    return {table: sorted(columns) for table, columns in found.items()}


def _behind(column: Column[Any]) -> Table | None:
    """Return the table a column is of, whatever a view calls that table."""
    table: Any = column.table
    if isinstance(table, Alias):
        table = table.element
    return table if isinstance(table, Table) else None


def _individual_files(user: User) -> Select[Any]:
    is_reduced = Frame.level == Level.REDUCED
    product_id = (
        select(func.max(FrameParent.child_id))
        .where(FrameParent.parent_id == Frame.id, FrameParent.role == "raw")
        .where(*_among_seen(user, Frame, FrameParent.child_id))
        .scalar_subquery()
    )
    raw_id = (
        select(func.max(FrameParent.parent_id))
        .where(FrameParent.child_id == Frame.id, FrameParent.role == "raw")
        .where(*_among_seen(user, Frame, FrameParent.parent_id))
        .scalar_subquery()
    )
    superflat_id = (
        select(SuperflatLink.block_id)
        .where(SuperflatLink.frame_id == Frame.id)
        .where(*_among_seen(user, Block, SuperflatLink.block_id))
        .scalar_subquery()
    )
    file_type = case(
        (is_reduced, "PROCESSED"), (Frame.kind == "science", "SCI"), else_=func.upper(Frame.kind)
    )
    columns = {
        "id": Frame.id,
        "obsDate": Frame.start_utc,
        "field": func.replace(Frame.object_name, " ", "-"),
        "file_type": file_type,
        "exptime": Frame.exptime_s,
        "band": Frame.band,
        "file_name": Frame.file_name,
        "file_path": Frame.path,
        "ovfile": _NOT_MEASURED,
        "ovthumb": _NOT_MEASURED,
        "thumb": Frame.thumb,
        "modeavg": Frame.mode,
        "medianavg": Frame.median,
        "noiseavg": Frame.noise,
        "medianrms": _NOT_MEASURED,
        "noiserms": _NOT_MEASURED,
        "moonmean": _NOT_MEASURED,
        "bpmask": _NOT_MEASURED,
        "superflat_id": superflat_id,
        "processedDate": case((is_reduced, Frame.created_at)),
        "comments": Frame.comment,
        "status": Frame.status,
        "isvalid": case((Frame.is_valid, 1), else_=0),
        "raw_sci_id": case((is_reduced, raw_id)),
        "processed_id": case((~is_reduced, product_id)),
        "sci_id": case((is_reduced, Frame.id), else_=product_id),
        "crval1": Frame.ra_deg,
        "crval2": Frame.dec_deg,
    }
    return _named(columns).where(may_see(user, Frame), Frame.level.in_((Level.RAW, Level.REDUCED)))


def _among_seen(user: User, model: type[Any], ids: Any) -> list[ColumnElement[bool]]:  # noqa: ANN401
    """Return the condition that a linked row is seen too; none where every frame is."""
    if sees_every_frame(user):
        return []
    return [ids.in_(select(model.id).where(may_see(user, model)).correlate(None))]


def _masters(user: User, kind: BlockKind, *, with_band: bool = False) -> Select[Any]:
    columns = {
        "id": Block.id,
        "masterPath": Frame.path,
        "masterThumb": Frame.thumb,
        "maskPath": func.nullif(Block.mask_path, ""),
        "maskThumb": _NOT_MEASURED,
        **_dates(),
        "modeavg": Frame.mode,
        "medianavg": Frame.median,
        "noiseavg": Frame.noise,
        "medianrms": _NOT_MEASURED,
        "noiserms": _NOT_MEASURED,
        **_state(),
    }
    if with_band:
        columns["band"] = Block.band
    return _of_kind(_named(columns), user, kind, is_group=False).outerjoin(
        Frame, Frame.id == Block.master_id
    )


def _blocks(user: User, kind: BlockKind, *, is_group: bool) -> Select[Any]:
    columns = {"id": Block.id, **_dates(), **_state()}
    if not is_group:
        columns["band"] = Block.band
    return _of_kind(_named(columns), user, kind, is_group=is_group)


def _superflats(user: User) -> Select[Any]:
    columns = {
        "id": Block.id,
        **_dates(),
        "band": Block.band,
        "superFlatPath": Frame.path,
        "superFlatThumb": Frame.thumb,
        **_state(),
    }
    return _of_kind(_named(columns), user, BlockKind.FRINGE, is_group=False).outerjoin(
        Frame, Frame.id == Block.master_id
    )


def _operations(user: User) -> Select[Any]:
    ended = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)
    columns = {
        "id": Job.id,
        "endDate": Job.finished_at,
        "logPath": _log_path(),
        "operation": Job.label,
        "state": Job.state,
    }
    return _named(columns).where(may_see(user, Job), Job.state.in_(ended))


def _dates() -> dict[str, Any]:
    day_after: Any = func.date(Block.end_night, "+1 day")
    if _is_postgresql():
        day_after = Block.end_night + literal_column("1")
    # the pipeline keeps the end exclusive
    return {"blockStartDate": Block.start_night, "blockEndDate": day_after}


def _log_path() -> ColumnElement[str]:
    """Return where a job's log is, as `services.jobs` names it."""
    if _is_postgresql():
        digits = func.greatest(func.length(cast(Job.id, String)), 6)
        return "LOGS/job-" + func.lpad(cast(Job.id, String), digits, "0") + ".log"
    return func.printf("LOGS/job-%06d.log", Job.id)


def _is_postgresql() -> bool:
    return db.engine.dialect.name == "postgresql"


def _state() -> dict[str, Any]:
    return {
        "comments": Block.comment,
        "status": Block.status,
        "isvalid": case((Block.is_valid, 1), else_=0),
    }


def _named(columns: Mapping[str, Any]) -> Select[Any]:
    # A name without quotes is lower case to PostgreSQL, whatever the query's author wrote.
    fold = str.lower if _is_postgresql() else str
    return select(*(column.label(fold(name)) for name, column in columns.items()))


def _of_kind(view: Select[Any], user: User, kind: BlockKind, *, is_group: bool) -> Select[Any]:
    return view.select_from(Block).where(
        may_see(user, Block), Block.kind == kind, Block.is_group.is_(is_group)
    )


def _nothing(columns: str) -> Select[Any]:
    """Return a table that has its columns and no rows: what fills it is not made yet."""
    return _named(dict.fromkeys(columns.split(), _NOT_MEASURED)).where(false())
