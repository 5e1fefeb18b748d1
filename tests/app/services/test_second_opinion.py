"""Other programs asked where a frame points: what they are told, and that they may fail."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from app.services import second_opinion
from reduction.astrometry.placing import Elsewhere, Hints, place
from reduction.astrometry.solution import Pointing, SkyList, StarList, UnsolvedError
from reduction.simulate.fields import Field, Recipe, make_field

# A program of that name which knows only how it was called and what header to leave.
PROGRAM = """#!/bin/sh
echo "$0 $@" > {folder}/called
for word; do last=$word; done
base=$(echo "$@" | tr ' ' '\\n' | grep -E 'stars[.](xyls|fits)$' | head -1)
cp "$base" {folder}/shown
[ -f {folder}/header ] && cp {folder}/header "${{base%.*}}.wcs"
exit {code}
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs, empty; nothing else of the machine is seen as installed."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    second_opinion._path_of.cache_clear()
    found = {name for name in second_opinion._PROGRAMS if second_opinion._path_of(name)}
    second_opinion._path_of.cache_clear()
    if found:
        pytest.skip(f"this machine has {', '.join(found)}")
    return tmp_path


def install(folder: Path, name: str, header: str | None, *, code: int = 0) -> None:
    program = folder / name
    program.write_text(PROGRAM.format(folder=folder, code=code))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    if header is not None:
        (folder / "header").write_text(header)
    second_opinion._path_of.cache_clear()


def header_of(field: Field, *, sep: str = "") -> str:
    """Return a header as solve-field writes it, or in lines."""
    truth = field.truth
    header = fits.Header()
    header["SIMPLE"] = True
    header["NAXIS"] = 0
    for k, name in enumerate(("RA---TAN", "DEC--TAN")):
        header[f"CTYPE{k + 1}"] = name
        header[f"CRVAL{k + 1}"] = truth.crval[k]
        header[f"CRPIX{k + 1}"] = truth.crpix[k] + 1
        for m in (0, 1):
            header[f"CD{k + 1}_{m + 1}"] = float(truth.cd[k, m])
    return str(header.tostring(sep=sep, endcard=True, padding=not sep))


@pytest.fixture
def field() -> Field:
    return make_field(np.random.default_rng(11), Recipe(n_stars=80, side=512, distortion=0.0))


def test_without_the_programs_nobody_is_asked(machine: Path) -> None:
    assert second_opinion.installed() == []


@pytest.mark.parametrize(("name", "sep"), [("solve-field", ""), ("astap_cli", "\n")])
def test_a_program_is_shown_the_stars_and_its_header_is_read(
    name: str, sep: str, machine: Path, field: Field
) -> None:
    install(machine, name, header_of(field, sep=sep))
    (opinion,) = second_opinion.installed()

    found = opinion(field.stars)

    assert found is not None
    assert found.scale_arcsec == pytest.approx(field.truth.scale_arcsec, rel=1e-6)
    assert (found.ra_deg, found.dec_deg) == pytest.approx(field.truth.crval, abs=1e-7)
    assert (machine / "called").read_text().startswith(str(machine / name))
    assert (machine / "shown").read_bytes().startswith(b"SIMPLE")


@pytest.mark.parametrize(("header", "code"), [(None, 0), (None, 1), ("no header at all", 0)])
def test_a_program_that_does_not_know_gives_none(
    header: str | None, code: int, machine: Path, field: Field
) -> None:
    install(machine, "solve-field", header, code=code)
    (opinion,) = second_opinion.installed()

    assert opinion(field.stars) is None


def test_nothing_is_left_of_what_a_program_was_shown(machine: Path, field: Field) -> None:
    install(machine, "solve-field", header_of(field))
    (opinion,) = second_opinion.installed()
    opinion(field.stars)

    folder = Path((machine / "called").read_text().split()[-1]).parent

    assert folder.name.startswith("coelostat-")
    assert not folder.exists()


def test_an_opinion_is_believed_only_when_our_stars_prove_it(field: Field) -> None:
    def ask(ra_deg: float, dec_deg: float, radius_deg: float) -> Sequence[SkyList]:
        return [field.catalogue]

    def says(pointing: Pointing) -> Elsewhere:
        return Elsewhere(opinions=[lambda _stars: pointing])

    truth = field.truth
    right = Pointing(*truth.crval, truth.scale_arcsec, 0.05)
    stars = field.stars

    found = place(stars, Hints(None, None, None), ask, says(right))
    assert found.found_by == "opinion"

    rng = np.random.default_rng(3)
    n = len(stars.x)
    anywhere = StarList(rng.uniform(0, 512, n), rng.uniform(0, 512, n), stars.error_pix, (512, 512))
    with pytest.raises(UnsolvedError, match="not recognised"):
        place(anywhere, Hints(None, None, None), ask, says(right))
