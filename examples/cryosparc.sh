#!/usr/bin/env bash
# Minislabs to CryoSPARC and back. There is no server here: the client package, cryosparc-tools,
# stands in for the jobs from import to Select 2D and writes what they would write.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
client=${SLABKIT_CRYOSPARC_PYTHON:-$here/.venv-clients/cryosparc/bin/python}
if ! "$client" -c 'import cryosparc.dataset' 2>/dev/null; then
    echo "cryosparc-tools is not installed (make test-clients does, or set" \
        "SLABKIT_CRYOSPARC_PYTHON); nothing to show."
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

slabkit simulate -o tomograms --preset small --count 2 --seed 1
slabkit minislab tomograms/truth.star -o minislabs --box 300 --depth 300 --stack --border 150
slabkit export cryosparc minislabs/minislabs.star -o cryosparc
cat cryosparc/import.txt

# In CryoSPARC: import cryosparc/particles.star (or .csg), 2D Classification, Select 2D.
# Here: two "classes", rows in another order, the job's file and what it passed through apart.
mkdir J5
"$client" - <<'PYTHON'
import numpy as np
from cryosparc.dataset import Dataset

particles = Dataset.load("cryosparc/particles.cs")
particles = particles.take(np.random.default_rng(0).permutation(len(particles)).tolist())
particles.add_fields(["alignments2D/class"], ["u4"])
particles["alignments2D/class"] = np.arange(len(particles)) % 2
job = particles.copy().filter_fields(lambda name: name.split("/")[0] in ("uid", "alignments2D"))
passed = particles.copy().filter_fields(lambda name: not name.startswith("alignments2D"))
job.save("J5/particles_selected.cs")
passed.save("J5/J5_passthrough_particles_selected.cs")
PYTHON

slabkit label J5/particles_selected.cs J5/J5_passthrough_particles_selected.cs \
    --minislabs minislabs/minislabs.star --classes 1 -o labels.star
slabkit curate tomograms/truth.star labels.star -o curated.star
