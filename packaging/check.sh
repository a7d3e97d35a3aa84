#!/usr/bin/env bash
# Builds wheel and sdist, and on each Python at hand installs them, runs the whole chain and fast tests
# of the sdist; on the oldest Python also with the oldest dependencies that pyproject.toml allows.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(realpath "${1:-.venv-package}/bin")
export UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=hardlink OPENBLAS_NUM_THREADS=1
for folder in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[1-9]*/bin; do PATH=$PATH:$folder; done

rm -rf dist
"$tools/uv" build --quiet # the wheel from the sdist
"$tools"/twine check --strict dist/*
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar -xzf dist/*.tar.gz -C "$work"
mv "$work"/slabkit_cryoet-* "$work/sdist"
mv "$work/sdist/slabkit" "$work/slabkit" # so that what is installed is tested

fast=(tests/test_{units,reals,mrc,tiff,ome_zarr}.py
    tests/test_learning.py::test_the_same_seed_gives_the_same_bytes_and_files_hold_a_model)

# check NAME PYTHON UV-OPTION...: an environment, the sdist installed, then the wheel, and the tests.
check() {
    local name=$1 python=$2
    shift 2
    export VIRTUAL_ENV=$work/$name
    { # joined by &&: where a result is asked for, set -e does not hold
        "$tools/uv" venv --quiet --python "$python" "$VIRTUAL_ENV" \
            && "$tools/uv" pip install --quiet "$@" "$(echo dist/*.tar.gz)[zarr,review]" \
                "pytest>=8" "hypothesis>=6.100" "starfile>=0.5.8" \
            && "$tools/uv" pip install --quiet --reinstall --no-deps dist/*.whl \
            && "$tools/uv" pip check --quiet \
            && "$VIRTUAL_ENV/bin/slabkit" demo -o "$work/$name-demo" --count 1 --jobs 1 --quiet \
            && cd "$work/sdist" \
            && "$VIRTUAL_ENV/bin/python" -m pytest -q -p no:cacheprovider "${fast[@]}"
    } >"$work/$name.txt" 2>&1 && result=passed || result=FAILED
    if [ "$result" = passed ]; then tail -n 1 "$work/$name.txt"; else cat "$work/$name.txt"; fi
    echo "package: $name $result"
    [ "$result" = passed ]
}

waiting=()
for version in 3.11 3.12 3.13 3.14; do
    if ! "$tools/uv" python find --quiet "$version" >/dev/null 2>&1; then
        # Without the interpreter: its dependencies have wheels, all of them.
        "$tools/uv" pip compile --quiet --python-version "$version" --only-binary :all: --extra zarr \
            --extra review pyproject.toml -o /dev/null
        echo "package: no Python $version at hand; its dependencies have wheels"
        continue
    fi
    check "python$version" "$version" &
    waiting+=($!)
done
check oldest 3.11 --resolution lowest-direct &
waiting+=($!)
for job in "${waiting[@]}"; do wait "$job"; done

"$tools/hadolint" packaging/Dockerfile
# For the same linter spython writes the definition as a Dockerfile, in a manner that breaks three rules.
"$tools/spython" recipe --parser singularity packaging/apptainer.def | grep -v ^HEALTHCHECK \
    | "$tools/hadolint" --ignore DL3020 --ignore DL3025 --ignore DL3059 -
"$tools/cffconvert" --validate
"$tools/python" packaging/metadata.py
