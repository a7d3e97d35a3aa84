#!/usr/bin/env bash
# The same chain as one pipe: tables travel on standard output, images lie in folders.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

slabkit simulate -o tomograms --preset small --seed 2 --quiet
slabkit slab tomograms/*.mrc -o slabs --step 150 --quiet
slabkit pick blob slabs/slabs.star -o - --diameter 100:350 \
    | slabkit map - --slabs slabs/slabs.star -o - \
    | slabkit minislab - -o minislabs --box 400 --depth 300
slabkit info minislabs/minislabs.star
