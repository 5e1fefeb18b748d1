"""The settings a proposal may have of its own: what each may be, and who sets them."""

import pytest
from flask import Flask
from sqlalchemy import select

from app.db import db, transaction
from app.errors import InvalidRequestError, NotAllowedError
from app.models import AuditEntry, Proposal, User
from app.services import proposal_reduction
from app.services.proposal_reduction import Rules
from tests.factories import make_block, make_frame, make_user


@pytest.fixture
def leader(app: Flask) -> User:
    return make_user("leader")


@pytest.fixture
def proposal(leader: User) -> Proposal:
    with transaction():
        found = Proposal(code="2026A-7", pi=leader)
        db.session.add(found)
    return found


@pytest.mark.parametrize(
    ("name", "sent", "kept"),
    [
        ("saturation_threshold", "2.5", 2.5),
        ("saturation_threshold", 0, 0.0),
        ("cosmic_ray_method", "LACosmic", "lacosmic"),
        ("cosmic_ray_method", "none", "none"),
        ("technique", "Spectroscopy", "spectroscopy"),
        ("ignore_bias", "true", True),
        ("ignore_flats", 1, True),
        ("min_bias", "10", 10),
        ("min_flats", 10.0, 10),
        ("minimum_bias", 3, 3),
    ],
)
def test_setting_is_kept_as_what_it_is_and_taken_back_by_default(
    proposal: Proposal, leader: User, name: str, sent: object, kept: object
) -> None:
    own = "min_bias" if name == "minimum_bias" else name

    rules = proposal_reduction.change(proposal, {name: sent}, by=leader)
    assert getattr(rules, own) == kept
    assert proposal.reduction == {own: kept}

    proposal_reduction.change(proposal, {name: "default"}, by=leader)
    assert proposal.reduction == {}


@pytest.mark.parametrize(
    ("name", "sent", "words"),
    [
        ("saturation_threshold", 101, "from 0 to 100"),
        ("saturation_threshold", "nan", "from 0 to 100"),
        ("saturation_threshold", "much", "must be a number"),
        ("min_bias", 0, "from 1"),
        ("min_bias", 2.5, "whole number"),
        ("min_flats", 10**9, "from 1"),
        ("ignore_bias", "perhaps", "true or false"),
        ("cosmic_ray_method", "dcr", "not for images"),
        ("cosmic_ray_method", "magic", "must be default, lacosmic, none"),
        ("technique", "polarimetry", "must be default, imaging, spectroscopy"),
        ("flat_normalization", "simple", "comes with spectra"),
        ("flat_normalization", "mean", "divided by a flat of mean one"),
        ("order", 15, "comes with spectra"),
        ("extraction", "fractional", "comes with spectra"),
        ("profile", "moffat", "comes with spectra"),
        ("targets", 3, "comes with spectra"),
        ("colour", "blue", "there is no such setting"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_changed(
    proposal: Proposal, leader: User, name: str, sent: object, words: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        proposal_reduction.change(proposal, {"ignore_flats": True, name: sent}, by=leader)

    assert words in refused.value.fields[name]
    assert proposal.reduction == {}


def test_nothing_sent_is_refused_with_the_names(proposal: Proposal, leader: User) -> None:
    with pytest.raises(InvalidRequestError, match="min_flats"):
        proposal_reduction.change(proposal, {}, by=leader)


def test_only_its_leader_and_staff_change_them(
    proposal: Proposal, leader: User, staff: User
) -> None:
    member = make_user("member")
    with transaction():
        proposal.members.append(member)

    for person in (leader, staff):
        assert proposal_reduction.change(proposal, {"min_bias": 3}, by=person).min_bias == 3
    with pytest.raises(NotAllowedError, match="principal investigator"):
        proposal_reduction.change(proposal, {"min_bias": 4}, by=member)
    noted = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "set the reduction"))
    assert [(entry.user_id, entry.detail) for entry in noted] == [(leader.id, "min_bias: 3")]


def test_change_makes_what_was_reduced_due_and_the_same_again_does_not(
    proposal: Proposal, leader: User
) -> None:
    raw, other = make_frame(proposal_id=proposal.id), make_frame()
    reduced = make_frame(level=2, proposal_id=proposal.id, fingerprint="f", path="PROCESSED/p.fits")
    mine, theirs = make_block("sci", [raw], status=1), make_block("sci", [other], status=1)

    proposal_reduction.change(proposal, {"ignore_bias": False}, by=leader)
    assert (reduced.outdated, mine.status) == (None, 1)
    proposal_reduction.change(proposal, {"ignore_bias": True}, by=leader)

    assert reduced.outdated == "the reduction settings of 2026A-7 were changed"
    assert (mine.status, theirs.status) == (0, 1)


def test_what_another_version_stored_does_no_harm(proposal: Proposal) -> None:
    with transaction():
        proposal.reduction = {"flat_order": 15, "min_bias": 4}

    assert proposal_reduction.of(proposal) == Rules(min_bias=4)


def test_calibrations_are_the_sites_whoever_took_them(proposal: Proposal) -> None:
    with transaction():
        proposal.reduction = {"ignore_bias": True}
    frames = [make_frame(kind, proposal_id=proposal.id) for kind in ("flat", "dark", "science")]

    assert [proposal_reduction.rules_of(f).are_set for f in frames] == [False, False, True]
