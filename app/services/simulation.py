"""A simulated night in RAW: frames with known truth, and the proposals they belong to."""

from pathlib import Path
from typing import Final

from sqlalchemy import select

from app import paths
from app.db import db, transaction
from app.errors import ConflictError, UnavailableError
from app.models import Proposal
from reduction.simulate import NightParams, Truth, simulate_night

_FOLDER: Final = "simulated"  # of the instance: truth tables, reference catalogue


def simulate(params: NightParams) -> Truth:
    """Write a simulated night into RAW and make its proposals; the truth lies in the instance.

    Raises
    ------
    ConflictError
        If RAW has a folder of that night: real frames are never written over.
    UnavailableError
        If RAW cannot be written to.
    """
    here = paths.current()
    night = f"{params.night:%Y-%m-%d}"
    if (here.raw / night).exists():
        raise ConflictError(f"RAW has a folder {night} already: choose another night.")
    _make_proposals(params)
    try:
        return simulate_night(here.raw, truth_folder(night), params=params)
    except OSError as error:
        why = error.strerror or error
        raise UnavailableError(f"The night could not be written into RAW: {why}.") from error


def truth_folder(night: str) -> Path:
    """Return where the truth of a simulated night lies."""
    return paths.current().instance / _FOLDER / night


def _make_proposals(params: NightParams) -> None:
    """Make the proposals in their order: on an empty database the first has the number 1."""
    with transaction():
        known = set(db.session.scalars(select(Proposal.code)))
        for proposal in params.proposals:
            if proposal.code not in known:
                db.session.add(Proposal(code=proposal.code, title=proposal.title))
                db.session.flush()
