"""HTML for observers."""

from flask import Blueprint

from app.pages import (  # imported for their views, which register themselves
    account,
    audit_log,
    base,
    blocks,
    deletion,
    docs,
    files,
    frame_list,
    frame_sky,
    frames,
    groups,
    health,
    invitation,
    jobs,
    live,
    nights,
    people,
    person,
    proposal_reduction,
    proposals,
    settings,
    sign_in,
    sources,
    task,
    task_files,
    tasks,
    trends,
    upload,
)

VIEWS = (
    *(account, blocks, docs, files, frame_list, frame_sky, frames, jobs, live, nights),
    *(people, settings, audit_log, deletion, groups, invitation, person, proposal_reduction),
    *(proposals, sign_in, sources, task, task_files, tasks, trends, upload),
)
BLUEPRINTS: tuple[Blueprint, ...] = (base.blueprint, health.blueprint)
