#!/usr/bin/env bash
# The rounds of a ground-truth annotation: two pickers, what to label first, rounds of labels,
# confidence, a second look, conflicts between species; score, statistics, split. The people are
# simulated: they know the truth and err at times.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

slabkit simulate -o tomograms --preset small --count 2 --seed 1
slabkit slab tomograms/*.mrc -o slabs --step 75

# Candidates for two species, by their sizes.
for species in ribosome thyroglobulin; do
    sizes=$([ $species = ribosome ] && echo 220:320 || echo 140:240)
    slabkit pick blob slabs/slabs.star -o $species.2d.star --diameter $sizes --quiet
    slabkit map $species.2d.star --slabs slabs/slabs.star -o $species.map.star --quiet
    slabkit convert $species.map.star $species.picks.star --species $species
    slabkit minislab $species.picks.star -o $species.minislabs --box 400 --depth 300 --quiet
done

# A rater: reads a pick list and the truth, and writes what a person would write of its minislabs.
cat > rater.py <<'PYTHON'
import csv
import random
import sys

import numpy as np

import slabkit

source, target, species, errors, seed = sys.argv[1:]
picks, truth = slabkit.read_picks(source).picks, slabkit.read_picks("tomograms/truth.star").picks
truth = truth[truth["slabkitSpecies"] == species]
chance = random.Random(int(seed))
place = ["slabkitX", "slabkitY", "slabkitZ"]
with open(target, "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["pick_id", "decision"])
    for _, pick in picks.iterrows():
        there = truth.loc[truth["slabkitTomogram"] == pick["slabkitTomogram"], place].to_numpy()
        away = np.linalg.norm(there - pick[place].to_numpy(dtype=float), axis=1)
        right = bool((away < 75).any())
        says = right != (chance.random() < float(errors))
        writer.writerow([pick["slabkitPickId"], "accepted" if says else "rejected"])
PYTHON

# What to label first, by 2D classes and scores: here Lee starts with twelve ribosomes.
slabkit classify ribosome.minislabs/minislabs.star -o classes --classes 5 --iterations 10 --quiet
suggest=(slabkit suggest ribosome.minislabs/minislabs.star --classified classes/classified.star
    --picks ribosome.picks.star)
"${suggest[@]}" -n 12 -o first.star --gallery first
python3 rater.py ribosome.picks.star all.csv ribosome 0.1 5
python3 - <<'PYTHON'
import csv

import slabkit

shown = set(slabkit.read_minislabs("first/minislabs.star")[0]["slabkitPickId"])
with open("all.csv", newline="") as source, open("first.csv", "w", newline="") as target:
    rows = list(csv.reader(source))
    csv.writer(target).writerows([rows[0], *(row for row in rows if row[0] in shown)])
PYTHON
slabkit label first.csv --minislabs first/minislabs.star --round first --author lee --quiet \
    -o first.labels.star
"${suggest[@]}" -n 12 -o next.star --labels first.labels.star --decide propagated.star

for species in ribosome thyroglobulin; do
    minislabs=$species.minislabs/minislabs.star
    # Rounds: 2D classes by two people, then which particles a reconstruction kept.
    python3 rater.py $species.picks.star kim.csv $species 0.1 1
    python3 rater.py $species.picks.star lee.csv $species 0.2 2
    python3 rater.py $species.picks.star abinitio.csv $species 0.1 3
    for person in kim lee; do
        slabkit label $person.csv --minislabs $minislabs --round class2d --author $person --quiet \
            -o $species.$person.star
    done
    slabkit label abinitio.csv --minislabs $minislabs --round abinitio --quiet \
        -o $species.abinitio.star
    slabkit agree $species.kim.star $species.lee.star -o $species.disputed.star

    slabkit curate $species.picks.star $species.{kim,lee,abinitio}.star \
        --policy weighted --weights kim=2 --confidence class2d,abinitio --keep all \
        -o $species.voted.star

    # A second look at what was rejected, with a few of the accepted among them.
    slabkit rescue $species.voted.star -o $species.again.star --which rejected --which accepted=10%
    slabkit minislab $species.again.star -o $species.again --box 400 --depth 300 --quiet
    python3 rater.py $species.again.star second.csv $species 0.02 4
    slabkit label second.csv --minislabs $species.again/minislabs.star \
        --round rescue --author ann --quiet -o $species.rescue.star
    slabkit curate $species.voted.star $species.rescue.star --min-confidence 0.5 \
        -o $species.curated.star --rejected $species.rest.star
done

# One list, and one decision where two species claim a position.
slabkit merge ribosome.curated.star thyroglobulin.curated.star --preset czii \
    --distance ribosome=150 -o merged.star
slabkit conflicts merged.star -o conflicts --png
python3 - <<'PYTHON'
import csv

with open("conflicts/decide.csv", newline="") as source:
    rows = list(csv.DictReader(source))
for row in rows:  # here a person looks at conflicts/minislabs_*_000.png
    row["decision"], row["species"] = "accepted", "ribosome"
with open("decided.csv", "w", newline="") as target:
    writer = csv.DictWriter(target, ["pick_id", "decision", "species", "comment"])
    writer.writeheader()
    writer.writerows(rows)
PYTHON
slabkit label decided.csv --minislabs conflicts/minislabs.star --author ann --quiet \
    -o settled.star
slabkit curate merged.star settled.star --conflicts conflicts/conflicts.star -o final.star

# How good it is, what a team puts on the screen, and subsets to train and test with.
slabkit score final.star tomograms/truth.star --mode both --bootstrap 200 --plot curve.png
slabkit stats final.star ribosome.rest.star thyroglobulin.rest.star -o stats --quiet \
    --labels ribosome.kim.star --labels ribosome.lee.star
slabkit split tomograms/truth.star -o split.star --fractions train=1,test=1 --lists subsets
slabkit history "$(python3 -c '
import slabkit
picks = slabkit.read_picks("final.star").picks
print(picks["slabkitPickId"].iloc[picks["slabkitLedger"].str.len().argmax()])')" final.star
