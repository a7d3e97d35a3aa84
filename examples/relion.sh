#!/usr/bin/env bash
# Slabs to RELION's LoG picker and back, minislabs to its 2D classification and back.
set -euo pipefail
for program in relion_autopick relion_refine relion_preprocess; do
    if ! command -v "$program" >/dev/null; then
        echo "$program is not on PATH (Debian: apt-get install relion); nothing to show."
        exit 0
    fi
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

slabkit simulate -o tomograms --preset small --count 2 --seed 1
slabkit slab tomograms/*.mrc -o slabs --step 150

# 1. Pick on the slabs; all of RELION's files go to one map.
relion_autopick --i slabs/slabs.star --odir AutoPick/ --pickname log --LoG \
    --LoG_diam_min 150 --LoG_diam_max 350 --shrink 0 --lowpass 20 >autopick.log 2>&1
slabkit map AutoPick/slabs/*_log.star --slabs slabs/slabs.star --diameter 250 -o picks.star

# 2. Classify the minislabs. These tomograms are as clean as denoised ones, on which RELION's
# classification collapses: it needs noise to model. So add some; real reconstructions have it.
slabkit minislab picks.star -o minislabs --box 400 --depth 300 --stack --diameter 300
python3 - <<'PYTHON'
import array
import pathlib
import random

random.seed(0)
for path in sorted(pathlib.Path("minislabs").glob("*.mrcs")):
    data = path.read_bytes()
    pixels = array.array("f", data[1024:])
    noisy = array.array("f", (value + random.gauss(0, 3) for value in pixels))
    path.write_bytes(data[:1024] + noisy.tobytes())
PYTHON
mkdir Class2D
relion_refine --i minislabs/minislabs.star --o Class2D/run --iter 10 --K 5 \
    --psi_step 24 --oversampling 0 --offset_range 3 --offset_step 2 --pad 1 --firstiter_cc \
    --ini_high 40 --tau2_fudge 2 --particle_diameter 300 --zero_mask --flatten_solvent \
    --norm --scale --pool 30 --j 2 --random_seed 0 >refine.log 2>&1

# Here a person looks at Class2D/run_it010_classes.mrcs and lists the good classes. This example
# shows the road: so few images in so few iterations make no good classes, and it takes all but the
# largest.
classes=$(awk '/^data_particles/ {on = 1}
    on && /^_rlnClassNumber/ {sub("#", "", $2); column = $2}
    on && column && NF > 5 {count[$column]++}
    END {for (class in count) if (count[class] > most) {most = count[class]; largest = class}
        for (class in count) if (class != largest) list = list "," class
        print substr(list, 2)}' Class2D/run_it010_data.star)
slabkit label Class2D/run_it010_data.star --minislabs minislabs/minislabs.star \
    --classes "$classes" -o labels.star

# 3. Into the pick list, moved to where RELION found the particles.
slabkit curate picks.star labels.star -o curated.star --recentre
slabkit merge curated.star --distance 100 -o final.star

# 4. The same minislabs as galleries: RELION cuts out our tiles.
slabkit export relion minislabs/minislabs.star -o relion
relion_preprocess --i relion/galleries.star --coord_dir relion/ --coord_suffix _slabkit.star \
    --part_star Extract/particles.star --part_dir Extract/ --extract --extract_size 40 \
    --norm --bg_radius 15 --invert_contrast >extract.log 2>&1
slabkit label Extract/particles.star --minislabs minislabs/minislabs.star -o all.star
