"""Every recorded exchange with a real STDWeb, replayed below /stdweb: status, keys, types, words.

The recordings hold answers; what was asked is told here by their labels. A refusal must be the
recorded one to the letter, any other answer must have its keys and types.
"""

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app import paths
from app.db import transaction
from app.jobs import runner
from app.models import Task
from app.services import groups, jobs, presets, tasks
from reduction.cards import ProductCard
from reduction.imagewrite import write_image
from tests.conftest import client_of
from tests.factories import make_user
from tests.realdata import needs_shared, shared

PASSWORD: Final = "night-sky-7"
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Difference:
    """Where ours answers otherwise on purpose, and why; None is as it was recorded."""

    reason: str
    status: int | None = None
    body: Any = None
    kind: str | None = None


_WORKS_HERE: Final = "the documentation promises it, the real server answers 404 by mistake"
_NOT_YET: Final = "the step comes later; until then it is refused by its name"
_NO_5XX: Final = "nothing a client sends is our failure"
DIFFERENCES: Final[Mapping[str, Difference]] = {
    "detail no slash": Difference(
        "the slash is optional here: no detour", 200, {}, "application/json"
    ),
    "queue detail unknown id": Difference(
        "it was revoked in an earlier run; a fresh server says PENDING",
        body={"id": "nonexistent-id", "state": "PENDING", "ready": False}
        | {"successful": None, "failed": None},
    ),
    "preview format=png": Difference(_WORKS_HERE, 200, kind="image/png"),
    "preview format=jpeg": Difference(_WORKS_HERE, 200, kind="image/jpeg"),
    "data file preview": Difference(_WORKS_HERE, 200, kind="image/jpeg"),
    "preview width=0": Difference("0 is the image's own size", 200, kind="image/jpeg"),
    "preview cmap=nonsense": Difference(_NO_5XX, 400, {"cmap": ""}, "application/json"),
    "process photometry w/o inspect": Difference(
        _NOT_YET,
        400,
        {"error": "The step subtraction is not there yet: leave it out. These are: stack, "
         "inspect, photometry, cleanup."},
    ),
    "process for cancel": Difference(
        _NOT_YET,
        400,
        {"error": "The step simple_transients is not there yet: leave it out. These are: stack, "
         "inspect, photometry, cleanup."},
    ),
}  # fmt: skip
# Differences no comparison of keys and types sees: `state` cannot be written by PATCH (a defect
# there), the entries of a chain are named for its job, the image as it came stays in the folder
# after a change, and photometry of a simulated sky finds a catalogue where theirs had none.


@pytest.fixture
def image(app: Flask) -> bytes:
    """A small field of stars with the header of an ordinary camera."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:256, 0:256]
    data = rng.normal(300, 5, (256, 256))
    for x0, y0, flux in rng.uniform((10, 10, 2e3), (246, 246, 2e5), (60, 3)):
        data += flux / 15 * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 4.8)
    cards: list[ProductCard] = [
        ("OBJECT", "field", ""),
        ("FILTER", "V", ""),
        ("GAIN", 1.5, ""),
        ("EXPTIME", 60.0, ""),
        ("DATE-OBS", "2024-01-15T03:04:05", ""),
    ]
    target = paths.current().raw / "night1" / "img_001.fits"
    target.parent.mkdir(parents=True)
    write_image(target, data.astype(np.float32), cards)
    content = target.read_bytes()
    (target.parent / "img_002.fits").write_bytes(content)
    (paths.current().raw / "image.fits").write_bytes(content)
    return content


@dataclass
class Replay:
    """The recorded session, asked of ours: who asks, with what, and which numbers became which."""

    clients: Mapping[str, FlaskClient]
    image: bytes
    ids: dict[str, int] = field(default_factory=dict)  # recorded number of a task: ours
    queue_id: str = "0"
    delivery: Any = None

    def ask(self, recorded: Mapping[str, Any]) -> TestResponse:
        """Send one recorded request, as its label tells it."""
        label = recorded["label"]
        who = WHO.get(label, "alice")
        ask = ASKED.get(label)
        made = ask(self) if ask is not None else {}
        path = self.translated(recorded["path"])
        return self.clients[who].open(f"/stdweb{path}", method=recorded["method"], **made)

    def translated(self, path: str) -> str:
        """Return a recorded address with our numbers of tasks and entries of the queue."""
        path = re.sub(r"(?<=/tasks/)\d+", lambda found: str(self.ids.get(found[0], found[0])), path)
        return _UUID.sub(self.queue_id, path)

    def learn(self, recorded: Mapping[str, Any], answer: Any) -> None:
        """Remember which task of ours a recorded one became, and what now runs."""
        was = recorded["json"]
        if recorded["status"] == 201 and isinstance(was, dict) and "id" in was:
            self.ids[str(was["id"])] = answer["id"]
        if isinstance(answer, dict) and isinstance(answer.get("celery_id"), str):
            self.queue_id = answer["celery_id"]

    def start_job(self) -> None:
        """Have a worker take up what waits, and go as far as its first step."""
        (self.delivery,) = jobs.choose(1)
        job = jobs.claim(self.delivery, worker="here", lease_s=60)
        assert job is not None
        with transaction():
            tasks.set_state(_task_of(job.arguments["task_id"]), "inspect")

    def end_jobs(self) -> None:
        """Have everything done that is to be."""
        if self.delivery is not None:
            jobs.take_back(self.delivery, max_attempts=3)
            self.delivery = None
        runner.work_off()


def _task_of(number: int) -> Task:
    from app.db import db

    return db.session.get_one(Task, number)


def _file(replay: Replay, name: str = "image.fits", **more: Any) -> dict[str, Any]:
    return {"data": {"file": (io.BytesIO(replay.image), name), **more}}


_BAD_TOKEN: Final = {"headers": {"Authorization": f"Token {'0' * 40}"}}
_LOCAL: Final = {"local_file": "night1/img_001.fits"}
_RUN: Final = {"steps": ["inspect"], "config": {"target": "150.0 20.0", "mask_cosmics": True}}

Asked = Callable[[Replay], dict[str, Any]]
ASKED: Final[Mapping[str, Asked]] = {
    "token ok": lambda _: {"json": {"username": "alice", "password": PASSWORD}},
    "token bad": lambda _: {"json": {"username": "alice", "password": "wrong"}},
    "token missing": lambda _: {"json": {}},
    "list bad token": lambda _: _BAD_TOKEN,
    "create upload": lambda r: _file(
        r, title="my obs", config='{"filter": "R", "cat_name": "ps1"}'
    ),
    "create upload no config": lambda r: _file(r, "x.fits"),
    "create upload config python-repr (documented helper class bug)": lambda r: _file(
        r, config="{'filter': 'R'}"
    ),
    "create json local_file": lambda _: {"json": {**_LOCAL, "config": {"filter": "R"}}},
    "create local_file+ext": lambda _: {"json": {**_LOCAL, "ext": 0}},
    "create local_file bad ext": lambda _: {"json": {**_LOCAL, "ext": 7}},
    "create local missing": lambda _: {"json": {"local_file": "night1/none.fits"}},
    "create local traversal": lambda _: {"json": {"local_file": "../../etc/passwd"}},
    "create nothing": lambda _: {"json": {}},
    "create fileless (documented w/o original_name)": lambda _: {
        "json": {"config": {"stack_method": "median"}}
    },
    "create fileless w original_name": lambda _: {
        "json": {"original_name": "stack.fits", "config": {"stack_method": "median"}}
    },
    "create both": lambda r: _file(r, **_LOCAL),
    "create ext only": lambda _: {"json": {"original_name": "x.fits", "ext": 1}},
    "create preset": lambda _: {
        "json": {"original_name": "p.fits", "preset": 1, "config": {"filter": "V"}}
    },
    "create bad preset": lambda _: {"json": {"original_name": "p.fits", "preset": 99}},
    "create groups ok": lambda _: {"json": {"original_name": "g.fits", "groups": ["collab"]}},
    "create groups foreign": lambda _: {"json": {"original_name": "g.fits", "groups": ["other"]}},
    "create groups unknown": lambda _: {"json": {"original_name": "g.fits", "groups": ["nope"]}},
    "create empty file": lambda _: {"data": {"file": (io.BytesIO(), "empty.fits")}},
    "patch title": lambda _: {"json": {"title": "new"}},
    "patch config replaces": lambda _: {"json": {"config": {"filter": "V", "zz": 1}}},
    "post = patch": lambda _: {"json": {"title": "via post"}},
    "patch state writable?": lambda _: {"json": {"state": "hacked"}},
    "patch bad config": lambda _: {"data": "{bad", "content_type": "application/json"},
    "put": lambda _: {"json": {}},
    "patch title too long": lambda _: {"json": {"title": "x" * 251}},
    "patch groups": lambda _: {"json": {"groups": ["collab"]}},
    "process none": lambda _: {"json": {"steps": []}},
    "process invalid": lambda _: {"json": {"steps": ["foo"]}},
    "process steps string": lambda _: {"json": {"steps": "inspect"}},
    "process bad config": lambda _: {"json": {"steps": ["inspect"], "config": "{bad"}},
    "process list config": lambda _: {"json": {"steps": ["inspect"], "config": [1]}},
    "process inspect": lambda _: {"json": _RUN},
    "process again 409": lambda _: {"json": {"steps": ["inspect"]}},
    "file upload": lambda r: _file(r, "custom_mask.fits"),
    "file upload none": lambda _: {"data": {"note": "x"}, "content_type": "multipart/form-data"},
    "file upload json": lambda _: {"json": {"file": "x"}},
    "crop bad": lambda _: {"json": {"x1": "abc"}},
    "crop": lambda _: {"json": {"x1": 10, "x2": -10}},
    "destripe bad": lambda _: {"json": {"direction": "diagonal"}},
    "destripe": lambda _: {"json": {"direction": "horizontal"}},
    "photometry step failing": lambda _: {"json": {"steps": ["cleanup"]}},
    "api browsable html": lambda _: {"headers": {"Accept": "text/html"}},
    "process photometry w/o inspect": lambda _: {"json": {"steps": ["photometry", "subtraction"]}},
    "inspect+photometry (no catalogue network)": lambda _: {
        "json": {"steps": ["inspect", "photometry"]}
    },
    "process for cancel": lambda _: {
        "json": {"steps": ["inspect", "photometry", "simple_transients", "subtraction"]}
    },
    "form-encoded process": lambda _: {"data": {"steps": ["inspect", "cleanup"]}},
    "stack": lambda _: {"json": {"steps": ["stack"]}},
}
WHO: Final[Mapping[str, str]] = {
    "token ok": "stranger",
    "token bad": "stranger",
    "token missing": "stranger",
    "list unauth": "stranger",
    "list bad token": "stranger",
    "detail other": "carol",
    "member detail": "bob",
    "member delete": "bob",
    "queue terminate unknown (staff)": "boss",
    "reference ": "stranger",
}


def _make_stack(replay: Replay, names: list[str], recorded_id: str) -> None:
    answer = replay.clients["alice"].post(
        "/stdweb/api/tasks/",
        json={"original_name": "stack.fits", "config": {"stack_filenames": names}},
    )
    replay.ids[recorded_id] = answer.get_json()["id"]


def _begin_second(replay: Replay) -> None:
    answer = replay.clients["alice"].post("/stdweb/api/tasks/", **_file(replay))
    replay.ids["10"] = answer.get_json()["id"]


def _run_steps(*steps: str) -> Callable[[Replay], None]:
    """Have steps asked for that the recorded server had asked with ones that come later here."""

    def run(replay: Replay) -> None:
        answer = replay.clients["alice"].post(
            replay.translated("/stdweb/api/tasks/10/process/"), json={"steps": steps}
        )
        replay.queue_id = answer.get_json()["celery_id"]

    return run


def _start_for_terminate(replay: Replay) -> None:
    _run_steps("inspect")(replay)
    replay.start_job()


def _stack_outside(replay: Replay) -> None:
    _make_stack(replay, ["/etc/passwd", "../../etc/hosts"], "12")
    replay.clients["alice"].post(
        replay.translated("/stdweb/api/tasks/12/process/"), json={"steps": ["stack"]}
    )
    replay.end_jobs()


def _stop(replay: Replay) -> None:
    """Have the worker notice that its job was cancelled."""
    jobs.stopped(replay.delivery)
    replay.delivery = None


def _begin_running(replay: Replay) -> None:
    _run_steps("inspect", "photometry")(replay)
    replay.start_job()


def _stack_inside(replay: Replay) -> None:
    replay.end_jobs()
    _make_stack(replay, ["night1/img_001.fits", "night1/img_002.fits"], "11")


# What happens on the server before a recorded request, the first time its label comes.
BEFORE: Final[Mapping[str, Callable[[Replay], None]]] = {
    "poll state": Replay.start_job,
    "queue detail done": Replay.end_jobs,
    "state after cleanup": Replay.end_jobs,
    "preview stretch=log": _begin_second,
    "queue while running": _begin_running,
    "state 3s after cancel": _stop,
    "terminate by owner": _start_for_terminate,
    "form-encoded process": _stop,
    "stack": _stack_inside,
    "stack state": Replay.end_jobs,
    "stack outside": _stack_outside,
}
# Of the second recording: the files of a task whose steps were asked for just before.
_AFTER_STEPS: Final = "files"


def recorded(name: str) -> Iterator[dict[str, Any]]:
    for line in shared("contract", "golden", name).read_text().splitlines():
        yield json.loads(line)


def kind_of(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(type(value).__name__)
    return "number" if isinstance(value, int | float) else type(value).__name__


def mismatch(ours: Any, theirs: Any, at: str = "") -> Iterator[str]:
    """Yield where the keys and types of two answers differ."""
    if kind_of(ours) != kind_of(theirs):
        yield f"{at or 'the body'} is {ours!r}, was {theirs!r}"
    elif isinstance(theirs, dict):
        if list(ours) != list(theirs) and at != ".config":
            yield f"{at or 'the body'} has {list(ours)}, had {list(theirs)}"
        for name in theirs.keys() & ours.keys():
            yield from mismatch(ours[name], theirs[name], f"{at}.{name}")
        if at == ".config" and not theirs.keys() <= ours.keys():
            yield f"{at} lacks {sorted(theirs.keys() - ours.keys())}"
    elif isinstance(theirs, list) and theirs and ours:
        yield from mismatch(ours[0], theirs[0], f"{at}[0]")


def wrong_in(response: TestResponse, exchange: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is not as recorded, or as it is meant to differ."""
    differs = DIFFERENCES.get(exchange["label"], Difference(""))
    status = differs.status or exchange["status"]
    kind = differs.kind or exchange["ctype"]
    if response.status_code != status:
        yield f"{response.status_code}, not {status}: {response.get_data()[:300]!r}"
        return
    if kind and response.mimetype != kind:
        yield f"{response.mimetype}, not {kind}"
    body = exchange["json"] if differs.body is None else differs.body
    if body is None or response.mimetype != "application/json":
        return
    ours = response.get_json()
    if status >= 400 and ours != body and differs.body != {"cmap": ""}:
        yield f"{ours!r}, not {body!r}"
    elif body:
        yield from mismatch(ours, body)


@pytest.fixture
def replay(app: Flask, image: bytes) -> Replay:
    boss = make_user("boss", is_staff=True)
    alice, bob, carol = (make_user(name) for name in ("alice", "bob", "carol"))
    collab = groups.create("collab", by=boss)
    groups.create("other", by=boss)
    groups.set_members(collab, [alice, bob], by=boss)
    config = {"filter": "R", "cat_name": "ps1", "sn": 5}
    presets.save("Default Photometry", config, by=boss)
    people = {"alice": alice, "bob": bob, "carol": carol, "boss": boss}
    clients = {name: client_of(app, user) for name, user in people.items()}
    return Replay({**clients, "stranger": app.test_client()}, image)


@needs_shared
def test_every_recorded_exchange_is_answered_as_it_was(replay: Replay) -> None:
    wrong: list[str] = []
    begun: set[str] = set()
    exchanges = [*recorded("stdweb_golden.jsonl"), *recorded("stdweb_golden2.jsonl")]

    for number, exchange in enumerate(exchanges):
        label = exchange["label"]
        if label in BEFORE and label not in begun:
            begun.add(label)
            BEFORE[label](replay)
        if label == _AFTER_STEPS and exchange["path"].startswith("/api/tasks/10/"):
            replay.end_jobs()
        response = replay.ask(exchange)
        with response:
            wrong += [f"{number} {label}: {what}" for what in wrong_in(response, exchange)]
            replay.learn(exchange, response.get_json(silent=True))

    assert len(exchanges) == 139
    assert not wrong, "\n".join(wrong)


@needs_shared
def test_every_difference_is_of_a_recorded_exchange_and_has_its_reason() -> None:
    known = {e["label"] for n in ("", "2") for e in recorded(f"stdweb_golden{n}.jsonl")}

    assert set(DIFFERENCES) <= known
    assert all(difference.reason for difference in DIFFERENCES.values())
    assert set(ASKED) | set(WHO) | set(BEFORE) <= known


def test_a_task_cannot_be_told_its_state(replay: Replay) -> None:
    alice = replay.clients["alice"]
    made = alice.post("/stdweb/api/tasks/", json={"original_name": "x.fits"}).get_json()

    changed = alice.patch(f"/stdweb/api/tasks/{made['id']}/", json={"state": "hacked"})

    assert (changed.status_code, changed.get_json()["state"]) == (200, "initial")
