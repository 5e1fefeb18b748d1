"""The demonstration: a simulated night, scanned, planned and reduced by the running program."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Final

from flask import Flask
from sqlalchemy import func, select

from app import paths
from app.config import OPERATIONAL
from app.db import db
from app.errors import UnavailableError
from app.models import OPEN_STATES, FileState, Frame, Job, Level, User
from app.services import accounts, ingest, plan, refcats, settings, simulation
from app.wording import counted
from reduction.simulate import NightParams, Truth, finish_growing, read_truth

Say = Callable[[str], None]

CATALOGUE: Final = "demo"
LOOK_S: Final = 0.5
SETTLED_S: Final = 1.0  # past `scan.settle_s`, so that the file that grew is taken


def run(app: Flask, address: str, say: Say, params: NightParams | None = None) -> None:
    """Have a night in RAW and reduce it; a second time, do only what is still to be done."""
    with app.app_context():
        keeper = accounts.find_user(accounts.FIRST_USER)
        truth = _have_night(params or NightParams(), keeper, say)
        load_catalogue(truth, say)
        _scan(truth, say)
        queued = plan.process(truth.params.night, owner=keeper)
        say(f"demo: {counted(len(queued), 'job')} queued")
        for line in _ends_of([job.id for job in queued]):
            say(f"demo: {line}")
        say(f"demo: {_summary(truth.params.night)}")
        say(f"ready: http://{address}/")


def _have_night(params: NightParams, keeper: User, say: Say) -> Truth:
    """Simulate the night, unless an earlier demonstration has."""
    night = f"{params.night:%Y-%m-%d}"
    folder = simulation.truth_folder(night)
    if not (paths.current().raw / night).exists():
        say(f"demo: simulating the night {night} (a minute or two)")
        _move_to_site(params, keeper)
        return simulation.simulate(params, keeper=keeper)
    try:
        return read_truth(folder)
    except FileNotFoundError as error:
        raise UnavailableError(
            f"RAW has a folder {night} that no demonstration finished; "
            "move it away if it is not yours to keep, and start again"
        ) from error


def load_catalogue(truth: Truth, say: Say) -> None:
    """Load the reference catalogue of the simulated sky, unless it is there."""
    if refcats.facts(CATALOGUE) is None:
        meta = refcats.load_files(refcats.Request(CATALOGUE, [truth.refcat], preset="simulated"))
        say(f"demo: reference catalogue {CATALOGUE} of {counted(meta.rows, 'star')}")


def _move_to_site(params: NightParams, keeper: User) -> None:
    """Take the simulated observatory's place for the site's, unless the site has one."""
    if settings.snapshot().text("site.name") != OPERATIONAL["site.name"].default:
        return
    site = {
        "name": "Demo Observatory",
        "latitude_deg": params.latitude_deg,
        "longitude_deg": params.longitude_deg,
        "elevation_m": params.elevation_m,
    }
    for item, value in site.items():
        settings.change("site", item, value, by=keeper)


def _scan(truth: Truth, say: Say) -> None:
    """Scan while one file is still growing, then once it is whole."""
    report = ingest.scan("")
    say(f"demo: {report.message}")
    for change in report.quarantined:
        say(f"demo: {change.path} quarantined: {change.reason}")
    if not report.counts[FileState.WAITING]:
        return
    path = finish_growing(truth)
    say(f"demo: {path.name} is whole now")
    time.sleep(settings.snapshot().number("scan.settle_s") + SETTLED_S)
    say(f"demo: {ingest.scan('').message}")


def _ends_of(job_ids: Sequence[int]) -> Iterator[str]:
    """Yield a line for each job as it ends."""
    left = set(job_ids)
    while left:
        ended = select(Job).where(Job.id.in_(left), Job.state.not_in(OPEN_STATES))
        for job in db.session.scalars(ended.order_by(Job.finished_at)).all():
            left.remove(job.id)
            done = len(job_ids) - len(left)
            why = f": {job.error}" if job.error else ""
            yield f"{done}/{len(job_ids)} {job.label} {job.state}{why}"
        db.session.rollback()  # the next look is a new one
        time.sleep(LOOK_S)


def _summary(night: date) -> str:
    count = select(func.count()).where(Frame.night == night)
    masters = db.session.scalar(count.where(Frame.level == Level.MASTER))
    reduced = db.session.scalar(count.where(Frame.level == Level.REDUCED))
    return (
        f"{counted(masters or 0, 'master')} and {counted(reduced or 0, 'reduced frame')} of {night}"
    )
