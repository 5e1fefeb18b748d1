"""Which proposal a code means, however it is written: headers are not careful about case."""

from sqlalchemy import func, or_, select

from app.db import db
from app.models import Proposal


def known(code: str) -> Proposal | None:
    """Return the proposal of a code, one written just so before others."""
    # The database lowers both sides: it may know other letters than we do.
    same = or_(Proposal.code == code, func.lower(Proposal.code) == func.lower(code))
    nearest = (Proposal.code != code, Proposal.id)
    return db.session.scalar(select(Proposal).where(same).order_by(*nearest).limit(1))


def of_code(code: str) -> Proposal:
    """Return the proposal of a code, in the open transaction; an unknown one becomes a bare one."""
    found = known(code)
    if found is None:
        found = Proposal(code=code)
        db.session.add(found)
        db.session.flush()
    return found
