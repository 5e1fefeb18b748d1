"""Writing one product while the next one is made."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from app.jobs.storing import Prepared
from app.services.jobs import JobCancelledError, LeaseLostError

_MOST_BYTES: Final = 512_000_000  # of an image that may wait in memory while another is made

Prepare = Callable[[], Prepared]
Settle = Callable[[Prepared], None]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A product on its way to the disk, and what is to be done when it has got there."""

    on_disk: Future[Prepared]
    settle: Settle


class WriteBehind:
    """One product at most is on its way: its bytes in a thread, all else in the caller's.

    A product's row is committed by its `settle`, which is called when the bytes are on the disk.
    Leaving the context settles the last one too, unless the job is no longer ours.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._waiting: _Waiting | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        try:
            if isinstance(error, (JobCancelledError, LeaseLostError)):
                self._discard()
            else:
                self.settle()
        finally:
            self._pool.shutdown()

    def send(self, prepare: Prepare, settle: Settle, *, size: int) -> None:
        """Settle the product before, then have this one written; a very large one at once."""
        self.settle()
        self._waiting = _Waiting(self._pool.submit(prepare), settle)
        if size > _MOST_BYTES:
            self.settle()

    def settle(self) -> None:
        """Wait for the product that is on its way, if there is one, and settle it."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.settle(waiting.on_disk.result())

    def _discard(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and waiting.on_disk.exception() is None:
            waiting.on_disk.result().discard()
