"""The STDWeb face: single images processed in steps, at two places.

Its tasks, queue, presets and reference data stand at ``/api/``; there ``files/`` is another
API's, so all of them, and STDWeb's own ``files/``, stand at ``/stdweb/api/`` too.
"""

from typing import Final

from apiflask import APIBlueprint

from app.api import tokens
from app.api.stdweb import data_files, dialect, files, legacy, queue, reference, steps, tasks

_shared = APIBlueprint("stdweb", __name__, url_prefix="/api", tag="STDWeb")
_whole = APIBlueprint("stdweb_prefixed", __name__, url_prefix="/stdweb/api", enable_openapi=False)
_own_files = APIBlueprint("stdweb_files", __name__, url_prefix="/stdweb/api", tag="STDWeb")

BLUEPRINTS: Final = (_shared, _whole, _own_files)

for _blueprint in BLUEPRINTS:
    dialect.register(_blueprint)
for _blueprint in (_shared, _whole):
    tokens.add_token_call(_blueprint, "/auth/token/")
    for _part in (tasks, steps, files, queue, reference, legacy):
        _part.register(_blueprint)
data_files.register(_own_files)
