#!/usr/bin/env bash
# From labels of some tomograms to named picks in others: label, learn, predict, curate.
# Uses simulated tomograms, so that the truth is known and stands in for the person who labels.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

slabkit simulate -o tomograms --preset small --count 4 --seed 1
slabkit slab tomograms/*.mrc -o slabs --step 150
slabkit pick blob slabs/slabs.star -o picks2d.star --diameter 100:350
slabkit map picks2d.star --slabs slabs/slabs.star -o picks.star
slabkit minislab picks.star -o minislabs --box 400 --depth 300 --stack

# A person looks at the galleries and writes pick_id,decision,species. Here the truth does so, for
# the first three tomograms; the fourth has no labels.
python3 - <<'PYTHON'
import csv
import slabkit
from slabkit.scoring import match_picks

picks = slabkit.read_picks("picks.star").picks
truth = slabkit.read_picks("tomograms/truth.star").picks
match = match_picks(picks.assign(slabkitSpecies=""), truth)
species = dict(zip(match["pick"], match["species"]))
with open("labels.csv", "w", newline="") as file:
    rows = csv.writer(file)
    rows.writerow(["pick_id", "decision", "species"])
    for number, pick in enumerate(picks.itertuples()):
        if pick.slabkitTomogram != "sim_004":
            said = "accepted" if number in species else "rejected"
            rows.writerow([pick.slabkitPickId, said, species.get(number, "")])
PYTHON
slabkit label labels.csv --minislabs minislabs/minislabs.star -o labels.star

slabkit learn --minislabs minislabs/minislabs.star --labels labels.star -o model
slabkit predict minislabs/minislabs.star --model model -o predicted.star
slabkit curate picks.star labels.star predicted.star -o curated.star
slabkit score curated.star tomograms/truth.star
