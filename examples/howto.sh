#!/usr/bin/env bash
# The commands of the how-to pages that no other example has, on simulated tomograms.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

slabkit simulate -o data --preset small --count 2 --seed 1
truth=data/truth.star

# One tomogram at a time, as on a cluster, and all together again.
for volume in data/*.mrc; do
    slabkit tomogram "$volume" -o "tomograms/$(basename "$volume" .mrc)" --diameter 100:350 --jobs 2 --update
done
printf '%s\n' tomograms/* >folders.txt
slabkit gather 'tomograms/*' -o picks.star --target-precision 0.7 --failed failed.csv
slabkit gather @folders.txt -o gathered.star

# A threshold by eye, and by labels.
slabkit slab data/*.mrc -o slabs --step 150 --z-range auto
slabkit pick blob slabs/slabs.star -o low.star --diameter 100:350 --threshold 1.5
slabkit inspect low.star --slabs slabs/slabs.star -o page.html
slabkit minislab picks.star -o minislabs --box 400 --depth 300
python3 - <<'PYTHON'
import csv

import slabkit
from slabkit.scoring import match_picks

picks, truth = slabkit.read_picks("picks.star").picks, slabkit.read_picks("data/truth.star").picks
right = set(match_picks(picks.assign(slabkitSpecies=""), truth)["pick"])
for person, wrong in (("kim", 5), ("lee", 7)):  # who err at every fifth, or seventh, pick
    with open(f"{person}.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["pick_id", "decision"])
        for number, name in enumerate(picks["slabkitPickId"]):
            says = (number in right) != (number % wrong == 0)
            rows.writerow([name, "accepted" if says else "rejected"])
PYTHON
for person in kim lee; do
    slabkit label $person.csv --minislabs minislabs/minislabs.star --author $person --round $person -o $person.star
done
slabkit curate picks.star kim.star lee.star -o voted.star --keep all
slabkit agree voted.star --by round
slabkit curate picks.star kim.star -o curated.star --rejected rejected.star
slabkit curate picks.star kim.star -o judged.star --keep all
slabkit pick blob slabs/slabs.star -o p.star --diameter 100:350 --target-precision 0.8 --labelled judged.star

# What to label next.
slabkit classify minislabs/minislabs.star -o classes
slabkit suggest minislabs/minislabs.star --classified classes/classified.star --picks picks.star \
    -n 12 -o next.star --gallery next
slabkit suggest minislabs/minislabs.star --classified classes/classified.star --picks picks.star \
    --labels kim.star -n 12 -o next2.star --gallery next2 --decide all.star

# Lists of several pickers, scores, splits.
slabkit convert curated.star blobs.star --species ribosome
slabkit convert gathered.star more.star --species ribosome
slabkit merge blobs.star more.star -o pooled.star --preset czii --distance ribosome=150 --position rank
slabkit score pooled.star $truth --curve curve.csv --plot curve.png

# Other pickers: a segmentation, a density map.
python3 - <<'PYTHON'
import numpy as np

import slabkit
from slabkit.formats.volumes.mrc import write_mrc

tomogram = slabkit.open_tomogram("data/sim_001.mrc")
truth = slabkit.read_picks("data/truth.star").picks
mask = np.zeros(tomogram.shape, dtype=np.int8)
z, y, x = np.indices(mask.shape, dtype=np.float32) * tomogram.voxel_size
for label, (species, radius) in enumerate([("ribosome", 120), ("apo-ferritin", 50)], 1):
    for pick in truth[(truth.slabkitTomogram == "sim_001") & (truth.slabkitSpecies == species)].itertuples():
        away = (x - pick.slabkitX) ** 2 + (y - pick.slabkitY) ** 2 + (z - pick.slabkitZ) ** 2
        mask[away < radius**2] = label
write_mrc("sim_001_seg.mrc", mask, tomogram.voxel_size, label="")

# Alone in water, seen from all sides, without noise: the density map of a ribosome.
alone, _ = slabkit.simulate_tomogram(
    "map", shape=(48, 48, 48), counts={"ribosome": 1}, crowding=0, noise=0, tilts=None
)
write_mrc("6qzp.mrc", -np.asarray(alone.data), alone.voxel_size, label="")
PYTHON
slabkit pick segmentation ./*_seg.mrc -o segmented.star --suffix _seg \
    --diameter 1=300,2=120 --species 1=ribosome,2=apo-ferritin
slabkit pick template slabs/slabs.star -o template.star --map ribosome=6qzp.mrc

# Looking, and out to other programs.
slabkit view curated.star rejected.star -o view.html
slabkit convert curated.star curated.csv
slabkit view curated.csv --tomograms 'data/*.mrc' --truth $truth -o again.html
slabkit report . --truth $truth
slabkit convert curated.star imod --to imod-model
slabkit convert curated.star artiax --to artiax-tsv
