"""Compares the results of two checkouts of slabkit, byte by byte: tables, images, pages, messages.

``python benchmarks/same_results.py OLD NEW --work FOLDER [--only demo tour data]``

Each checkout has its own environment in ``.venv`` (``make .venv/.ready``). The demo, the examples
and a long tour on the shared data run once with each; what OLD made is kept in the folder and used
again. Records (``.json`` beside a result) hold times and command lines and are left out.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("SLABKIT_DATA", ROOT.parent / "shared" / "data")).resolve()

DEMO = "slabkit demo -o demo"

# Every command, on the shared data; what they print is kept too.
TOUR = """
slabkit slab $DATA/tomograms/TS_91?.mrc -o slabs --step 75 --png
slabkit slab $DATA/tomograms/TS_911.mrc -o flipped --flip-z --invert --reduce sum --z-range auto
slabkit slab $DATA/real/13pf_MT.tif -o crop --thickness 100 --contrast bright
slabkit pick blob slabs/slabs.star -o picks2d.star --diameter 100:350 --png
slabkit pick blob slabs/slabs.star -o auto.star --diameter 100:350 --threshold auto
slabkit pick template slabs/slabs.star -o template2d.star --map ribosome=$DATA/maps/10A/6qzp.mrc \
    --map apo-ferritin=$DATA/maps/10A/6pxm.mrc --angular-step 30
slabkit inspect picks2d.star --slabs slabs/slabs.star -o inspect.html
slabkit map picks2d.star --slabs slabs/slabs.star -o picks.star
slabkit map template2d.star --slabs slabs/slabs.star -o template.star --all-species
slabkit map picks2d.star --slabs slabs/slabs.star -o middle.star --no-refine-z
slabkit minislab picks.star -o minislabs --box 400 --depth 300 --stack --png
slabkit minislab picks.star -o tilted --box 300 --depth 200 --tilts -20,0,20 \
    --pixel-size 8 --border 50
slabkit classify minislabs/minislabs.star -o classes --classes 40
slabkit label classes/classified.star --minislabs minislabs/minislabs.star --auto -o labels.star
slabkit label classes/classified.star --minislabs minislabs/minislabs.star --classes 1-7 \
    -o seven.star
slabkit curate picks.star labels.star -o curated.star --rejected rejected.star
slabkit curate picks.star labels.star seven.star -o both.star --policy any --keep all
slabkit agree labels.star seven.star -o disputed.star
slabkit rescue both.star -o again.star --which rejected --which accepted=10%
slabkit suggest minislabs/minislabs.star --classified classes/classified.star --picks picks.star \
    -n 24 -o first.star --gallery first
slabkit merge curated.star template.star -o merged.star --distance 100
slabkit convert picks.star ribosome.star --species ribosome
slabkit convert template.star apo.star
slabkit merge ribosome.star apo.star -o claimed.star --preset czii --distance ribosome=150
slabkit conflicts claimed.star -o conflicts --png
slabkit stats curated.star rejected.star -o stats --labels labels.star
slabkit score curated.star $DATA/tomograms/truth.csv --mode both --bootstrap 50 \
    --curve curve.csv --plot curve.png
slabkit score template.star $DATA/tomograms/truth.csv --json
slabkit split $DATA/tomograms/truth.csv -o split.star --fractions train=2,test=2
slabkit history $(awk '/^[a-z0-9]+\\t/ {print $1; exit}' curated.star) curated.star
slabkit convert curated.star c.csv
slabkit convert curated.star c.relion5.star --to relion5
slabkit convert curated.star c.relion4.star --to relion4
slabkit convert curated.star c.tbl --to dynamo
slabkit convert curated.star eman --to eman
slabkit convert curated.star imod --to imod
slabkit convert curated.star artiax --to artiax
slabkit convert curated.star c.tsv --to artiax-tsv
slabkit convert curated.star portal --to ndjson
slabkit convert curated.star copick --to copick --species ribosome
slabkit convert c.relion5.star back5.star --tomograms $DATA/tomograms
slabkit convert c.relion4.star back4.star --tomograms $DATA/tomograms
slabkit convert c.tbl backd.star --tomograms $DATA/tomograms
slabkit convert c.csv backc.star --tomograms $DATA/tomograms
slabkit export relion minislabs/minislabs.star -o relion
slabkit export cryosparc minislabs/minislabs.star -o cryosparc
slabkit export topaz minislabs/minislabs.star --labels labels.star -o topaz
slabkit export topaz slabs/slabs.star -o topaz_slabs --radius 120
slabkit info slabs/slabs.star picks.star picks2d.star minislabs/minislabs.star \
    classes/classified.star labels.star c.csv c.tbl c.relion5.star \
    $DATA/tomograms/TS_901.mrc $DATA/real/13pf_MT.tif
slabkit simulate -o simulated --preset small --seed 3 --map ribosome=$DATA/maps/10A/6qzp.mrc:4
slabkit pick segmentation simulated/*_labels.mrc -o segmented.star --diameter 1=300
slabkit slab $DATA/tomograms/TS_901.mrc -o big --step 150
slabkit pick blob big/slabs.star -o big2d.star --diameter 100:350
slabkit map big2d.star --slabs big/slabs.star -o big.star
slabkit minislab big.star -o bigm --box 400 --depth 300
"""


def main() -> int:
    """Run both, compare, and say what differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("old", type=Path, help="checkout of the former commit")
    parser.add_argument("new", type=Path, help="checkout of the new commit")
    parser.add_argument("--work", type=Path, required=True, help="folder for the results")
    parser.add_argument("--only", nargs="*", help="names of sets: demo, examples' names, data")
    options = parser.parse_args()
    sets = {"demo": DEMO, **_examples(options.old.resolve())}
    if (SHARED / "tomograms").is_dir():
        sets["data"] = _captured(TOUR)
    bad = 0
    for name, script in sets.items():
        if options.only and name not in options.only:
            continue
        folders = {}
        for which, checkout in (("old", options.old), ("new", options.new)):
            folders[which] = options.work / name / which
            _run(script, folders[which], checkout.resolve(), keep=which == "old")
        bad += _compare(name, folders["old"], folders["new"])
    return bool(bad)


def _examples(checkout: Path) -> dict[str, str]:
    found = {}
    for path in sorted((checkout / "examples").glob("*.sh")):
        text = path.read_text()
        text = text.replace("work=$(mktemp -d)\n", "work=$PWD\n")
        found[path.stem] = re.sub(r"^trap .*\n", "", text, flags=re.MULTILINE)
    return found


def _captured(lines: str) -> str:
    """Keep what each command prints in a file of its own, and go on where one fails."""
    commands = [line for line in lines.replace("\\\n", " ").split("\n") if line.strip()]
    return "\n".join(
        f"{{ {command} ; echo exit $? ; }} >said_{number:02d}.txt 2>&1"
        for number, command in enumerate(commands)
    )


def _run(script: str, folder: Path, checkout: Path, keep: bool) -> None:
    done = folder.parent / f"{folder.name}.done"
    if keep and done.exists():
        return
    subprocess.run(["rm", "-rf", folder, done], check=True)
    folder.mkdir(parents=True)
    environment = {
        **os.environ,
        "PATH": f"{checkout / '.venv' / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(checkout),
        "DATA": str(SHARED),
    }
    result = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True
    )
    (folder / "printed.txt").write_text(f"{result.returncode}\n{result.stdout}\n{result.stderr}")
    done.touch()


def _compare(name: str, old: Path, new: Path) -> int:
    files = [
        {
            path.relative_to(folder)
            for path in folder.rglob("*")
            if path.is_file() and not _is_record(path)
        }
        for folder in (old, new)
    ]
    missing = sorted(files[0] ^ files[1])
    differing = [
        path
        for path in sorted(files[0] & files[1])
        if not filecmp.cmp(old / path, new / path, shallow=False)
    ]
    print(f"{name}: {len(files[0])} files, {len(differing)} differ, {len(missing)} in one alone")
    for path in (*missing, *differing):
        print(f"  {path}")
    sys.stdout.flush()
    return len(missing) + len(differing)


def _is_record(path: Path) -> bool:
    return path.suffix == ".json" and path.with_suffix("").exists()


if __name__ == "__main__":
    sys.exit(main())
