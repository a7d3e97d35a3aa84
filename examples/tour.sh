#!/usr/bin/env bash
# From tomograms to a curated, scored pick list, one command a step.
# Uses simulated tomograms, so that it runs anywhere and the truth is known.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

slabkit simulate -o tomograms --preset small --count 2 --seed 1

slabkit slab tomograms/*.mrc -o slabs --step 150
slabkit pick blob slabs/slabs.star -o picks2d.star --diameter 100:350 --target-precision 0.7
slabkit map picks2d.star --slabs slabs/slabs.star -o picks.star
slabkit minislab picks.star -o minislabs --stack

slabkit classify minislabs/minislabs.star -o classes
# Here a person looks at classes/classes.png and lists the good classes: --classes 1-7,12.
# This example lets the rule choose:
slabkit label classes/classified.star --minislabs minislabs/minislabs.star --auto --picks picks.star \
    -o labels.star
slabkit curate picks.star labels.star -o curated.star --rejected rejected.star
slabkit score curated.star tomograms/truth.star --radius ribosome=150
slabkit convert curated.star curated.csv
head -3 curated.csv
slabkit report .  # report.html: all of it to look at
