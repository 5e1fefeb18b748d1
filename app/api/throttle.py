"""Sign-in attempts are counted, so that nobody can try passwords at speed.

Only failures count. Every door of the house (the faces' token calls, the sign-in page) shares the
counters, which lie in the queue server where there is one, so that web processes share them too.
"""

import ipaddress
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, cast

from flask import current_app, request
from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import MovingWindowRateLimiter

from app import config
from app.errors import AppError, NotAuthenticatedError, NotFoundError, ThrottledError
from app.services import courier

PER_USERNAME: Final = RateLimitItemPerMinute(5, namespace="sign-in-user")
PER_ADDRESS: Final = RateLimitItemPerMinute(20, namespace="sign-in-address")
_EXTENSION: Final = "coelostat.throttle"

_Counters = list[tuple[RateLimitItemPerMinute, str]]


@contextmanager
def sign_in(username: str) -> Iterator[None]:
    """Let one attempt to sign in as `username` through, and count it if it fails.

    Raises
    ------
    ThrottledError
        If too many attempts for this name or from this address have failed.
    """
    counters: _Counters = [
        (PER_USERNAME, _storable(username.strip().lower()[:150])),
        (PER_ADDRESS, _network(request.remote_addr or "")),
    ]
    _refuse_if_spent(counters)
    try:
        yield
    except NotAuthenticatedError:
        _count(counters)
        raise


@contextmanager
def guess() -> Iterator[None]:
    """Let one look for the secret key of an address through, and count it if there is none.

    Raises
    ------
    ThrottledError
        If too many looks, or attempts to sign in, from this address have failed.
    """
    counters: _Counters = [(PER_ADDRESS, _network(request.remote_addr or ""))]
    _refuse_if_spent(counters)
    try:
        yield
    except NotFoundError:
        _count(counters)
        raise


def _refuse_if_spent(counters: _Counters) -> None:
    waits = [_wait_s(item, key) for item, key in counters]
    if any(waits):
        raise ThrottledError(max(waits))


def _wait_s(item: RateLimitItemPerMinute, key: str) -> int:
    limiters = _limiters()
    for limiter in limiters:
        try:
            if limiter.test(item, key):
                return 0
            reset_at = limiter.get_window_stats(item, key).reset_time
            return max(1, math.ceil(reset_at - time.time()))
        except StorageError:  # the queue server is away: this process counts by itself
            continue
    return 0


def _count(counters: _Counters) -> None:
    for item, key in counters:
        for limiter in _limiters():
            try:
                limiter.hit(item, key)
            except StorageError:
                continue
            break


def _limiters() -> tuple[MovingWindowRateLimiter, ...]:
    """Return the shared counters, then this process's own for when those cannot be reached."""
    found = current_app.extensions.get(_EXTENSION)
    if found is None:
        found = current_app.extensions.setdefault(_EXTENSION, _make_limiters())
    return cast(tuple[MovingWindowRateLimiter, ...], found)


def _make_limiters() -> tuple[MovingWindowRateLimiter, ...]:
    own = MovingWindowRateLimiter(MemoryStorage())
    url = courier.url(config.current())
    if url.startswith("unix:"):
        url = f"redis+{url}"
    options = {"socket_connect_timeout": 1, "socket_timeout": 1}
    shared = storage_from_string(url, wrap_exceptions=True, **options)
    return MovingWindowRateLimiter(shared), own


def _storable(name: str) -> str:
    """Return a name as the queue server can have it in a key: JSON may hold half a character."""
    return name.encode("utf-8", "replace").decode()


def _network(address: str) -> str:
    """Return the address; of IPv6 the /64, of which one machine has as many as it likes."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def retry_headers(error: AppError) -> dict[str, str]:
    """Return the headers an answer to `error` needs."""
    return {"Retry-After": str(error.wait_s)} if isinstance(error, ThrottledError) else {}
