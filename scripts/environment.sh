# Sourced by demo, test and test-board: makes a virtual environment once, and again when what it installs has changed.

python_of() {  # python_of VERSION...: the first of these Pythons that runs, its version checked
    local version candidate
    for version in "$@"; do
        for candidate in "python$version" python3 python "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version."*/bin/python; do
            if [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$version" ]; then
                command -v "$candidate"
                return
            fi
        done
    done
    echo "expected one of Python $*, found none; install one" >&2
    return 1
}

# environment FOLDER REQUIREMENT PYTHON-VERSION... [-- PIP-ARGUMENT...]: an editable install of this checkout, and
# whatever else pip is to install with it
environment() {
    local folder=$1 requirement=$2 python wanted versions=()
    shift 2
    while [ "$#" -gt 0 ] && [ "$1" != -- ]; do
        versions+=("$1")
        shift
    done
    shift "$(($# > 0))"
    wanted=$({ cat pyproject.toml setup.py scripts/environment.sh; find host/native -type f -print0 | sort -z | xargs -0 cat; } | cksum; echo "$requirement" "$@")
    if [ -x "$folder/bin/python" ] && [ "$(cat "$folder/.installed" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    python=$(python_of "${versions[@]}")
    echo "Installing $requirement into $folder ..." >&2
    [ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "$@" -e "$requirement" 2>&1 |
        { grep -v -e '^WARNING: Location' -e '^ *DEPRECATION:' || true; } >&2
    printf '%s\n' "$wanted" > "$folder/.installed"
}

# requirements FOLDER EXTRA PYTHON-VERSION...: an environment with what an extra lists, without bitswath itself
requirements() {
    local folder=$1 extra=$2 python wanted
    shift 2
    python=$(python_of "$@")
    wanted=$("$python" -c 'if True:
        import sys, tomllib
        with open("pyproject.toml", "rb") as file:
            print(*tomllib.load(file)["project"]["optional-dependencies"][sys.argv[1]], sep="\n")' "$extra")
    if [ -x "$folder/bin/python" ] && [ "$(cat "$folder/.installed" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    echo "Installing the requirements of $extra into $folder ..." >&2
    [ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
    printf '%s\n' "$wanted" | "$folder/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check \
        -r /dev/stdin 2>&1 | { grep -v '^WARNING: Location' || true; } >&2
    printf '%s\n' "$wanted" > "$folder/.installed"
}
