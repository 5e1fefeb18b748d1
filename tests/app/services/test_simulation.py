"""Who a simulated night's proposals are of."""

from flask import Flask

from app.db import db
from app.models import Proposal, User
from app.services import accounts, simulation
from reduction.simulate import NightParams


def test_investigators_are_people_without_a_password(app: Flask, staff: User) -> None:
    params = NightParams.small()
    accounts.create_user("Guest.Observer", by=staff)

    simulation.simulate(params, keeper=staff)

    leads = {one.code: one.pi for one in db.session.query(Proposal)}
    first, second = (leads[one.code] for one in params.proposals)
    assert first is not None
    assert (first.display_name, first.password_hash, first.is_staff) == (
        "Demo Observer",
        None,
        False,
    )
    assert second is None  # whose name somebody else has


def test_without_a_keeper_nobody_gets_an_account(app: Flask) -> None:
    simulation.simulate(NightParams.small())

    assert db.session.query(Proposal).count() == 2
    assert db.session.query(User).count() == 0
