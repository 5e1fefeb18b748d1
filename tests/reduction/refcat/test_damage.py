import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reduction.refcat.damage import SUMS_FILE, damage_of, quads_damage
from reduction.refcat.quadindex import HEAD_BYTES, QUADS_FILE, build_quads
from tests.reduction.refcat.skies import field, stored

FILES = ["ra.npy", "dec.npy", "G.npy", "G_err.npy", "BP.npy"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    catalogue = stored(tmp_path, field(300))
    build_quads(catalogue)
    return catalogue.folder


def flip(path: Path, at: int = -1) -> None:
    """Change one bit of a file."""
    whole = bytearray(path.read_bytes())
    whole[at] ^= 1
    path.write_bytes(whole)


def edit(path: Path, change: Callable[[np.ndarray], None]) -> None:
    values = np.load(path)
    change(values)
    np.save(path, values)


def test_what_was_stored_is_whole(folder: Path) -> None:
    assert damage_of(folder) == []
    assert quads_damage(folder) == ""


@pytest.mark.parametrize("file", [*FILES, "offset.npy", "coverage.npy"])
def test_a_changed_bit_in_any_file_is_found(folder: Path, file: str) -> None:
    flip(folder / file)

    assert damage_of(folder) == [f"{file} is not what was written"]


def test_every_file_of_a_catalogue_is_looked_at(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])

        assert damage_of(folder) or quads_damage(folder), path.name
        path.write_bytes(whole)
    assert damage_of(folder) == []


@pytest.mark.parametrize("file", [*FILES, "offset.npy", "coverage.npy"])
def test_a_file_that_is_gone_is_said_to_be_missing(folder: Path, file: str) -> None:
    (folder / file).unlink()

    assert damage_of(folder) == [f"{file} is missing"]


def test_a_changed_number_in_the_facts_is_found(folder: Path) -> None:
    path = folder / "meta.json"
    path.write_text(path.read_text().replace("2016.0", "2026.0", 1))

    assert damage_of(folder) == ["meta.json is not what was written"]


def test_facts_that_cannot_be_read_are_damage(folder: Path) -> None:
    (folder / "meta.json").write_bytes(b"\x01")

    assert damage_of(folder) == ["meta.json cannot be read"]


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("offset.npy", lambda a: a.__setitem__(-1, 0), "offset.npy does not ascend from 0 to 300"),
        ("offset.npy", lambda a: a.__setitem__(0, 3), "offset.npy does not ascend from 0 to 300"),
        ("coverage.npy", lambda a: a.__setitem__((0, 0), -5), "coverage.npy holds cells"),
        ("coverage.npy", lambda a: a.__setitem__((1, -1), 1 << 60), "coverage.npy holds cells"),
        ("coverage.npy", lambda a: a.__setitem__(0, a[1]), "coverage.npy holds cells"),
    ],
)
def test_of_files_stored_without_sums_it_is_checked_that_they_are_possible(
    folder: Path, file: str, change: Callable[[np.ndarray], None], said: str
) -> None:
    (folder / SUMS_FILE).unlink()
    assert damage_of(folder) == []
    edit(folder / file, change)

    (told,) = damage_of(folder)
    assert told.startswith(said)


@pytest.mark.parametrize("file", ["offset.npy", "coverage.npy"])
def test_tables_of_another_shape_stored_without_sums_are_damage(folder: Path, file: str) -> None:
    (folder / SUMS_FILE).unlink()
    np.save(folder / file, np.zeros((3, 4), np.int64))

    (told,) = damage_of(folder)
    assert told.startswith(file)


def test_a_file_the_disk_cannot_read_is_named(folder: Path) -> None:
    (folder / "G.npy").unlink()
    (folder / "G.npy").mkdir()  # reading it is an error of the system

    (told,) = damage_of(folder)
    assert told.startswith("G.npy cannot be read: ")


def test_changed_quads_are_damage_with_a_sum_and_impossible_ones_without(folder: Path) -> None:
    path = folder / QUADS_FILE
    whole = path.read_bytes()
    facts = json.loads(whole[:HEAD_BYTES].rstrip(b"\0"))
    flip(path, facts["arrays"]["xyz"]["offset"])
    assert quads_damage(folder) == "quads.index is not what was written"

    for fact in facts["arrays"].values():
        del fact["sha256"]  # as an earlier version stored them
    path.write_bytes(json.dumps(facts).encode().ljust(HEAD_BYTES, b"\0") + whole[HEAD_BYTES:])
    assert quads_damage(folder) == ""
    flip(path, facts["arrays"]["starts"]["offset"] + 3)
    assert quads_damage(folder) == "quads.index says what cannot be"


def test_a_catalogue_without_quads_lacks_nothing(folder: Path) -> None:
    (folder / QUADS_FILE).unlink()

    assert quads_damage(folder) == ""
