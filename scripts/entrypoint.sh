#!/bin/sh
# In the container: migrates and serves; or runs one part: entrypoint.sh worker
set -eu
cd /srv/coelostat
exec python -m app "$@"
