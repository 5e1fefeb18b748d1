"""A simulated night in RAW: frames with known truth, and the proposals they belong to."""

from pathlib import Path
from typing import Final

from sqlalchemy import func, select

from app import paths
from app.db import db, transaction
from app.errors import ConflictError, UnavailableError
from app.models import Proposal, User
from app.services import accounts
from reduction.simulate import NightParams, Truth, simulate_night

_FOLDER: Final = "simulated"  # of the instance: truth tables, reference catalogue


def simulate(params: NightParams, *, keeper: User | None = None) -> Truth:
    """Write a simulated night into RAW and make its proposals; the truth lies in the instance.

    With a `keeper`, who makes their accounts, proposals have their investigators: people without
    a password, who get in by an invitation.

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
    _make_proposals(params, keeper)
    try:
        return simulate_night(here.raw, truth_folder(night), params=params)
    except OSError as error:
        why = error.strerror or error
        raise UnavailableError(f"The night could not be written into RAW: {why}.") from error


def truth_folder(night: str) -> Path:
    """Return where the truth of a simulated night lies."""
    return paths.current().instance / _FOLDER / night


def _make_proposals(params: NightParams, keeper: User | None) -> None:
    """Make the proposals in their order: on an empty database the first has the number 1."""
    with transaction():
        known = set(db.session.scalars(select(Proposal.code)))
        for proposal in params.proposals:
            if proposal.code not in known:
                leader = _investigator(proposal.pi, keeper) if keeper else None
                db.session.add(Proposal(code=proposal.code, title=proposal.title, pi=leader))
                db.session.flush()


def _investigator(name: str, keeper: User) -> User | None:
    """Return an account made for somebody; None where their name is another's already."""
    username = name.lower().replace(" ", ".")
    if db.session.scalar(select(User.id).where(func.lower(User.username) == username)) is not None:
        return None
    person = accounts.create_user(username, by=keeper)
    person.first_name, _, person.last_name = name.partition(" ")
    return person
