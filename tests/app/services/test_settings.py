"""Operational settings: what may be stored, so that one typing error stops nothing."""

import re

import pytest
from flask import Flask

from app import config
from app.config import OPERATIONAL, ConfigError
from app.db import db, transaction
from app.errors import InvalidRequestError
from app.models import StoredSetting, User
from app.services import settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("access.visibility", "member"),  # would have shown every frame to everyone
        ("site.timezone", "Mars/Olympus"),
        ("site.latitude_deg", "nan"),
        ("site.longitude_deg", "inf"),
        ("site.latitude_deg", "91"),
        ("reduction.clip_sigma", "-1"),
        ("scan.interval_s", "0"),
        ("scan.settle_s", "-3"),
        ("jobs.lease_s", "0"),
        ("jobs.max_attempts", "0"),
        ("jobs.timeout_s", "-1"),
        ("jobs.keep_days", "99999999999"),
        ("access.token_days", "9" * 30),
        ("calibration.max_age_days_bias", "-1"),
        ("calibration.dark_exptime_tolerance", "1"),
        ("query.max_rows", "0"),
        ("site.url", "javascript:alert(1)"),  # would stand in mails as a link to us
        ("mail.smtp_host", "two words"),
        ("mail.smtp_port", "70000"),
        ("mail.security", "ssl"),
        ("mail.sender", "dome@site.org\r\nBcc: all@site.org"),
        ("mail.reply_to", "nobody"),
    ],
)
def test_a_value_nothing_could_work_with_is_refused_by_name(
    name: str, value: str, staff: User
) -> None:
    section, _, item = name.partition(".")
    before = settings.snapshot().values[name]

    with pytest.raises(InvalidRequestError, match=name.replace(".", r"\.")):
        settings.change(section, item, value, by=staff)

    assert settings.snapshot().values[name] == before


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("jobs.lease_s", -5, "jobs.lease_s must be a whole number from 1 to 3600, not -5"),
        ("jobs.lease_s", "banana", "jobs.lease_s must be a whole number, not 'banana'"),
        ("reduction.clip_sigma", "-1", "must be a number from 1 to 1000, not -1"),
        ("scan.watch", "perhaps", "scan.watch must be true or false, not 'perhaps'"),
        ("access.visibility", "nobody", "must be everyone or members, not 'nobody'"),
        ("site.timezone", "Mars/Olympus", "must be a zone such as UTC or America/Santiago"),
    ],
)
def test_refusal_says_what_would_do(name: str, value: object, sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        config.coerce(OPERATIONAL[name], value)


def test_bad_value_stored_by_an_older_version_gives_way_to_what_holds_without_it(
    app: Flask,
) -> None:
    bad = {"site.timezone": "Mars/Olympus", "jobs.lease_s": -5, "scan.interval_s": "soon"}
    with transaction():
        for name, value in bad.items():
            section, _, item = name.partition(".")
            db.session.add(StoredSetting(section=section, item=item, value=value))

    now = settings.snapshot().values

    assert {name: now[name] for name in bad} == {name: OPERATIONAL[name].default for name in bad}


def test_every_default_is_a_value_that_may_be_set(app: Flask) -> None:
    for setting in OPERATIONAL.values():
        assert config.coerce(setting, setting.default) == setting.default


def test_the_least_and_the_most_may_be_set(staff: User) -> None:
    settings.change("access", "visibility", "members", by=staff)
    settings.change("site", "latitude_deg", "-90", by=staff)
    settings.change("calibration", "max_age_days_bias", 0, by=staff)

    now = settings.snapshot()
    assert now.text("access.visibility") == "members"
    assert now.number("site.latitude_deg") == -90
    assert now.integer("calibration.max_age_days_bias") == 0


def test_a_limit_holds_in_the_configuration_file_too(app: Flask) -> None:
    with pytest.raises(ConfigError, match="everyone or members"):
        config.coerce(OPERATIONAL["access.visibility"], "Members only")
