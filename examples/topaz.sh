#!/usr/bin/env bash
# Slabs to the detector that Topaz ships and back; labelled galleries to Topaz's training and back.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
client=${SLABKIT_TOPAZ_PYTHON:-$here/.venv-clients/topaz/bin/python}
if ! command -v topaz >/dev/null && ! [ -x "$client" ]; then
    echo "topaz is not on PATH (make test-clients installs one, or set SLABKIT_TOPAZ_PYTHON);" \
        "nothing to show."
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! command -v topaz >/dev/null; then
    mkdir bin
    printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$client" "$here/tests/clients/run_topaz.py" >bin/topaz
    chmod +x bin/topaz
    export PATH="$work/bin:$PATH"
fi
export OMP_NUM_THREADS=1 # so little work is slower in many threads

slabkit simulate -o tomograms --preset small --count 2 --seed 1
slabkit slab tomograms/*.mrc -o slabs

# 1. Pick on the slabs with the detector as it comes.
slabkit export topaz slabs/slabs.star -o picking --radius 120
bash picking/topaz.sh --threshold 0
slabkit map picking/picks_*.txt --slabs slabs/slabs.star --diameter 240 -o picks.star

# 2. Train on galleries that a person has been through. Here the known particles are the good ones,
# and places 400 Å away from them the bad ones.
awk -F, 'BEGIN {print "pick_id,tomogram,x,y,z"; print "pick_id,decision" >"seen.csv"}
    NR > 1 {print "good" NR "," $1 "," $3 "," $4 "," $5
        print "bad" NR "," $1 "," ($3 > 1280 ? $3 - 400 : $3 + 400) "," $4 "," $5
        print "good" NR ",yes\nbad" NR ",no" >"seen.csv"}' tomograms/truth.csv >places.csv
slabkit convert places.csv places.star --tomograms tomograms
slabkit minislab places.star -o minislabs --box 400 --depth 300 --tiles 5x6
slabkit label seen.csv --minislabs minislabs/minislabs.star -o seen.star
slabkit export topaz minislabs/minislabs.star --labels seen.star -o training
# So few rounds teach it little: leave these options out for a real training.
bash training/topaz.sh --num-epochs 1 --epoch-size 60 --minibatch-size 32 --num-threads 1

# 3. Its scores decide about the tiles. Choose the threshold by those of what you have labelled.
slabkit label training/extracted.txt --minislabs minislabs/minislabs.star --threshold -5 \
    --y-axis down -o labels.star
slabkit curate places.star labels.star -o curated.star
