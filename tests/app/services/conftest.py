"""Fixtures of the services' tests."""

from pathlib import Path

import pytest
from flask import Flask

from app import paths


@pytest.fixture
def raw(app: Flask) -> Path:
    """RAW, empty."""
    return paths.current().raw
