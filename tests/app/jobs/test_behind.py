"""Products written behind the caller's back, settled in its own thread."""

from functools import partial
from pathlib import Path
from threading import current_thread, main_thread

import pytest

from app.jobs.behind import WriteBehind
from app.jobs.storing import Prepared
from app.services.jobs import JobCancelledError
from reduction.wholefiles import stage


def prepared(folder: Path, name: str) -> Prepared:
    assert current_thread() is not main_thread()
    product = stage(folder / name, [memoryview(b"pixels")], size=6)
    return Prepared(name, name, product, stage(folder / f"{name}.png", [memoryview(b"x")], size=1))


def settle(order: list[str], done: Prepared) -> None:
    assert current_thread() is main_thread()
    done.picture.put()
    done.product.put()
    order.append(done.relative)


def test_products_are_settled_in_order_and_the_last_at_the_end(tmp_path: Path) -> None:
    order: list[str] = []

    with WriteBehind() as behind:
        for name in "abc":
            behind.send(partial(prepared, tmp_path, name), partial(settle, order), size=9)
            assert name not in order

    assert order == ["a", "b", "c"]
    assert {path.name for path in tmp_path.iterdir()} == {
        name + end for name in "abc" for end in ("", ".png")
    }


def test_a_very_large_product_is_settled_at_once(tmp_path: Path) -> None:
    order: list[str] = []

    with WriteBehind() as behind:
        behind.send(partial(prepared, tmp_path, "a"), partial(settle, order), size=10**9)

        assert order == ["a"]


def test_a_cancelled_job_leaves_nothing_of_what_was_on_its_way(tmp_path: Path) -> None:
    order: list[str] = []

    def cancelled() -> None:
        with WriteBehind() as behind:
            behind.send(partial(prepared, tmp_path, "a"), partial(settle, order), size=9)
            raise JobCancelledError("cancelled")

    with pytest.raises(JobCancelledError):
        cancelled()

    assert order == []
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_writing_comes_out_with_the_next_product(tmp_path: Path) -> None:
    def fails() -> Prepared:
        raise OSError("the disk is gone")

    def run() -> None:
        with WriteBehind() as behind:
            behind.send(fails, partial(settle, []), size=9)
            behind.send(partial(prepared, tmp_path, "b"), partial(settle, []), size=9)

    with pytest.raises(OSError, match="gone"):
        run()

    assert list(tmp_path.iterdir()) == []
