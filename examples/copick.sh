#!/usr/bin/env bash
# Picks into a copick project and back, which needs no copick; tomograms of one, where copick is at
# hand to make them.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
client=${SLABKIT_COPICK_PYTHON:-$here/.venv-clients/copick/bin/python}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

slabkit simulate -o tomograms --preset small --count 2 --seed 1

# A project: a JSON file, and a folder for each run.
mkdir -p overlay/ExperimentRuns/sim_001 overlay/ExperimentRuns/sim_002
cat >project.json <<JSON
{"config_type": "filesystem", "name": "example", "description": "", "version": "1.31.0",
 "overlay_root": "local://$work/overlay", "overlay_fs_args": {"auto_mkdir": true},
 "pickable_objects": [
  {"name": "ribosome", "is_particle": true, "label": 1, "radius": 150},
  {"name": "apo-ferritin", "is_particle": true, "label": 2, "radius": 60}]}
JSON

# Picks out, under a user and a session; never over what is there.
awk -F, 'NR == 1 || $2 == "ribosome" || $2 == "apo-ferritin"' tomograms/truth.csv >picks.csv
slabkit convert picks.csv copick:project.json --user slabkit --session 1
find overlay -name '*.json' | sort
if slabkit convert picks.csv copick:project.json --user slabkit --session 1 --species ribosome; then
    echo "picks were replaced" >&2
    exit 1
fi

# And in again, with the ids they had.
slabkit convert copick:project.json ribosomes.star --object ribosome --user slabkit --session 1

if ! "$client" -c 'import copick' 2>/dev/null; then
    echo "copick is not installed (make test-clients does, or set SLABKIT_COPICK_PYTHON); its" \
        "tomograms are not shown."
    exit 0
fi
# copick reads the picks, and gives the project a tomogram, of which slabkit makes slabs.
"$client" -W ignore - <<'PYTHON'
import copick
import numpy as np

project = copick.from_file("project.json")
for run in project.runs:
    print(run.name, {p.pickable_object_name: len(p.points) for p in run.picks})
    data = open(f"tomograms/{run.name}.mrc", "rb").read()[1024:]
    volume = np.frombuffer(data, dtype=np.float32).reshape(96, 256, 256)
    run.new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(volume, levels=2)
PYTHON
slabkit slab copick:project.json --voxel-size 10 --tomo-type wbp -o slabs
