"""Imports only go down: a floor may use the floors below it, never one above or beside it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# From the top. Units on one line do not know each other; a unit is everything below its name
# that has no line of its own.
FLOORS = (
    ("app.__main__", "app.web"),
    ("app.startup", "app.demo"),
    ("app",),
    ("app.cli",),
    (
        "app.schema",
        "app.supervisor",
        "app.queue_server",
        "app.refcat_commands",
        "app.source_commands",
        "app.task_commands",
    ),
    (
        "app.api.atlas",
        "app.api.bhtom",
        "app.api.goodman",
        "app.api.splus",
        "app.api.stdweb",
        "app.pages",
        "app.jobs",
    ),
    ("app.api",),
    ("app.services",),
    ("app.models",),
    ("app.db", "app.logs"),
    ("app.paths",),
    ("app.config", "app.errors", "app.wording"),
    ("reduction.filerepair", "reduction.warm"),
    ("reduction.recipes", "reduction.fitsio", "reduction.simulate"),
    ("reduction",),
    ("reduction.stats",),
    ("reduction.kernels",),
    ("reduction.exposure",),
    ("reduction.frameinfo",),
    (
        "reduction.camera",
        "reduction.image",
        "reduction.flags",
        "reduction.errors",
        "reduction.normal",
    ),
)
FLOOR_OF = {unit: (number, unit) for number, units in enumerate(FLOORS) for unit in units}
SERVER_PACKAGES = {"app", "apiflask", "flask", "flask_sqlalchemy", "redis", "rq", "sqlalchemy"}


def unit_of(module: str) -> tuple[int, str] | None:
    """The floor and unit of a dotted module, None outside the project."""
    parts = module.split(".")
    names = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((FLOOR_OF[name] for name in names if name in FLOOR_OF), None)


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def sources(*tops: str) -> list[Path]:
    found = (path for top in tops for path in (ROOT / top).rglob("*.py"))
    return sorted(path for path in found if "migrations" not in path.parts)


@pytest.mark.parametrize("path", sources("app", "reduction"), ids=module_of)
def test_imports_go_down(path: Path) -> None:
    here = unit_of(module_of(path))
    assert here is not None, f"{path} is on no floor"

    upward = [
        name
        for name in imports_of(path)
        if (there := unit_of(name)) is not None
        and there != here
        and there[0] <= here[0]
        and name not in {"app.__version__"}
    ]

    assert upward == []


@pytest.mark.parametrize("path", sources("reduction"), ids=module_of)
def test_reduction_knows_nothing_of_the_server(path: Path) -> None:
    packages = {name.partition(".")[0] for name in imports_of(path)}

    assert packages & SERVER_PACKAGES == set()


def test_no_room_is_a_drawer_for_everything() -> None:
    drawers = {"utils.py", "helpers.py", "common.py", "misc.py"}

    assert [path for path in sources("app", "reduction", "tests") if path.name in drawers] == []
