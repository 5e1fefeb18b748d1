"""A proposal's reduction settings, on its page."""

import pytest
from flask import Flask

from app.db import db, transaction
from app.models import Proposal, User
from tests.app.pages.conftest import Browser, browser_of
from tests.factories import make_user


@pytest.fixture
def leader(app: Flask) -> User:
    return make_user("leader")


@pytest.fixture
def proposal(leader: User) -> Proposal:
    with transaction():
        found = Proposal(code="2026A-7", pi=leader)
        db.session.add(found)
    return found


def test_leader_sets_them_in_a_form_and_others_read_them(
    app: Flask, browser: Browser, proposal: Proposal, leader: User
) -> None:
    page, place = f"/people/proposals/{proposal.id}/", f"/people/proposals/{proposal.id}/reduction/"
    leading = browser_of(app, leader)
    assert place in leading.text(page)

    response = leading.post(place, min_bias="10", cosmic_ray_method="none", min_flats="")

    assert (response.status_code, response.location) == (303, f"{page}#reduction")
    assert proposal.reduction == {"min_bias": 10, "cosmic_ray_method": "none"}
    assert 'name="min_bias" value="10"' in leading.text(page)
    assert "are due to be reduced again" not in leading.text(page)  # said once
    read = browser.text(page)
    assert place not in read
    assert "<dd>10</dd>" in read


def test_wrong_value_is_refused_in_words(app: Flask, proposal: Proposal, leader: User) -> None:
    response = browser_of(app, leader).post(
        f"/people/proposals/{proposal.id}/reduction/", min_bias="many"
    )

    assert response.status_code == 400
    assert "must be a number from 1" in response.text


def test_others_may_not(browser: Browser, proposal: Proposal) -> None:
    response = browser.post(f"/people/proposals/{proposal.id}/reduction/", min_bias="3")

    assert response.status_code == 403
    assert proposal.reduction == {}
