#!/usr/bin/env bash
# fetch_uv.sh PYTHON: install uv into .tools/ with that Python's pip. Whatever is missing is said with what to do.
set -euo pipefail
python=${1:-}

fail() {
  echo "$*" >&2
  exit 2
}

[ -n "$python" ] || fail "No Python 3.11 or newer found: install one, or name it: make PYTHON=/path/to/python3"
"$python" -c 'import sys; assert sys.version_info >= (3, 11)' >/dev/null 2>&1 ||
  fail "$python is no Python 3.11 or newer: name another: make PYTHON=/path/to/python3"
"$python" -m pip --version >/dev/null 2>&1 ||
  fail "$python has no pip: install it (Debian: python3-pip), or name another: make PYTHON=/path/to/python3"
echo "uv is missing: installing it into .tools/"
if ! PIP_ROOT_USER_ACTION=ignore "$python" -m pip install --quiet --disable-pip-version-check --target .tools 'uv>=0.8'; then
  rm -rf .tools # half of uv would be taken for uv by the next run
  "$python" scripts/check_platform.py || exit 2
  fail "pip could not install uv: is there a network, and room on this disk? PIP_INDEX_URL names a mirror, if you need one"
fi
