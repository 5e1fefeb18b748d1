"""The SOAR Goodman face: the archive of files, the same under two prefixes."""

from typing import Final

from apiflask import APIBlueprint

from app.api import tokens
from app.api.goodman import (
    changes,
    email,
    files,
    proposal_settings,
    proposals,
    work,
)

# Real deployments mount the archive at either place; `next` keeps the one that was asked.
BLUEPRINTS: Final = (
    APIBlueprint("goodman", __name__, url_prefix="/api", tag="Goodman archive"),
    APIBlueprint("goodman_gsp", __name__, url_prefix="/gsp/api", enable_openapi=False),
)

for _blueprint in BLUEPRINTS:
    tokens.word_refusals(_blueprint)
    files.register(_blueprint)
    proposals.register(_blueprint)
    email.register(_blueprint)
    changes.register(_blueprint)
    work.register(_blueprint)
    proposal_settings.register(_blueprint)
