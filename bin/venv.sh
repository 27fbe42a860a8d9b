# Sourced by the scripts beside it: makes .venv in the checkout, with the extras named in $extras.
# Nothing is installed twice: a stamp holds what pyproject.toml asked for.

here=$(cd "$(dirname "$0")/.." && pwd)
venv=$here/.venv

python=
for name in python3 python3.11 python3.12 python3.13 python3.14; do
    if command -v "$name" >/dev/null 2>&1 &&
        "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$(command -v "$name")
        break
    fi
done
if [ -z "$python" ]; then
    echo "podarium: needs Python 3.11 or newer, and none is on PATH" >&2
    exit 1
fi

stamp="$extras $("$python" -c 'import sys; print(sys.version)' | cksum) $(cksum <"$here/pyproject.toml")"
if [ ! -x "$venv/bin/podarium" ] || [ "$(cat "$venv/installed$extras" 2>/dev/null)" != "$stamp" ]; then
    echo "podarium: installing into $venv" >&2
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        # Debian and Ubuntu keep ensurepip in a package of its own.
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
            apt-get update -qq
            apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
        else
            echo "podarium: $python has no venv module; install it first: apt-get install python3-venv" >&2
            exit 1
        fi
    fi
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$here$extras"
    "$venv/bin/python" -m compileall -q "$here/engine" "$here/tui" "$here/podarium"
    echo "$stamp" >"$venv/installed$extras"
fi
