"""A browser that is signed in, for the tests of pages."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.models import User
from tests.conftest import sign_in

CSRF = "the token of this session"


class Browser:
    """Sends the session's cookie, and its CSRF token with every form."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, address: str) -> TestResponse:
        return self.client.get(address)

    def part(self, address: str, target: str) -> TestResponse:
        """Ask for a part of a page, as our script does when something changed."""
        return self.client.get(address, headers={"HX-Request": "true", "HX-Target": target})

    def post(self, address: str, **fields: str) -> TestResponse:
        return self.client.post(address, data={"csrf_token": CSRF, **fields})

    def text(self, address: str) -> str:
        """The text of a page, which must be there."""
        response = self.get(address)
        assert response.status_code == 200, response.text
        return response.text


def browser_of(app: Flask, user: User) -> Browser:
    return Browser(sign_in(app.test_client(), user, CSRF))


@pytest.fixture
def browser(app: Flask, observer: User) -> Browser:
    return browser_of(app, observer)


@pytest.fixture
def staff_browser(app: Flask, staff: User) -> Browser:
    return browser_of(app, staff)
