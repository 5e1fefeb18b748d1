"""The S-PLUS MAR face: blocks, single files, tiles, pipeline control, and files by path."""

from typing import Final

from app.api.splus import auth, control, media, typed
from app.api.splus.dialect import blueprint

BLUEPRINTS: Final = (blueprint,)

__all__ = ["BLUEPRINTS", "auth", "control", "media", "typed"]
