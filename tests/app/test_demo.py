import pytest

from app import demo
from app.services import refcats, simulation
from reduction.simulate import NightParams


@pytest.mark.usefixtures("app")
def test_demonstration_loads_its_catalogue_once() -> None:
    params = NightParams.small()
    truth = simulation.simulate(params)
    said: list[str] = []

    demo.load_catalogue(truth, said.append)
    demo.load_catalogue(truth, said.append)

    target = params.fields[0]
    stars = refcats.cone(demo.CATALOGUE, target.ra_deg, target.dec_deg, 0.01, epoch=2025.89)
    assert stars.coverage == 1.0
    assert {band.name for band in stars.bands} == {"g", "r", "i"}
    assert said == [f"demo: reference catalogue demo of {truth.stars['star_id'].size} stars"]
