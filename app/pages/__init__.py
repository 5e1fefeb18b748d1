"""HTML for observers."""

from flask import Blueprint

from app.pages import (  # imported for their views, which register themselves
    account,
    base,
    blocks,
    docs,
    files,
    frame_list,
    frames,
    health,
    jobs,
    live,
    nights,
    people,
    settings,
    sign_in,
)

VIEWS = (
    *(account, blocks, docs, files, frame_list, frames, jobs, live, nights, people, settings),
    sign_in,
)
BLUEPRINTS: tuple[Blueprint, ...] = (base.blueprint, health.blueprint)
