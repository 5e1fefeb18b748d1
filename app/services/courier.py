"""The queue server: it carries deliveries to workers and knows which parts are alive.

It holds nothing that cannot be rebuilt from the database. `app.services.jobs` and the parts the
runner starts are its only callers.
"""

import hashlib
import logging
import os
import socket
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

from flask import current_app
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job as QueuedJob
from rq.serializers import JSONSerializer

from app import config, paths
from app.services import processes

log = logging.getLogger(__name__)

QUEUE_NAME: Final = "coelostat"
ENTRY_POINT: Final = "app.jobs.runner.run"
BEAT_S: Final = 2.0  # a part says this often that it is alive
SILENT_S: Final = 10  # and is taken for dead after this long
_EXTENSION: Final = "coelostat.queue"
_WAKE: Final = "coelostat:wake"
_ALIVE: Final = "coelostat:alive"
_LONGEST_SOCKET: Final = 100  # bytes; the kernel's limit is 108 with the closing zero
_ANSWER_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt at a job: what the queue carries, and what guards every write of a worker."""

    job_id: int
    attempt: int

    @property
    def key(self) -> str:
        """Its name in the queue."""
        return f"j{self.job_id}-{self.attempt}"


def url(settings: config.Config) -> str:
    """Return where the queue server is, or will be once the runner has started it."""
    return settings.redis_url or f"unix://{socket_path(paths.Paths.of(settings))}"


def socket_path(places: paths.Paths) -> Path:
    """Return the queue server's socket: in the instance folder, where its path is short enough.

    A socket's path may have 107 bytes. A deeper instance folder gets a folder of its own below
    the system's temporary one, named so that every process of the instance finds the same.
    """
    wanted = places.run / "queue.sock"
    if len(os.fsencode(wanted)) <= _LONGEST_SOCKET:
        return wanted
    digest = hashlib.sha256(os.fsencode(places.instance)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"coelostat-{os.getuid()}-{digest}" / "queue.sock"


def connection() -> Redis:
    """Return this application's connection to the queue server."""
    known = current_app.extensions.get(_EXTENSION)
    if known is None:
        known = connect(url(config.current()))
        current_app.extensions[_EXTENSION] = known
    return cast(Redis, known)


def connect(address: str) -> Redis:
    """Return a connection that answers or fails at once: whoever calls has a better plan B."""
    return Redis.from_url(
        address,
        socket_connect_timeout=1.0,
        socket_timeout=_ANSWER_S,
        retry=Retry(NoBackoff(), 0),
    )


def queue() -> Queue:
    """Return the one queue there is."""
    return Queue(QUEUE_NAME, connection=connection(), serializer=JSONSerializer)


def send(delivery: Delivery, *, timeout_s: int) -> None:
    """Hand a delivery to the workers."""
    queue().enqueue_call(
        ENTRY_POINT,
        args=(delivery.job_id, delivery.attempt),
        job_id=delivery.key,
        timeout=timeout_s,
        result_ttl=60,
        failure_ttl=3600,
        description=delivery.key,
    )


def waiting() -> set[str]:
    """Return the keys that lie in the queue, taken by no worker."""
    return set(queue().get_job_ids())


def statuses(deliveries: Iterable[Delivery]) -> dict[Delivery, str | None]:
    """Return what the queue server says of each delivery, None where it knows nothing of it."""
    return {delivery: _status(delivery) for delivery in deliveries}


def _status(delivery: Delivery) -> str | None:
    try:
        found = _fetch(delivery).get_status(refresh=False)
    except NoSuchJobError:
        return None
    return str(found.value)


def _fetch(delivery: Delivery) -> QueuedJob:
    return QueuedJob.fetch(delivery.key, connection=connection(), serializer=JSONSerializer)


def stop(delivery: Delivery) -> None:
    """Have the worker that holds this delivery kill its work, if one does."""
    try:
        send_stop_job_command(connection(), delivery.key, serializer=JSONSerializer)
    except (InvalidJobOperation, NoSuchJobError):
        log.debug("%s is in no worker's hands", delivery.key)


def forget(delivery: Delivery) -> None:
    """Take a delivery out of the queue, so that no worker wastes a start on it."""
    try:
        _fetch(delivery).delete()
    except NoSuchJobError:
        log.debug("%s was not in the queue", delivery.key)


def wake() -> None:
    """Tell the dispatcher that there is work; without a queue server it finds out by itself."""
    try:
        pipeline = connection().pipeline()
        pipeline.lpush(_WAKE, "1")
        pipeline.ltrim(_WAKE, 0, 0)
        pipeline.execute()
    except RedisError as error:
        log.debug("the dispatcher was not woken: %s", error)


def wait_for_wake(timeout_s: float) -> None:
    """Return when somebody calls `wake`, or after `timeout_s`."""
    connection().blpop([_WAKE], timeout=timeout_s)


def beat(part: str, over: Redis | None = None) -> None:
    """Say that this process, a `part` of the program, is alive."""
    (over or connection()).set(f"{_ALIVE}:{part}:{own_name()}", "1", ex=SILENT_S)


def alive(part: str) -> int:
    """Return how many processes of a `part` are alive."""
    prefix = f"{_ALIVE}:{part}:"
    heard = connection().scan_iter(match=f"{prefix}*", count=1000)
    names = (os.fsdecode(key).removeprefix(prefix) for key in heard)
    return sum(1 for name in names if not is_known_dead(name))


def own_name() -> str:
    """Return what this process is called among all that serve the instance: ``host:pid``."""
    return f"{socket.gethostname()}:{os.getpid()}"


def is_known_dead(name: str) -> bool:
    """Tell whether the process of a name has ended, as far as that can be seen from here.

    It can where the queue server is the runner's own: then every process is below one runner. A
    queue server elsewhere may serve containers of one host name that count processes apart.
    """
    settings = config.current()
    host, _, pid = name.rpartition(":")
    is_near = url(settings) == url(replace(settings, redis_url="")) and host == socket.gethostname()
    return is_near and pid.isdigit() and not processes.is_alive(int(pid))
