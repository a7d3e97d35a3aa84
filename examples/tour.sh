#!/usr/bin/env bash
# From tomograms to a curated, scored pick list, one command a step.
# Uses simulated tomograms, so that it runs anywhere and the truth is known.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

slabkit simulate -o tomograms --preset small --count 2 --seed 1

slabkit slab tomograms/*.mrc -o slabs --step 75
slabkit pick blob slabs/slabs.star -o picks2d.star --diameter 100:350
slabkit map picks2d.star --slabs slabs/slabs.star -o picks.star
slabkit minislab picks.star -o minislabs --box 400 --depth 300 --stack

# Here a person looks at minislabs/minislabs_*.mrc and marks the good tiles, or classifies the
# stack in another program. This example marks what scored well:
slabkit convert picks.star picks.csv
python3 - <<'PYTHON'
import csv

with open("picks.csv", newline="") as source, open("good.csv", "w", newline="") as target:
    writer = csv.writer(target)
    writer.writerow(["pick_id", "decision"])
    for row in csv.DictReader(source):
        writer.writerow([row["pick_id"], "accepted" if float(row["score"]) >= 7 else "rejected"])
PYTHON

slabkit label good.csv --minislabs minislabs/minislabs.star -o labels.star
slabkit curate picks.star labels.star -o curated.star --rejected rejected.star
slabkit score curated.star tomograms/truth.star --radius ribosome=150
slabkit convert curated.star curated.csv
head -3 curated.csv
