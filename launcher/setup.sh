#!/bin/sh
# setup.sh HOME POINTER PREFIX REQUIREMENTS...
# Makes the environment HOME/PREFIX-<hash> with the libraries that the REQUIREMENTS files pin, unless
# it stands, notes it in HOME/POINTER and prints its path. This half chooses the Python it is made
# from: $HYPERVISOR_PYTHON, else the newest that PATH and uv have; setup.py does the rest.
set -u

# refuse WHAT HINT
refuse() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

# Prints the real interpreter behind a name (no virtual environment, no version manager's shim, which
# costs 0.1 s per call). Exits 3 if it is too old, 4 if it could not make an environment by itself.
probe='
import sys
if sys.version_info < (3, 11):
    sys.exit(3)
import importlib.util, os
print(os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable))
if not importlib.util.find_spec("ensurepip") or not importlib.util.find_spec("venv"):
    sys.exit(4)
'

have_uv=
command -v uv >/dev/null 2>&1 && have_uv=yes
python='' without_ensurepip=''

consider() {
    command -v -- "$1" >/dev/null 2>&1 || return 1
    found=$("$1" -I -S -c "$probe" 2>/dev/null)
    case $? in
    0) python=$found ;;
    4) if [ -n "$have_uv" ]; then python=$found; else without_ensurepip=${without_ensurepip:-$found}; fi ;;
    esac
    [ -n "$python" ]
}

if [ -n "${HYPERVISOR_PYTHON:-}" ]; then
    consider "$HYPERVISOR_PYTHON" || [ -n "$without_ensurepip" ] ||
        refuse "HYPERVISOR_PYTHON=$HYPERVISOR_PYTHON is not a Python 3.11 or later that runs" "name one, or unset it"
else
    for name in python3.14 python3.13 python3.12 python3.11 python3; do
        consider "$name" && break
    done
    if [ -z "$python" ] && [ -n "$have_uv" ]; then
        name=$(cd / && uv python find '>=3.11' 2>/dev/null) && consider "$name"
    fi
fi
if [ -z "$python" ]; then
    [ -z "$without_ensurepip" ] ||
        refuse "$without_ensurepip lacks ensurepip, so it cannot make an environment" "apt install python3-venv (Debian, Ubuntu), or install uv"
    mend="install Python 3.11 or later, or name one in HYPERVISOR_PYTHON"
    [ -z "$have_uv" ] || mend="uv python install 3.13"
    refuse "no Python 3.11 or later on PATH" "$mend"
fi

exec "$python" -I "${0%/*}/setup.py" "$@"
