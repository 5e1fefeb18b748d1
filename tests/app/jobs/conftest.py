"""A real queue server on a socket, the one the runner would start; a calibrated night; a field."""

import subprocess
import time
from collections.abc import Iterator

import numpy as np
import pytest
from flask import Flask
from redis import Redis, RedisError

from app import paths, queue_server
from app.models import Block
from app.services import courier
from tests.app.jobs.blockruns import calibrate_night
from tests.reduction.oneimage.skies import Field, make_field


@pytest.fixture
def queue_process(app: Flask) -> Iterator[subprocess.Popen[bytes]]:
    socket = courier.socket_path(paths.current())
    queue_server.prepare_socket(socket)
    with subprocess.Popen(queue_server.command(socket)) as process:
        _wait_until_it_answers(courier.connection())
        yield process
        courier.connection().close()
        process.kill()


def _wait_until_it_answers(connection: Redis) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            connection.ping()
        except RedisError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return


@pytest.fixture
def queue(queue_process: subprocess.Popen[bytes]) -> Redis:
    """The connection to an empty queue server."""
    return courier.connection()


@pytest.fixture
def calibrated(no_settling: None) -> dict[str, Block]:
    return calibrate_night()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261121)


@pytest.fixture
def field(rng: np.random.Generator) -> Field:
    return make_field(rng, 100)
