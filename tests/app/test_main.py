"""Starting the program: what it refuses, in one sentence, and what it starts."""

import errno
import io
import os
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app import __main__ as main
from app import config, logs, queue_server, startup
from app.__main__ import Watch
from app.config import SETTINGS
from app.paths import Paths
from app.services import courier, processes
from app.startup import RefusedError
from app.supervisor import AlreadyRunningError, Part, Supervisor, lock

ROOT = Path(__file__).resolve().parent.parent.parent


def load(instance: Path, **environ: str) -> config.Config:
    return config.load({"COELOSTAT_INSTANCE": str(instance), **environ})


def start(instance: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app"],
        cwd=ROOT,
        env={**os.environ, "COELOSTAT_INSTANCE": str(instance), **environ},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_port_in_use_is_told_in_a_sentence_and_nothing_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = start(tmp_path / "instance", COELOSTAT_BIND=bind)

    assert ended.returncode == 2
    assert ended.stderr.strip() == (
        f"coelostat: cannot serve at {bind}: address already in use; "
        "stop what uses it, or set COELOSTAT_BIND to another host:port"
    )
    assert ended.stdout == ""


def test_instance_folder_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    ended = start(tmp_path / "file" / "instance")

    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "the instance folder must belong to the user who runs this" in ended.stderr


def test_bad_setting_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[server]\nworkers = 'many'\n")

    ended = start(tmp_path)

    assert (ended.returncode, ended.stderr.strip()) == (
        2,
        "coelostat: server.workers must be a whole number, not 'many'",
    )


@pytest.mark.parametrize("bind", ["8000", "localhost", "0.0.0.0:http", "0.0.0.0:70000"])
def test_address_without_a_good_port_is_refused(bind: str) -> None:
    with pytest.raises(RefusedError, match="must be host:port"):
        startup.address(bind)


@pytest.mark.parametrize(
    ("bind", "local"),
    [
        ("0.0.0.0:8000", "127.0.0.1:8000"),
        (":8000", "127.0.0.1:8000"),
        ("192.168.1.7:80", "192.168.1.7:80"),
        ("[::1]:8000", "[::1]:8000"),
    ],
)
def test_machine_reaches_its_own_server(bind: str, local: str) -> None:
    assert startup.local_address(bind) == local


def test_instance_folder_is_served_once(tmp_path: Path) -> None:
    first = lock(tmp_path / "runner.lock")

    with pytest.raises(AlreadyRunningError, match=f"served by the process {os.getpid()} "):
        lock(tmp_path / "runner.lock")
    first.close()

    lock(tmp_path / "runner.lock").close()  # free again


def test_deep_instance_folder_gets_a_socket_that_fits(tmp_path: Path) -> None:
    deep = tmp_path / ("a" * 60) / ("b" * 60)
    shallow = Paths(instance=Path("/srv/coelostat"), raw=Path("/raw"))

    place = courier.socket_path(Paths(instance=deep, raw=deep / "raw"))
    other = courier.socket_path(Paths(instance=deep / "c", raw=deep / "raw"))

    assert len(os.fsencode(place)) < 108
    assert place != other
    assert courier.socket_path(shallow) == Path("/srv/coelostat/run/queue.sock")


def test_folder_for_the_socket_is_ours_alone(tmp_path: Path) -> None:
    place = tmp_path / "private" / "queue.sock"

    queue_server.prepare_socket(place)

    assert place.parent.stat().st_mode & 0o777 == 0o700


def test_folder_for_the_socket_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "private").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(queue_server.NoQueueServerError, match="belongs to somebody else"):
        queue_server.prepare_socket(tmp_path / "private" / "queue.sock")


def test_given_queue_server_is_used_and_none_started(tmp_path: Path) -> None:
    own = startup.parts(load(tmp_path / "a"))
    given = startup.parts(
        load(tmp_path / "b", REDIS_URL="redis://queue:6379", COELOSTAT_WORKERS="0")
    )

    names = ["queue server", "worker 1", "worker 2", "watcher", "dispatcher", "web"]
    assert [part.name for part in own] == names
    assert [part.name for part in given] == ["watcher", "dispatcher", "web"]


def test_parts_know_where_the_instance_and_the_queue_are(tmp_path: Path) -> None:
    environ = startup.environment(load(tmp_path))

    assert environ["COELOSTAT_INSTANCE"] == str(tmp_path)
    assert environ["REDIS_URL"] == f"unix://{tmp_path}/run/queue.sock"
    assert environ["OMP_NUM_THREADS"] == "1"
    assert environ["NUMBA_CACHE_DIR"] == f"{tmp_path}/cache/numba"


def test_first_start_makes_the_schema_and_the_first_user_the_second_neither(
    tmp_path: Path,
) -> None:
    from app import create_app
    from app.db import db

    settings = load(tmp_path)
    app = create_app(settings)

    passwords = [startup.prepare_database(app, settings) for _ in range(2)]
    with app.app_context():
        db.engine.dispose()

    assert passwords[0]
    assert passwords[1] is None


def test_what_dies_is_started_again_and_stopped_last_first(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    script = (
        "import signal,sys,time\n"
        "def end(*_):\n"
        f"    open({str(trace)!r}, 'a').write(sys.argv[1] + ' stops\\n'); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        f"open({str(trace)!r}, 'a').write(sys.argv[1] + ' starts\\n')\n"
        "time.sleep(60)\n"
    )
    parts = [Part(name, [sys.executable, "-c", script, name], n) for n, name in enumerate("ab")]
    crew = Supervisor(parts, dict(os.environ))
    steps = iter(["wait for 2", "kill", "wait for 3"])
    state = {"step": next(steps)}

    def lines() -> list[str]:
        return trace.read_text().splitlines() if trace.exists() else []

    def look() -> None:
        if state["step"].startswith("wait for"):
            if len(lines()) == int(state["step"][-1]):
                state["step"] = next(steps, "stop")
        else:
            process = parts[0].process
            assert process is not None
            process.kill()
            process.wait()
            state["step"] = next(steps)

    deadline = time.monotonic() + 60
    crew.run(lambda: state["step"] == "stop" or time.monotonic() > deadline, look)

    assert sorted(lines()[:2]) == ["a starts", "b starts"]
    assert lines()[2:] == ["a starts", "b stops", "a stops"]


def test_part_that_fails_over_and_over_is_started_ever_more_slowly() -> None:
    part = Part("web", [sys.executable, "-c", "raise SystemExit(3)"], 0)
    pauses: list[float] = []
    deadline = time.monotonic() + 60

    def look() -> None:
        pause_s = part.start_at - time.monotonic()
        if part.quick_deaths > len(pauses):
            pauses.append(pause_s)

    crew = Supervisor([part], dict(os.environ))
    crew.run(lambda: len(pauses) == 3 or time.monotonic() > deadline, look)

    assert pauses == pytest.approx([0.4, 0.8, 1.6], abs=0.2)


def test_main_log_is_set_aside_when_it_is_full_and_old_ones_dropped(tmp_path: Path) -> None:
    path = tmp_path / "coelostat.log"
    for number in range(8):
        path.write_text(f"{number}" * 100)
        assert logs.set_aside(path, largest=100)

    path.write_text("short")
    assert not logs.set_aside(path, largest=100)
    kept = {file.name: file.read_text()[0] for file in tmp_path.iterdir()}
    assert kept == {"coelostat.log": "s"} | {f"coelostat.log.{n}": str(8 - n) for n in range(1, 6)}


def test_example_configuration_lists_every_setting_with_its_default(app: Flask) -> None:
    table = tomllib.loads((ROOT / "instance" / "config.example.toml").read_text())

    listed = {f"{s}.{i}": value for s, items in table.items() for i, value in items.items()}
    assert listed == {setting.name: setting.default for setting in SETTINGS}


def watch(settings: config.Config, **options: Any) -> Watch:
    return Watch(Supervisor([], dict(os.environ)), settings, **options)


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "missing_parts", lambda _bind: [])


@pytest.mark.parametrize(
    ("bind", "is_reached_by_others"),
    [("0.0.0.0:8000", True), ("[::]:8000", True), ("127.0.0.1:8000", False)],
)
def test_address_for_other_machines_is_told_only_where_they_are_served(
    bind: str, is_reached_by_others: bool
) -> None:
    lines = main.addresses(bind)

    assert any(line.startswith("from the LAN: ") for line in lines) is is_reached_by_others


@pytest.mark.usefixtures("whole")
def test_first_users_password_is_the_last_word_of_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load(tmp_path, COELOSTAT_BIND="127.0.0.1:8000")
    Paths.of(settings).make()
    look = watch(settings, with_demo=False, last_words=["first user: admin, password: secret"])

    look()
    look()

    assert capsys.readouterr().out.splitlines() == [
        "Coelostat is at http://127.0.0.1:8000/",
        "first user: admin, password: secret",
    ]


@pytest.mark.usefixtures("whole")
def test_first_users_password_is_said_again_once_the_demonstration_has_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load(tmp_path, COELOSTAT_BIND="127.0.0.1:8000")
    Paths.of(settings).make()
    look = watch(settings, with_demo=True, last_words=["first user: admin, password: secret"])
    look()
    (demo,) = look.crew.parts
    demo.process = subprocess.Popen(["sleep", "60"])
    look()
    before = capsys.readouterr().out

    demo.process.kill()
    demo.process.wait()
    look()
    look()

    assert before.count("secret") == 1
    assert capsys.readouterr().out == "first user: admin, password: secret\n"


@pytest.mark.usefixtures("whole")
def test_raw_that_is_not_there_is_told_once_at_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load(tmp_path / "instance", COELOSTAT_RAW=str(tmp_path / "disk" / "raw"))
    Paths.of(settings).make()
    look = watch(settings, with_demo=False)

    look()
    look()

    said = f"The RAW folder {tmp_path}/disk/raw is not there. Is its disk mounted?"
    assert capsys.readouterr().out.splitlines()[0] == said


def test_instance_folder_gets_the_example_configuration_but_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COELOSTAT_INSTANCE", str(tmp_path))
    given = (ROOT / "instance" / "config.example.toml").read_text()

    startup.load_config()
    assert (tmp_path / "config.example.toml").read_text() == given
    (tmp_path / "config.example.toml").write_text("# ours")
    startup.load_config()

    assert (tmp_path / "config.example.toml").read_text() == "# ours"


def test_parts_of_one_stage_are_stopped_together() -> None:
    script = "trap 'sleep 1; exit' TERM; echo; while :; do sleep 0.05; done"
    parts = [Part(name, ["sh", "-c", script], stage=1) for name in "abc"]
    crew = Supervisor(parts, dict(os.environ))
    for part in parts:
        part.process = subprocess.Popen(part.command, stdout=subprocess.PIPE)
    for part in parts:
        assert part.process is not None
        assert part.process.stdout is not None
        part.process.stdout.readline()  # it listens to the signal now
    began = time.monotonic()

    crew.stop()
    took_s = time.monotonic() - began

    for part in parts:
        assert part.process is not None
        assert part.process.stdout is not None
        part.process.stdout.close()
    assert took_s < 2.5
    assert not any(part.is_alive() for part in parts)


def test_worker_may_end_its_job_for_as_long_as_the_setting_says(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[server]\nworkers = 2\nstop_wait_s = 300\n")

    parts = startup.parts(load(tmp_path, REDIS_URL="redis://queue"))

    graces = {part.name: part.grace_s for part in parts}
    assert (graces["worker 1"], graces["worker 2"]) == (300, 300)
    assert graces["web"] < 10


class BrokenOutput(io.StringIO):
    """A standard output whose reader has gone away."""

    def __init__(self, failing: str, number: int) -> None:
        super().__init__()
        self._failing, self._number = failing, number

    def _maybe_fail(self, where: str) -> None:
        if where == self._failing:
            raise OSError(self._number, os.strerror(self._number))

    def write(self, text: str) -> int:
        self._maybe_fail("write")
        return super().write(text)

    def flush(self) -> None:
        self._maybe_fail("flush")


@pytest.mark.parametrize("failing", ["write", "flush"])
@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO, errno.ENOSPC])
def test_stopping_waits_in_order_where_nobody_listens_any_more(
    monkeypatch: pytest.MonkeyPatch, failing: str, number: int
) -> None:
    monkeypatch.setattr("app.supervisor.PATIENCE_S", 0.0)
    monkeypatch.setattr(sys, "stdout", BrokenOutput(failing, number))
    part = Part("worker", ["sh", "-c", "trap 'sleep 0.3; exit 7' TERM; echo; sleep 9 & wait"], 1)
    part.process = subprocess.Popen(part.command, stdout=subprocess.PIPE)
    assert part.process.stdout is not None
    part.process.stdout.readline()  # it listens to the signal now

    Supervisor([part], say=main.say).stop()
    part.process.stdout.close()

    assert part.process.returncode == 7  # it ended what it did


def test_password_that_could_not_be_told_is_not_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setattr(sys, "stdout", BrokenOutput("write", errno.EPIPE))

    main.say("first user: admin, password: secret")

    assert "standard output is broken" in caplog.text
    assert "secret" not in caplog.text


def test_program_whose_reader_has_gone_away_ends_well() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    told = "from app import __main__ as m; m.say('one'); m.say('two')"

    ended = subprocess.run(
        [sys.executable, "-c", told], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)

    assert (ended.returncode, ended.stderr) == (0, b"")


def test_jobs_are_given_back_however_running_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(tmp_path, COELOSTAT_BIND="127.0.0.1:0")
    Paths.of(settings).make()
    given_back: list[config.Config] = []

    def fail(*_: object) -> None:
        raise MemoryError

    for name in ("refuse_busy_port", "prepare_database"):
        monkeypatch.setattr(startup, name, lambda *_: None)
    monkeypatch.setattr(logs, "set_up", lambda *_: None)
    monkeypatch.setattr(processes, "stop_on_signals", processes.Stop)
    monkeypatch.setattr(startup, "give_back", lambda _app, given: given_back.append(given))
    monkeypatch.setattr(Supervisor, "run", fail)

    with pytest.raises(MemoryError):
        main.run_all(settings, with_demo=False)

    assert given_back == [settings]
