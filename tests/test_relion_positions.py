"""Positions from RELION-style STAR files, as people met them; numbers are those of the reports."""

from __future__ import annotations

import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Run
from pick_files import pick_list, tomogram_table, xyz

from slabkit.errors import InputError, SlabkitWarning
from slabkit.formats.picks.reading import read_picks
from slabkit.formats.picks.writing import write_picks
from slabkit.formats.registry import formats_of
from slabkit.formats.tables.star import read_star
from slabkit.formats.tomograms.table import read_tomograms

TS = tomogram_table(TS_01=(130, 120, 60, 10.0))
PLACE = "rlnCoordinateX rlnCoordinateY rlnCoordinateZ"


def star(folder: Path, blocks: dict[str, tuple[str, list[str]]], name: str = "p.star") -> Path:
    """Write blocks of columns and rows."""
    text = ""
    for block, (columns, rows) in blocks.items():
        labels = "".join(f"_{column}\n" for column in columns.split())
        text += f"data_{block}\n\nloop_\n{labels}" + "\n".join(rows) + "\n\n"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.filterwarnings("ignore::slabkit.errors.SlabkitWarning")
@pytest.mark.parametrize(
    ("name", "options", "x"),
    [
        ("01_shift_warp", {"format": "warp-px", "tomograms": TS}, 575),
        ("02_magnification", {}, 60 * 14e4 / 81000),
        ("05_image_pixel", {"format": "warp-px", "tomograms": TS}, 300),
        ("12_nan_pixel", {"binning": 1, "voxel_size": 10}, 600),
        ("13_ptm", {}, 600),
        ("18_warptools_2d", {"tomograms": TS}, 600),
        ("19_relion5_picker_particles", {"format": "relion5-picker", "tomograms": TS}, 600),
        ("21_relion31_subtomo", {}, 275),
    ],
)
def test_files_of_the_reports(reports: Path, name: str, options: dict[str, Any], x: float) -> None:
    picks = read_picks(reports / f"{name}.star", **options)
    assert xyz(picks)[0, 0] == pytest.approx(x)


def quietly(path: Path, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlabkitWarning)
        return read_picks(path, **options)


# --- one pixel size ----------------------------------------------------------------------------


@pytest.mark.parametrize(("magnification", "detector"), [(81000, 14.0), (10000, 1.7283950617)])
def test_02_magnification(tmp_path: Path, magnification: int, detector: float) -> None:
    columns = f"rlnMicrographName {PLACE} rlnMagnification rlnDetectorPixelSize"
    path = star(tmp_path, {"": (columns, [f"TS_01.mrc 60 50 30 {magnification} {detector}"])})
    picks = read_picks(path)
    np.testing.assert_allclose(xyz(picks), np.array([[60, 50, 30]]) * 14e4 / 81000, rtol=1e-9)
    assert not {"rlnMagnification", "rlnDetectorPixelSize"} & set(picks.picks.columns)
    with pytest.warns(SlabkitWarning, match=r"pixels of 1\.7284 Å, as it says, though TS_01 has"):
        np.testing.assert_allclose(xyz(read_picks(path, tomograms=TS))[0, 0], 103.7037, rtol=1e-6)


@pytest.mark.parametrize("label", ["rlnImagePixelSize", "rlnPixelSize", "rlnMicrographPixelSize"])
def test_05_the_files_pixel_size_counts(tmp_path: Path, label: str) -> None:
    """Coordinates of 3D subtomograms are pixels of the size that the file says."""
    blocks = {
        "optics": (f"rlnOpticsGroup {label}", ["1 5.0"]),
        "particles": (f"rlnMicrographName {PLACE} rlnOpticsGroup", ["TS_01.tomostar 60 50 30 1"]),
    }
    path = star(tmp_path, blocks)
    for given in ({"tomograms": TS}, {"voxel_size": 10.0}):
        with pytest.warns(SlabkitWarning, match=r"5 Å, as it says, though TS_01 has voxels of 10"):
            picks = read_picks(path, format="warp-px", **given)
        np.testing.assert_allclose(xyz(picks), [[300, 250, 150]])
    # What the warning advises where they are voxels after all.
    other = quietly(path, format="warp-px", tomograms=TS, binning=1)
    np.testing.assert_allclose(xyz(other), [[600, 500, 300]])


def test_05_two_pixel_sizes_stop_with_both(tmp_path: Path) -> None:
    columns = f"rlnMicrographName {PLACE} rlnImagePixelSize rlnPixelSize"
    path = star(tmp_path, {"": (columns, ["TS_01 60 50 30 5 2.5"])})
    with pytest.raises(InputError, match=r"5 Å \(rlnImagePixelSize\) and 2\.5 Å \(rlnPixelSize\)"):
        read_picks(path, tomograms=TS)
    # The advice: voxel size over the pixel size that holds.
    for binning, x in ((2, 300), (4, 150)):
        assert xyz(quietly(path, tomograms=TS, binning=binning))[0, 0] == pytest.approx(x)


def test_21_subtomograms_of_relion_3_are_a_format(tmp_path: Path) -> None:
    assert "relion3" in [entry.name for entry in formats_of("picks")]
    optics = ("rlnOpticsGroup rlnImagePixelSize", ["1 5.0"])
    columns = f"rlnMicrographName {PLACE} rlnOpticsGroup rlnOriginXAngst"
    blocks = {"optics": optics, "particles": (columns, ["TS_01 60 50 30 1 25"])}
    with pytest.warns(SlabkitWarning, match="1 of 1 particles had an origin shift"):
        picks = read_picks(star(tmp_path, blocks))
    np.testing.assert_allclose(xyz(picks), [[275, 250, 150]])
    # Shifts in pixels are of the images, also where --binning says what the coordinates are.
    columns = f"rlnMicrographName {PLACE} rlnImagePixelSize rlnOriginX rlnOriginY rlnOriginZ"
    path = star(tmp_path, {"particles": (columns, ["a/TS_01.mrc 60 50 30 5 5 0 -1"])})
    np.testing.assert_allclose(xyz(quietly(path)), [[275, 250, 155]])
    np.testing.assert_allclose(xyz(quietly(path, voxel_size=10.0, binning=1)), [[575, 500, 305]])
    bare = star(tmp_path, {"": (f"rlnMicrographName {PLACE}", ["TS_01.mrc 60 50 30"])}, "bare.star")
    with pytest.raises(InputError, match="does not say the pixel size of its coordinates"):
        read_picks(bare, tomograms=TS)
    assert xyz(read_picks(bare, tomograms=TS, binning=1))[0, 0] == 600


def test_01_shifts_in_both_units_have_to_agree(tmp_path: Path) -> None:
    columns = f"rlnMicrographName {PLACE} rlnImagePixelSize rlnOriginXAngst rlnOriginX"
    path = star(tmp_path, {"": (columns, ["TS_01 60 50 30 10 25 2.5"])})
    assert xyz(quietly(path))[0, 0] == 575
    path = star(tmp_path, {"": (columns, ["TS_01 60 50 30 10 25 4"])})
    with pytest.raises(InputError, match=r"a shift of 25 Å \(rlnOriginXAngst\) and of 40 Å"):
        read_picks(path)


@pytest.mark.parametrize("nothing", ["nan", "none", "<NA>"])
def test_12_a_pixel_size_that_is_none_is_absent(tmp_path: Path, nothing: str) -> None:
    columns = f"rlnTomoName {PLACE} rlnTomoTiltSeriesPixelSize"
    path = star(tmp_path, {"particles": (columns, [f"TS_01 60 50 30 {nothing}"])})
    with pytest.raises(InputError, match="does not say the pixel size of the tilt series"):
        read_picks(path)
    picks = read_picks(path, binning=1, voxel_size=10.0)
    np.testing.assert_allclose(xyz(picks), [[600, 500, 300]])
    assert "rlnTomoTiltSeriesPixelSize" not in picks.picks.columns
    write_picks(tmp_path / "again.star", picks, format="relion4", binning=1)
    np.testing.assert_allclose(xyz(read_picks(tmp_path / "again.star")), [[600, 500, 300]])
    pytom = f"rlnMicrographName {PLACE} rlnDetectorPixelSize"
    path = star(tmp_path, {"": (pytom, [f"TS_01 60 50 30 {nothing}"])}, "pytom.star")
    np.testing.assert_allclose(xyz(read_picks(path, voxel_size=10.0)), [[600, 500, 300]])


@pytest.mark.parametrize(
    "place", [PLACE, re.sub(r"Coordinate(.)", r"CenteredCoordinate\1Angst", PLACE)]
)
def test_tilt_series_pixels_that_contradict_image_pixels_stop(tmp_path: Path, place: str) -> None:
    optics = "rlnOpticsGroup rlnTomoTiltSeriesPixelSize rlnImagePixelSize rlnTomoSubtomogramBinning"
    particles = (f"rlnTomoName {place} rlnOpticsGroup", ["TS_01 60 50 30 1"])
    wrong = star(tmp_path, {"optics": (optics, ["1 2.5 10 2"]), "particles": particles})
    with pytest.raises(InputError, match=r"2\.5 Å \(rlnTomoTiltSeriesPixelSize\) and 5 Å"):
        read_picks(wrong, tomograms=TS)
    quietly(wrong, tomograms=TS, binning=4)
    right = star(tmp_path, {"optics": (optics, ["1 2.5 10 4"]), "particles": particles})
    read_picks(right, tomograms=TS)


def test_a_particle_and_its_optics_group_have_one_pixel_size(tmp_path: Path) -> None:
    columns = f"rlnTomoName {PLACE} rlnOpticsGroup rlnTomoTiltSeriesPixelSize"
    blocks = {
        "optics": ("rlnOpticsGroup rlnTomoTiltSeriesPixelSize", ["1 2.5"]),
        "particles": (columns, ["TS_01 60 50 30 1 5.0"]),
    }
    with pytest.raises(
        InputError, match=r"rlnTomoTiltSeriesPixelSize of particle 1 is 5\.0, and 2"
    ):
        read_picks(star(tmp_path, blocks))


def test_advice_about_pixel_sizes_holds(tmp_path: Path) -> None:
    """Each option that a message names is followed, and gives what the message says of it."""
    columns = f"rlnMicrographName {PLACE} rlnDetectorPixelSize"
    path = star(tmp_path, {"": (columns, ["TS_01 60 50 30 5"])})
    with pytest.raises(InputError, match="is 5 Å in the file and 10 Å elsewhere") as caught:
        read_picks(path, tomograms=TS)
    advice = re.findall(r"(--[a-z-]+) ([\d.]+) where the (\w+)", str(caught.value))
    assert [(option, value) for option, value, _ in advice] == [
        ("--binning", "2"),
        ("--voxel-size", "5"),
    ]
    for option, value, _ in advice:
        given = {option[2:].replace("-", "_"): float(value)}
        assert xyz(quietly(path, tomograms=TS, check_bounds=False, **given))[0, 0] == 300
    assert xyz(quietly(path, tomograms=TS, binning=1))[0, 0] == 600
    # The volume's voxel size, given once more, settles nothing.
    for given in ({"voxel_size": 10.0}, {"voxel_size": 10.0, "tomograms": TS}):
        with pytest.raises(InputError, match="is 5 Å in the file and 10 Å elsewhere"):
            read_picks(path, **given)
        assert xyz(quietly(path, **given, binning=1))[0, 0] == 600
        assert xyz(quietly(path, **given, binning=2))[0, 0] == 300
    # RELION 4: both binnings that the message names.
    r4 = f"rlnTomoName {PLACE} rlnTomoTiltSeriesPixelSize"
    path = star(tmp_path, {"particles": (r4, ["TS_01 100 50 30 2.5"])}, "r4.star")
    unbinned = {f"rlnTomoSize{axis}": [400] for axis in "XYZ"}
    table = TS.assign(**unbinned, rlnTomoTiltSeriesPixelSize=2.0)
    with pytest.raises(InputError, match=r"--binning \(4 follows this file, 5 the table\)"):
        read_picks(path, tomograms=table)
    assert xyz(quietly(path, tomograms=table, binning=4))[0, 0] == 250
    assert xyz(quietly(path, tomograms=table, binning=5))[0, 0] == 200


# --- who wrote it ------------------------------------------------------------------------------


@pytest.mark.parametrize("tilt_series", [1.5, 12.0])
@pytest.mark.parametrize("marked", ["general", "optics"])
def test_18_warptools_2d_stacks_count_particle_pixels(
    tmp_path: Path, tilt_series: float, marked: str
) -> None:
    optics = "rlnOpticsGroup rlnTomoTiltSeriesPixelSize rlnTomoSubtomogramBinning rlnImagePixelSize"
    flat, value = (" rlnImageDimensionality", " 2") if marked == "optics" else ("", "")
    blocks = {
        "optics": (optics + flat, [f"1 {tilt_series} 8 12.0{value}"]),
        "particles": (f"rlnTomoName {PLACE} rlnOpticsGroup", ["TS_01.tomostar 50 40 20 1"]),
    }
    if marked == "general":
        blocks = {"general": ("rlnTomoSubTomosAre2DStacks", ["1"]), **blocks}
    path = star(tmp_path, blocks)
    for given in ({"tomograms": TS}, {"tomograms": TS, "binning": 10 / 1.5}, {}):
        with pytest.warns(SlabkitWarning, match="pixels of the particle images, 12 Å"):
            picks = read_picks(path, **given)
        np.testing.assert_allclose(xyz(picks), [[600, 480, 240]])
    # Written again it counts pixels of the tilt series, and is read as that.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlabkitWarning)
        write_picks(tmp_path / "again.star", picks, format="relion4")
    np.testing.assert_allclose(xyz(read_picks(tmp_path / "again.star")), [[600, 480, 240]])
    # RELION's own 2D stacks count pixels of the tilt series.
    own = path.read_text().replace(".tomostar", "").replace(f"1 {tilt_series} 8", "1 1.5 8")
    (tmp_path / "own.star").write_text(own)
    np.testing.assert_allclose(xyz(read_picks(tmp_path / "own.star")), [[75, 60, 30]])


def test_19_lists_of_relion_5s_picker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    labels = "rlnTomoName rlnTomoTiltSeriesPixelSize rlnTomoSizeX rlnTomoSizeY rlnTomoSizeZ"
    row = "TS_01 1.35 963 889 444 7.4074 TS_01.mrc"
    labels += " rlnTomoTomogramBinning rlnTomoReconstructedTomogram"
    star(tmp_path, {"global": (labels, [row])}, "tomograms.star")
    star(tmp_path, {"": (f"rlnTomoName {PLACE}", ["TS_01 60 50 30"])})
    known = tomogram_table(TS_01=(130, 120, 60, 10.0))
    table = read_tomograms(["tomograms.star"])
    with pytest.raises(InputError, match=r"relion4: 81, 67\.5, 40\.5 Å; relion5-picker: 599\.9"):
        read_picks("p.star", tomograms=table)
    with pytest.raises(InputError, match="could be relion4, relion5-picker; say which with --from"):
        read_picks("p.star")
    for name, x in (("relion4", 81), ("relion5-picker", 60 * 1.35 * 7.4074)):
        assert xyz(read_picks("p.star", tomograms=table, format=name))[0, 0] == pytest.approx(x)
    assert xyz(read_picks("p.star", tomograms=known, format="relion5-picker"))[0, 0] == 600
    for file in ("TS_01_particles.star", "TS_01_spheres.star"):
        path = Path("Picks/job012/annotations") / file
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy("p.star", path)
        with pytest.warns(SlabkitWarning, match="in binned voxels, as a list of RELION 5's picker"):
            assert xyz(read_picks(path, tomograms=known))[0, 0] == 600
        assert xyz(read_picks(path, tomograms=table, format="relion4"))[0, 0] == pytest.approx(81)
    # The file's name alone says nothing: pytom-match-pick calls its lists so too.
    shutil.copy("p.star", "TS_01_particles.star")
    with pytest.raises(InputError, match="could be relion4, relion5-picker"):
        read_picks("TS_01_particles.star", tomograms=table)


@pytest.mark.parametrize("label", ["ptmLCCmax", "rlnLCCmax", "rlnAutopickFigureOfMerit"])
@pytest.mark.parametrize("name", ["relion4", "relion5", "relion3", "pytom", "warp-px"])
def test_13_scores_in_every_dialect(tmp_path: Path, name: str, label: str) -> None:
    place = (
        re.sub(r"Coordinate(.)", r"CenteredCoordinate\1Angst", PLACE) if name[-1] == "5" else PLACE
    )
    pixel = {"pytom": "rlnDetectorPixelSize", "relion4": "rlnTomoTiltSeriesPixelSize"}.get(
        name, "rlnImagePixelSize"
    )
    tomogram = "rlnTomoName" if name in ("relion4", "relion5") else "rlnMicrographName"
    path = star(
        tmp_path, {"particles": (f"{tomogram} {place} {pixel} {label}", ["TS_01 6 5 3 10 0.41"])}
    )
    picks = read_picks(path, format=name, tomograms=TS).picks
    assert picks["slabkitScore"].tolist() == [0.41]
    assert picks["slabkitScoreKind"].tolist() == [label]
    assert label not in picks.columns


# --- what is written ---------------------------------------------------------------------------

OPTICS = "rlnOpticsGroup rlnOpticsGroupName rlnTomoTiltSeriesPixelSize rlnVoltage rlnBeamTiltX"
OPTICS += " rlnImagePixelSize rlnTomoSubtomogramBinning myOwn"
GROUPS = ["3 sessionA 2.5 200 0.11 10 4 a", "7 sessionB 2.5 300 -0.25 10 4 b"]
PARTICLES = f"rlnTomoName {PLACE} rlnOpticsGroup"
ROWS = ["TS_01 100 100 50 7", "TS_01 110 120 60 3", "TS_01 90 100 50 7"]
GENERAL = ("rlnTomoSubTomosAre2DStacks", ["0"])


@pytest.mark.parametrize("through", [None, "native", "csv"])
@pytest.mark.parametrize("to", ["relion4", "relion5"])
def test_06_optics_groups_and_general_survive(tmp_path: Path, to: str, through: str | None) -> None:
    blocks = {"general": GENERAL, "optics": (OPTICS, GROUPS), "particles": (PARTICLES, ROWS)}
    picks = read_picks(star(tmp_path, blocks), tomograms=TS)
    if through:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SlabkitWarning)
            write_picks(tmp_path / "between.any", picks, format=through)
            picks = read_picks(tmp_path / "between.any", format=through, tomograms=TS)
    write_picks(tmp_path / "out.star", picks, format=to)
    out = read_star(tmp_path / "out.star")
    assert list(out) == ["general", "optics", "particles"]
    assert out["general"].to_dict("list") == {"rlnTomoSubTomosAre2DStacks": ["0"]}
    groups = out["optics"].set_index("rlnOpticsGroup")
    for row in GROUPS:
        number, *values = row.split()
        written = groups.loc[number, OPTICS.split()[1:]].tolist()
        assert [text.removesuffix(".0") for text in written] == values
    rows = out["particles"].set_index("slabkitPickId").loc[picks.picks["slabkitPickId"]]
    assert rows["rlnOpticsGroup"].tolist() == ["7", "3", "7"]
    assert not [name for name in rows.columns if "BeamTilt" in name or "Stacks" in name]
    again = read_picks(tmp_path / "out.star", tomograms=TS)
    np.testing.assert_allclose(xyz(again), xyz(picks), atol=1e-6)


def test_06_groups_of_joined_lists_stay_apart(tmp_path: Path) -> None:
    first = star(tmp_path, {"optics": (OPTICS, GROUPS), "particles": (PARTICLES, ROWS)}, "a.star")
    other = [GROUPS[0].replace("0.11", "0.5"), "4 sessionB 2.5 300 0 10 4 b"]
    rows = ["TS_01 10 10 20 3", "TS_01 11 12 20 4"]
    second = star(tmp_path, {"optics": (OPTICS, other), "particles": (PARTICLES, rows)}, "b.star")
    picks = read_picks([first, second], tomograms=TS)
    with pytest.warns(SlabkitWarning, match="optics groups that differ have the same number or"):
        write_picks(tmp_path / "out.star", picks, format="relion4")
    out = read_star(tmp_path / "out.star")
    assert out["optics"]["rlnOpticsGroupName"].is_unique
    assert out["optics"]["rlnOpticsGroup"].is_unique
    tilts = out["optics"].set_index("rlnOpticsGroup")["rlnBeamTiltX"]
    found = tilts.loc[out["particles"]["rlnOpticsGroup"]].tolist()
    assert found == ["-0.25", "0.11", "-0.25", "0.5", "0"]
    # The first list's groups keep their own, whatever they hold.
    first_groups = out["optics"].set_index("rlnBeamTiltX").loc[["0.11", "-0.25"]]
    assert first_groups["rlnOpticsGroup"].tolist() == ["3", "7"]
    assert first_groups["rlnOpticsGroupName"].tolist() == ["sessionA", "sessionB"]


def test_06_images_binned_otherwise_are_no_contradiction(tmp_path: Path) -> None:
    path = star(tmp_path, {"optics": (OPTICS, GROUPS), "particles": (PARTICLES, ROWS)})
    picks = quietly(path, tomograms=TS, binning=2)
    with pytest.warns(SlabkitWarning, match="is not the tilt series' pixel size that is written"):
        write_picks(tmp_path / "out.star", picks, format="relion4", binning=2)
    np.testing.assert_allclose(xyz(read_picks(tmp_path / "out.star")), xyz(picks))


def test_general_of_joined_lists(tmp_path: Path) -> None:
    parts = []
    for number, row in enumerate(ROWS[:2]):
        blocks = {
            "general": (GENERAL[0], [str(number)]),
            "optics": (OPTICS, GROUPS),
            "particles": (PARTICLES, [row]),
        }
        parts.append(star(tmp_path, blocks, f"{number}.star"))
    picks = read_picks(parts, tomograms=TS)
    with pytest.warns(SlabkitWarning, match=r"differ in rlnTomoSubTomosAre2DStacks.*left out"):
        write_picks(tmp_path / "out.star", picks, format="relion5")
    assert "general" not in read_star(tmp_path / "out.star")


def test_doubled_names_of_particles_are_renumbered(tmp_path: Path) -> None:
    columns = (
        f"rlnTomoName {PLACE} rlnTomoTiltSeriesPixelSize rlnTomoParticleName rlnTomoParticleId"
    )
    first = ["TS_01 100 100 50 2.5 TS_01/1 1", "TS_01 110 120 60 2.5 TS_01/2 2"]
    second = ["TS_01 10 10 20 2.5 TS_01/1 1", "TS_01 11 12 20 2.5 TS_01/5 9"]
    paths = [
        star(tmp_path, {"particles": (columns, rows)}, f"{number}.star")
        for number, rows in enumerate((first, second))
    ]
    picks = read_picks(paths, tomograms=TS)
    with pytest.warns(SlabkitWarning) as said:
        write_picks(tmp_path / "out.star", picks, format="relion4")
    messages = " ".join(str(item.message) for item in said)
    assert "1 of 4 particles had the rlnTomoParticleName of another" in messages
    assert "1 of 4 particles had the rlnTomoParticleId of another" in messages
    out = read_star(tmp_path / "out.star")["particles"]
    assert out["rlnTomoParticleName"].tolist() == ["TS_01/1", "TS_01/2", "TS_01/6", "TS_01/5"]
    assert out["rlnTomoParticleId"].tolist() == ["1", "2", "10", "9"]
    former = out["slabkitFormerTomoParticleName"].tolist()
    assert former == ["TS_01/1", "TS_01/2", "TS_01/1", "TS_01/5"]
    assert out["slabkitFormerTomoParticleId"].tolist() == ["1", "2", "1", "9"]


def test_relion_3_1_is_given_a_pixel_size_that_it_knows(tmp_path: Path) -> None:
    picks = pick_list([("TS_01", "", 10.0, 20.0, 30.0)], TS)
    write_picks(tmp_path / "out.star", picks, format="relion4", binning=4)
    optics = read_star(tmp_path / "out.star")["optics"]
    assert optics["rlnMicrographOriginalPixelSize"].tolist() == ["2.5"]


@pytest.mark.parametrize(
    ("optics", "rows", "message"),
    [
        (["1 2.5", "1 3.5"], ["TS_01 1 2 3 1"], "the optics group 1 appears twice"),
        (["1 2.5", "2 3.5"], ["TS_01 1 2 3"], "has 2 optics groups, and rlnOpticsGroup is missing"),
    ],
)
def test_optics_that_do_not_say_whose_they_are(
    tmp_path: Path, optics: list[str], rows: list[str], message: str
) -> None:
    columns = f"rlnTomoName {PLACE}" + (" rlnOpticsGroup" if rows[0].count(" ") == 4 else "")
    blocks = {
        "optics": ("rlnOpticsGroup rlnTomoTiltSeriesPixelSize", optics),
        "particles": (columns, rows),
    }
    with pytest.raises(InputError, match=message):
        read_picks(star(tmp_path, blocks))


# --- docs/formats.md: what becomes of every column ---------------------------------------------

DIALECTS = [
    "relion5",
    "relion4",
    "relion5-picker",
    "relion3",
    "warp-px",
    "warp",
    "pytom",
    "slabpick",
]


def documented() -> list[tuple[str, list[str], list[str]]]:
    """Give each column of the table, all names of its row, and what is said of the dialects."""
    text = (Path(__file__).parent.parent / "docs" / "formats.md").read_text(encoding="utf-8")
    section = text.partition("### Every column of RELION-style files")[2]
    found = []
    for line in section.partition("| column | 2D picks")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != len(DIALECTS) + 1 or not cells[0].startswith("`"):
            continue
        names = re.findall(r"`([^`]+)`", cells[0].partition(" (")[0])
        full = [names[0]]
        for name in names[1:]:  # `rlnOriginX`, `...Y`
            stem = re.sub(r"(XAngst|Rot|X)$", "", names[0])
            full.append(name.replace("...", stem))
        found += [(name, full, cells[1:]) for name in full if not name.startswith("slabkit")]
    return found


def test_every_column_of_the_program_is_documented() -> None:
    from slabkit.formats.programs.shared import relion_star as shared

    names = {name for name, _, _ in documented()}
    every = {*shared.CENTRED, *shared.CORNER, *shared.SHIFTS, *shared.SHIFTS_PX, *shared.PIXELS}
    every |= {*shared.SCORES, *shared.OPTICS_LABELS, *shared.SUBTOMOGRAM_ANGLES}
    every |= {shared.MAGNIFICATION, shared.GROUP, shared.GROUP_NAME, shared.STACKS_2D}
    assert every <= names
    assert len(names) > 80


@pytest.mark.filterwarnings("ignore::slabkit.errors.SlabkitWarning")
@pytest.mark.parametrize("dialect", DIALECTS)
def test_columns_are_used_refused_or_kept_as_documented(tmp_path: Path, dialect: str) -> None:
    centred = re.sub(r"Coordinate(.)", r"CenteredCoordinate\1Angst", PLACE)
    named = dialect in ("relion5", "relion4", "relion5-picker", "slabpick")
    base = dict.fromkeys((centred if dialect == "relion5" else PLACE).split(), "0.5")
    base["rlnTomoName" if named else "rlnMicrographName"] = "TS_01"
    base["rlnDetectorPixelSize" if dialect == "pytom" else "rlnImagePixelSize"] = "10"
    known = {"rlnMagnification": {"rlnDetectorPixelSize": "10", "rlnMagnification": "10000"},
             "rlnOpticsGroup": {"rlnOpticsGroup": "1"},
             "rlnTomoSubtomogramBinning": {"rlnTomoSubtomogramBinning": "1"},
             "rlnParticleName": {"rlnParticleName": "a-1"}}  # fmt: skip
    for label, row, said in documented():
        expected = said[DIALECTS.index(dialect)]
        columns = dict(base)
        for name in row if "Coordinate" in label else [label]:
            columns.setdefault(name, "10" if "PixelSize" in name else "1")
        columns |= known.get(label, {})
        header, values = " ".join(columns), " ".join(columns.values())
        blocks = {"particles": (header, [values])}
        if label == "rlnOpticsGroup":
            blocks = {"optics": (f"{label} rlnBeamTiltX", ["1 0.1"]), **blocks}
        path = star(tmp_path, blocks, f"{dialect}.star")
        if expected == "refused":
            with pytest.raises(InputError, match=f"shifts in pixels \\({label}\\)"):
                read_picks(path, format=dialect, tomograms=TS, check_bounds=False)
            continue
        picks = read_picks(path, format=dialect, tomograms=TS, check_bounds=False).picks
        kept = expected in ("kept", "used, kept")
        assert (label in picks.columns) == kept, (label, expected)
        if label in ("rlnLCCmax", "rlnScore", "rlnAutopickFigureOfMerit"):
            assert picks["slabkitScore"].tolist() == [1], label


# --- what real programs write besides ----------------------------------------------------------

CENTRED = re.sub(r"Coordinate(.)", r"CenteredCoordinate\1Angst", PLACE)
RELION_TS = TS.assign(
    rlnTomoSizeX=[520], rlnTomoSizeY=[480], rlnTomoSizeZ=[240], rlnTomoTiltSeriesPixelSize=[2.5]
)


@pytest.mark.parametrize("size", ["0", "-5", "nan"])
@pytest.mark.parametrize("name", ["relion3", "warp-px", "pytom", "relion4"])
def test_12_unset_pixel_sizes_are_settled_by_binning(tmp_path: Path, name: str, size: str) -> None:
    pixel = "rlnDetectorPixelSize" if name == "pytom" else "rlnImagePixelSize"
    tomogram = "rlnTomoName" if name == "relion4" else "rlnMicrographName"
    path = star(tmp_path, {"": (f"{tomogram} {PLACE} {pixel}", [f"TS_01 60 50 30 {size}"])})
    if size != "nan":
        with pytest.raises(InputError, match=rf"{pixel} is {size}; .* with --binning"):
            read_picks(path, format=name, tomograms=TS)
    assert xyz(read_picks(path, format=name, tomograms=TS, binning=2))[0, 0] == 300


def test_images_of_unknown_binning_say_little_of_the_tilt_series(tmp_path: Path) -> None:
    path = star(tmp_path, {"": (f"rlnTomoName {PLACE} rlnImagePixelSize", ["TS_01 60 50 30 10"])})
    with pytest.warns(SlabkitWarning, match="neither how they are binned nor the tilt series'"):
        assert xyz(read_picks(path, tomograms=TS))[0, 0] == 600
    # copick exports voxels so, of others who knows.
    with pytest.raises(InputError, match=r"has 10 Å pixels here and 2\.5 Å in the table"):
        quietly(path, tomograms=RELION_TS)
    for binning, x in ((1, 600), (4, 150)):
        assert xyz(quietly(path, tomograms=RELION_TS, binning=binning))[0, 0] == x


def test_relion_5_particles_and_the_table_have_one_tilt_series_pixel(tmp_path: Path) -> None:
    columns = f"rlnTomoName {CENTRED} rlnTomoTiltSeriesPixelSize"
    path = star(tmp_path, {"": (columns, ["TS_01 -50 -100 0 5"])})
    with pytest.raises(InputError, match=r"has 5 Å pixels here and 2\.5 Å in the table"):
        read_picks(path, tomograms=RELION_TS)
    for binning in (2, 4):  # what the message names; positions in Å do not depend on it
        np.testing.assert_allclose(
            xyz(quietly(path, tomograms=RELION_TS, binning=binning)), [[600, 500, 300]]
        )
    # pytom-match-pick --relion5-compat has the voxel size there, and the table's centre less one.
    path = star(tmp_path, {"": (columns, ["TS_01 -47.5 -97.5 2.5 10"])})
    for centre, x in (("size/2-1", 600), ("size/2", 602.5)):
        with pytest.warns(SlabkitWarning, match=r"says 10 Å .* 2\.5 Å of the table .*--centre"):
            picks = read_picks(path, tomograms=RELION_TS, centre=centre)  # type: ignore[arg-type]
        assert xyz(picks)[0, 0] == x


def test_some_of_the_centred_coordinates_are_none(tmp_path: Path) -> None:
    columns = f"rlnTomoName {PLACE} rlnTomoTiltSeriesPixelSize rlnCenteredCoordinateYAngst"
    path = star(tmp_path, {"": (columns, ["TS_01 240 200 120 2.5 7"])})
    with pytest.warns(SlabkitWarning, match="also has rlnCenteredCoordinateYAngst without"):
        assert xyz(read_picks(path, tomograms=TS))[0, 1] == 500
    for pixel, y in (("rlnTomoTiltSeriesPixelSize", "210 2.5"), ("rlnImagePixelSize", "52.5 10")):
        columns = f"rlnTomoName {CENTRED} rlnCoordinateY {pixel}"
        path = star(tmp_path, {"": (columns, [f"TS_01 -50 -100 0 {y}"])})
        with pytest.warns(SlabkitWarning, match="differ by up to 25 Å"):
            assert xyz(read_picks(path, tomograms=TS))[0, 1] == 500


def test_lists_of_slabpick_look_like_relions(tmp_path: Path) -> None:
    angles = "rlnScore rlnAngleRot rlnAngleTilt rlnAnglePsi rlnTomoManifoldIndex rlnTomoParticleId"
    columns = f"rlnTomoName {PLACE} {angles}"
    path = star(tmp_path, {"": (columns, ["TS_01 600 500 300 0.4 0 0 0 1 0"])})
    with pytest.raises(InputError, match=r"relion5-picker: 6000, .* slabpick: 600, 500, 300 Å"):
        read_picks(path, tomograms=TS)
    assert xyz(read_picks(path, tomograms=TS, format="slabpick"))[0, 0] == 600


def test_a_list_of_lists_says_so(tmp_path: Path) -> None:
    columns = "rlnTomoName rlnTomoImportParticleFile"
    path = star(tmp_path, {"": (columns, ["TS_01 TS_01_particles.star"])})
    with pytest.raises(InputError, match="is a list of pick files"):
        read_picks(path)


def test_19_what_the_picker_writes_is_read_aloud(tmp_path: Path, slabkit: Run) -> None:
    star(tmp_path, {"": (f"rlnTomoName {PLACE} rlnSphereRadius", ["TS_01 60 50 30 8"])})
    with pytest.warns(SlabkitWarning, match="which its rlnSphereRadius says it is"):
        assert xyz(read_picks(tmp_path / "p.star", tomograms=TS))[0, 0] == 600
    folder = tmp_path / "Picks" / "job007" / "annotations"
    columns = f"rlnTomoName rlnTomoManifoldIndex {PLACE}"
    path = star(folder, {"": (columns, ["TS_01 0 60 50 30"])}, "TS_01_filaments.star")
    with pytest.warns(SlabkitWarning, match="its folder and name say it is"):
        assert xyz(read_picks(path, tomograms=TS))[0, 0] == 600
    # Early versions named the tomogram in the file's name alone.
    path = star(folder, {"": (PLACE, ["60 50 30"])}, "TS_01_particles.star")
    with pytest.warns(SlabkitWarning, match="its folder and name say it is"):
        picks = read_picks(path, tomograms=TS)
    assert picks.picks["slabkitTomogram"].tolist() == ["TS_01"]
    # Commands without --from say where it is.
    star(tmp_path, {"": (f"rlnTomoName {PLACE}", ["TS_01 60 50 30"])})
    for words in (("merge", "p.star", "-o", "m.star", "--distance", 10), ("stats", "p.star")):
        done = slabkit(*words, code=2)
        assert "say which with --from" in done.stderr
        assert "These are options of slabkit convert" in done.stderr
