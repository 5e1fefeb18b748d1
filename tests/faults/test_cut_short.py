"""A raw file that loses its end while its pixels are read: the telescope's computer began again."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from app import paths
from app.db import db
from app.models import BlockKind, Job
from app.services import blocks, settings
from tests.app.jobs.blockruns import make, register
from tests.faults.program import Program, wait_for
from tests.faults.test_program import admin, state_of

pytestmark = pytest.mark.slow

N_FRAMES, SIDE_PIX = 12, 3000  # large enough for a worker to be met while it reads them


def test_a_file_cut_short_while_it_is_read_costs_a_start_and_is_left_out(program: Program) -> None:
    noise = np.random.default_rng(1).normal(1000, 5, (SIDE_PIX, SIDE_PIX))
    with program.context():
        settings.change("scan", "settle_s", 0, by=admin())
        for k in range(N_FRAMES):
            register("bias", data=np.roll(noise, 37 * k))
        block = make(BlockKind.BIAS)
        first = block.entries[0].frame
        job = blocks.process(block, owner=None)
        db.session.commit()
        file = paths.current().locate(first.path)

        horse = stop_where_mapped(program, file)
        os.truncate(file, file.stat().st_size // 2)
        os.kill(horse, signal.SIGCONT)

        wait_for(lambda: state_of(job.id) in {"done", "failed"}, 120)
        ended = db.session.get_one(Job, job.id, populate_existing=True)
        db.session.refresh(block)
        assert (ended.state, ended.starts) == ("done", 2), ended.error
        assert ended.result == {"used": N_FRAMES - 1, "left_out": 1}
        (reason,) = [entry.left_out for entry in block.entries if entry.left_out]
        assert "when it was registered: scan again" in reason


def stop_where_mapped(program: Program, file: Path) -> int:
    """Wait until a job has a file's pixels in its memory, and hold it there."""
    (worker,) = program.processes()["worker"]
    children = Path(f"/proc/{worker}/task/{worker}/children")
    found: list[int] = []

    def is_mapped() -> bool:
        for horse in map(int, children.read_text().split()):
            with suppress(FileNotFoundError, ProcessLookupError):
                if str(file) in Path(f"/proc/{horse}/maps").read_text():
                    os.kill(horse, signal.SIGSTOP)
                    found.append(horse)
        return bool(found)

    wait_for(is_mapped, 60, every_s=0.001)
    return found[0]
