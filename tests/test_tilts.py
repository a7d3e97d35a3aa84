"""`--tilt-range FILE`: tilts as IMOD, SerialEM and RELION 5 write them (issue 14)."""

from __future__ import annotations

import pytest

import slabkit
from slabkit.cli.commands import _load
from slabkit.cli.options.values import tilts
from slabkit.errors import InputError, SlabkitWarning

# Dose-symmetric, as it is acquired: 0, 3, -3, -6, 6 ...
ACQUIRED = [0.0] + [side * angle for angle in range(3, 61, 3) for side in (1, -1)]
ACQUIRED = [angle - 0.02 for angle in ACQUIRED if angle > -58]  # the last ones were left out

MDOC = """T = SerialEM: Digitized on Titan Krios
PixelSpacing = 1.35
ImageFile = TS_01.mrc
ImageSize = 5760 4092
DataMode = 1

[T =     Tilt axis angle = 84.1, binning = 1  spot = 8  camera = 2]

[T = TiltAngle is in each section]

"""
SECTION = """[ZValue = {number}]
TiltAngle = {angle:.4f}
StagePosition = -23.1 210.6
Magnification = 64000
ExposureDose = 0
SubFramePath = D:\\\\frames\\\\TS_01_{number:03d}_{angle:.1f}.tif
DateTime = 02-Nov-23  18:51:32

"""

SERIES = """
# version 50001

data_{name}

loop_
_rlnMicrographMovieName #1
_rlnTomoTiltMovieFrameCount #2
_rlnTomoNominalStageTiltAngle #3
_rlnTomoNominalTiltAxisAngle #4
_rlnMicrographPreExposure #5
"""
ALIGNED = "_rlnTomoXTilt #6\n_rlnTomoYTilt #7\n_rlnTomoZRot #8\n"
TOMOGRAMS = """
# version 50001

data_global

loop_
_rlnTomoName #1
_rlnVoltage #2
_rlnTomoTiltSeriesPixelSize #3
_rlnTomoTiltSeriesStarFile #4
"""


def write_series(path, name, angles, moved=None):
    """A tilt series of RELION 5; after its alignment, where tilts were refined."""
    rows = SERIES.format(name=name) + (ALIGNED if moved is not None else "")
    for number, angle in enumerate(angles):
        rows += f"frames/{name}_{number:03d}.mrc 8 {angle:.6f} 84.1 {3 * number:.3f}"
        rows += "" if moved is None else f" 0.000000 {angle + moved:.6f} 84.912000"
        rows += "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(rows + "\n")


def write_tomograms(path, names, folder="AlignTiltSeries/job005/tilt_series"):
    rows = [f"{name} 300.0 1.35 {folder}/{name}.star" for name in names]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TOMOGRAMS + "\n".join(rows) + "\n")


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    angles = sorted(ACQUIRED)
    (tmp_path / "TS_01.tlt").write_text("".join(f"{angle:8.2f}\n" for angle in angles))
    (tmp_path / "TS_01.rawtlt").write_bytes(b"".join(b"%.2f\r\n" % one for one in angles) + b"\n")
    sections = (SECTION.format(number=i, angle=angle) for i, angle in enumerate(ACQUIRED))
    (tmp_path / "TS_01.mrc.mdoc").write_bytes((MDOC + "".join(sections)).encode("latin-1"))
    jobs = tmp_path / "AlignTiltSeries" / "job005"
    write_series(tmp_path / "Import/job001/tilt_series/TS_01.star", "TS_01", ACQUIRED)
    write_series(jobs / "tilt_series/TS_01.star", "TS_01", ACQUIRED, 1.5)
    write_series(jobs / "tilt_series/TS_02.star", "TS_02", ACQUIRED, 0.5)
    write_series(jobs / "tilt_series/TS_03.star", "TS_03", ACQUIRED[:20], 0.5)
    write_tomograms(jobs / "aligned_tilt_series.star", ["TS_01", "TS_02"])
    write_tomograms(jobs / "tomograms.star", ["TS_01", "TS_02", "TS_03"])
    (tmp_path / "optimisation_set.star").write_text(
        "\ndata_\n\n_rlnTomoTomogramsFile AlignTiltSeries/job005/aligned_tilt_series.star\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("TS_01.tlt", (-57.02, 59.98)),
        ("TS_01.rawtlt", (-57.02, 59.98)),
        ("TS_01.mrc.mdoc", (-57.02, 59.98)),
        ("Import/job001/tilt_series/TS_01.star", (-57.02, 59.98)),
        ("AlignTiltSeries/job005/tilt_series/TS_01.star", (-55.52, 61.48)),  # refined
        ("AlignTiltSeries/job005/aligned_tilt_series.star", (-56.02, 60.98)),
        ("optimisation_set.star", (-56.02, 60.98)),
    ],
)
def test_tilts_of_a_series(files, file, expected):
    assert tilts(file, "--tilt-range") == expected


def test_python_reads_what_the_option_does(files):
    assert slabkit.read_tilt_range(files / "TS_01.tlt") == (-57.02, 59.98)


def test_of_series_that_differ_the_medians_are_taken_aloud(files, monkeypatch):
    monkeypatch.chdir(files / "AlignTiltSeries")  # the paths are those of the project
    said = r"3 tilt series begin at -56.52 to -26.52 .*; the medians, -55.52:60.48, are taken"
    with pytest.warns(SlabkitWarning, match=said):
        assert tilts("job005/tomograms.star", "--tilt-range") == (-55.52, 60.48)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-60\n-57\nabc\n", "'abc' is no angle; a tilt file is a .tlt or .rawtlt"),
        ("-60 1\n-57 2\n", "'-60 1' is no angle"),
        ("-60\nnan\n", "'nan' is no angle"),
        ("", "0 tilts from 0 to 0 degrees are not those of a tilt series"),
        ("-1.047\n0\n1.047\n", "3 tilts from -1.047 to 1.047 degrees are not those"),
        ("0\n90\n180\n", "between -90 and 90"),
        (MDOC, "is no angle"),
        (MDOC + "[ZValue = 0]\nTiltAngle = \n", "TiltAngle is '' in row 1"),
        (TOMOGRAMS + "TS_01 300.0 1.35 gone/TS_01.star\n", "names gone/TS_01.star"),
        (TOMOGRAMS.replace("_rlnTomoTiltSeriesStarFile", "_rlnOther") + "a 1 1 b\n", "no tilts"),
        (SERIES.format(name="a") + "f 8 low 84.1 0\n", "rlnTomoNominalStageTiltAngle is 'low'"),
    ],
)
def test_what_has_no_tilts_is_refused(tmp_path, text, message):
    path = tmp_path / "tilts.txt"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        tilts(str(path), "--tilt-range")
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)


def test_what_is_no_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none, or a tilt file, and 'none.tlt' is none of these"):
        tilts("none.tlt", "--tilt-range")
    with pytest.raises(InputError, match="cannot be read"):
        tilts(str(tmp_path), "--tilt-range")


@pytest.mark.parametrize(
    "command", ["auto", "classify", "learn", "name", "pick template", "tomogram"]
)
def test_every_tilt_range_takes_a_file(command):
    option = next(one for one in _load(command).params if "--tilt-range" in one.opts)
    assert option.metavar == "MIN:MAX|none|FILE"
