"""CryoSPARC's files, and labels from them: exact ids from any part of its outputs, in any order."""

from __future__ import annotations

import numpy as np
import pytest
from cryosparc_files import (
    LAYOUT,
    classes2d,
    imported,
    minislabs,
    place_fields,
    random_uids,
    stack_fields,
    write,
    write_dataset,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from slabkit.errors import FormatError, InputError, MissingDependencyError, SlabkitError
from slabkit.errors import SlabkitWarning as Warned
from slabkit.formats.describe import describe_file
from slabkit.formats.programs.cryosparc.dataset import (
    group_files,
    group_text,
    groups_beside,
    parse_dataset,
    plain_name,
    read_dataset,
    unique_ids,
)
from slabkit.formats.programs.cryosparc.results import minislab_uids
from slabkit.formats.results import read_results
from slabkit.labels import label_minislabs

RNG = np.random.default_rng(5)


def decided(paths, table, layout=LAYOUT, **options):
    """Label as the command does; give decisions by pick id, and the report."""
    said = options.get("y_axis")
    read = read_results([str(path) for path in paths], table, layout, said)
    by_value = "classes" in options or "threshold" in options
    options.setdefault("unlisted", read.unlisted(by_value))
    labels, report = label_minislabs(read.table, table, layout, **options)
    pairs = zip(labels["slabkitPickId"], labels["slabkitDecision"], strict=True)
    return dict(pairs), report


def accepted(paths, table, **options):
    found, _ = decided(paths, table, **options)
    return {name for name, decision in found.items() if decision == "accepted"}


def ids_of(table, rows):
    return set(table["slabkitPickId"].to_numpy()[rows])


# ---- datasets -------------------------------------------------------------------------------


def test_what_is_written_is_read_back(tmp_path):
    columns = {
        "uid": random_uids(3),
        "blob/path": np.array(["a.mrcs", "größer.mrcs", ""], dtype=object),
        "blob/shape": np.array([[4, 5], [6, 7], [8, 9]], dtype=np.uint32),
        "location/center_x_frac": np.array([0.25, 0.5, 1 / 3], dtype=np.float32),
    }
    write_dataset(tmp_path / "a.cs", columns)
    read = read_dataset(tmp_path / "a.cs")
    assert list(read) == list(columns)
    for name, values in columns.items():
        assert read[name].dtype == values.dtype
        assert read[name].tolist() == values.tolist()
    first = (tmp_path / "a.cs").read_bytes()
    write_dataset(tmp_path / "b.cs", columns)
    assert (tmp_path / "b.cs").read_bytes() == first
    # and NumPy reads it without help
    assert np.load(tmp_path / "a.cs", allow_pickle=False)["uid"].tolist() == read["uid"].tolist()


def test_an_empty_dataset(tmp_path):
    write_dataset(
        tmp_path / "a.cs", {"uid": np.zeros(0, np.uint64), "blob/path": np.array([], dtype=object)}
    )
    read = read_dataset(tmp_path / "a.cs")
    assert read["uid"].dtype == np.uint64
    assert [len(values) for values in read.values()] == [0, 0]


def test_headers_longer_than_numpy_likes(tmp_path):
    columns = {f"alignments_class_{n}/class_posterior": np.ones(2, np.float32) for n in range(900)}
    write_dataset(tmp_path / "wide.cs", {"uid": random_uids(2), **columns})
    with pytest.raises(ValueError, match="max_header_size"):
        np.load(tmp_path / "wide.cs")
    assert len(read_dataset(tmp_path / "wide.cs")) == 901


def test_big_endian_numbers_are_read(tmp_path):
    records = np.array([(1, 0.5)], dtype=[("uid", ">u8"), ("x", ">f4")])
    np.save(tmp_path / "a.npy", records)
    read = read_dataset(tmp_path / "a.npy")
    assert (read["uid"].tolist(), read["x"].tolist()) == ([1], [0.5])
    assert read["x"].dtype.isnative


def test_python_objects_are_never_loaded(tmp_path):
    path = tmp_path / "objects.cs"
    records = np.empty(1, dtype=[("uid", "<u8"), ("blob/path", "O")])
    records["blob/path"] = [print]
    with path.open("wb") as file:
        np.save(file, records, allow_pickle=True)
    with pytest.raises(FormatError, match=r"objects.cs: holds Python objects.*could run code"):
        read_dataset(path)


def test_files_that_are_no_datasets(tmp_path):
    good = write(tmp_path / "a.cs", random_uids(4), classes2d([0, 1, 2, 3])).read_bytes()
    plain = tmp_path / "plain.cs"
    with plain.open("wb") as file:
        np.save(file, np.zeros(3))
    for data, message in (
        (b"", "not a CryoSPARC dataset"),
        (b"data_particles\n", "begins with b'data_p'"),
        (good[:-1], r"cut short: 4 rows of 24 bytes are promised, 95 bytes"),
        (good[:40], "header cannot be read"),
        (good[:7], "header cannot be read"),
        (good.replace(b"'<u8'", b"'<q9'"), "header cannot be read"),
        (good.replace(b"(4,)", b"(-4,)"), "header cannot be read"),
        (good.replace(b"(4,)", b"(2,2)"), "header cannot be read"),
        (plain.read_bytes(), "plain array without fields"),
    ):
        with pytest.raises(FormatError, match=message):
            parse_dataset(data, "x.cs")
    with pytest.raises(InputError, match=r"nowhere.cs: cannot be read"):
        read_dataset(tmp_path / "nowhere.cs")
    bad = np.array([(b"\xff\xfe",)], dtype=[("blob/path", "S2")])
    np.save(tmp_path / "latin.npy", bad)
    with pytest.raises(FormatError, match="blob/path holds text that is not UTF-8"):
        read_dataset(tmp_path / "latin.npy")


def test_the_compressed_form_names_the_package(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "cryosparc.dataset", None)
    with pytest.raises(MissingDependencyError, match=r"slabkit-cryoet\[cryosparc\]"):
        parse_dataset(b"\x95CSDAT\x00\x00", "stream.cs")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_bytes_give_an_error_or_a_dataset(data):
    whole = bytearray(_bytes_of_a_dataset())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, min(len(whole), 300) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    for content in (bytes(whole), bytes(whole[:cut])):
        try:
            columns = parse_dataset(content, "damaged.cs")
        except SlabkitError:
            continue
        assert len({len(values) for values in columns.values()}) <= 1


def _bytes_of_a_dataset():
    import io

    file = io.BytesIO()
    records = np.zeros(5, dtype=[("uid", "<u8"), ("blob/path", "S9"), ("blob/shape", "<u4", (2,))])
    np.save(file, records)
    return file.getvalue()


# ---- result groups --------------------------------------------------------------------------


def test_groups_name_their_datasets(tmp_path):
    options = {"kind": "particle", "name": "picks", "title": "It's", "description": "x: y # z"}
    slots = ("location", "blob")
    text = group_text(**options, slots=slots, metafile="a b.cs", rows=7)
    (tmp_path / "a.csg").write_text(text)
    assert "  title: 'It''s'\n" in text
    assert "  blob:\n    metafile: '>a b.cs'\n    num_items: 7\n    type: particle.blob\n" in text
    assert group_files(tmp_path / "a.csg") == [tmp_path / "a b.cs"]
    (tmp_path / "bad.csg").write_text("group: {}\n")
    with pytest.raises(FormatError, match="names no metafile"):
        group_files(tmp_path / "bad.csg")
    (tmp_path / "binary.csg").write_bytes(b"\xff\x00")
    with pytest.raises(FormatError, match="not a text file"):
        group_files(tmp_path / "binary.csg")
    assert groups_beside(tmp_path / "a b.cs") == []


@pytest.mark.parametrize(
    "value",
    [
        "",
        "null",
        "~",
        "5",
        "-1.5e3",
        "true",
        "[a.cs]",
        "[]",
        "{a: b}",
        "''",
        "|",
        "&x a",
        "*x",
        "!!a",
    ],
)
def test_a_group_whose_metafile_is_no_text_is_refused(tmp_path, value):
    path = tmp_path / "a.csg"
    rest = "results:\n  blob:\n    metafile: '>b.cs'\n  x:\n    metafile: {}\n    num_items: 3\n"
    path.write_text(rest.format(value))
    with pytest.raises(FormatError, match="metafile must be a name in quotes"):
        group_files(path)
    with pytest.raises(InputError, match="metafile must be a name in quotes"):
        read_results([path], minislabs(3), LAYOUT)
    assert groups_beside(tmp_path / "b.cs") == []
    for text, name in (("'>It''s.cs'", "It's.cs"), ('">a b.cs"', "a b.cs"), (">5a.cs", "5a.cs")):
        path.write_text(rest.format(text))
        assert group_files(path) == [tmp_path / "b.cs", tmp_path / name]


@pytest.mark.parametrize("wrong", ["null", "5", "text", "[]", "[1, 2]", "{}", "{a: [b]}", "true"])
def test_wrong_yaml_types_anywhere_else_in_a_group_change_nothing(tmp_path, wrong):
    """Of a group only the names of its datasets are used."""
    text = group_text(
        kind="particle",
        name="p",
        title="t",
        description="d",
        slots=("blob",),
        metafile="b.cs",
        rows=3,
    )
    table, uids = minislabs(3), random_uids(3)
    write(tmp_path / "b.cs", uids, place_fields(table, np.arange(3)))
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if "metafile" in line:
            continue
        key = line.partition(":")[0]
        below = len(line) - len(line.lstrip())
        nested = [
            n for n in range(number + 1, len(lines)) if lines[n].startswith(" " * (below + 1))
        ]
        holds = any("metafile" in lines[n] for n in nested) and not line.split(":")[1].strip()
        changed = [f"{key}: {wrong}" if n == number else one for n, one in enumerate(lines)]
        if holds:  # what is below it is gone
            changed = [one for one in changed if "metafile" not in one]
        path = tmp_path / "a.csg"
        path.write_text("\n".join(changed) + "\n")
        if holds:
            with pytest.raises(FormatError, match="names no metafile"):
                read_results([path], table, LAYOUT, "down")
        else:
            assert len(read_results([path], table, LAYOUT, "down").table) == 3
            describe_file(path)


def test_names_and_ids():
    number = "000123456789012345678"
    assert plain_name(f"J1/imported/{number}_a_b.mrc") == "a_b.mrc"
    assert plain_name(">J1/imported/x.mrc") == "x.mrc"
    assert plain_name("12_x.mrc") == "12_x.mrc"  # not 21 digits: part of the name
    ids = unique_ids(["a", "b"])
    assert ids.dtype == np.uint64
    assert unique_ids(["b", "a"]).tolist() == ids.tolist()[::-1]
    with pytest.raises(InputError, match="are the same"):
        unique_ids(["a", "a"])


# ---- which minislab a particle is -----------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_stack_route(tmp_path, seed):
    table = minislabs(31)  # 12, 12 and 7
    rows = np.random.default_rng(seed).permutation(31)[:17]
    path = write(tmp_path / "particles.cs", random_uids(17), stack_fields(table, rows))
    found, report = decided([path], table)
    assert {k for k, v in found.items() if v == "accepted"} == ids_of(table, rows)
    assert {k for k, v in found.items() if v == "rejected"} == set(table["slabkitPickId"]) - ids_of(
        table, rows
    )
    assert report.joined_by == "image name"


def test_our_own_ids_are_known_again(tmp_path):
    table = minislabs(16, tilts=(-20.0, 20.0))
    rows = RNG.permutation(32)[:9]
    # The images are CryoSPARC's own by now, and there is no place: only the id is left.
    blob = {"blob/path": np.array(["J8/restack/batch_0.mrc"] * 9, dtype=object)}
    path = write(
        tmp_path / "p.cs", minislab_uids(table)[rows], blob | {"blob/idx": np.arange(9, dtype="u4")}
    )
    read = read_results([path], table, LAYOUT)
    assert read.table["slabkitPickId"].tolist() == table["slabkitPickId"].iloc[rows].tolist()
    assert read.table["slabkitTilt"].tolist() == table["slabkitTilt"].iloc[rows].tolist()
    assert read.unlisted() == "undecided"  # CryoSPARC may have lost some at an edge
    _, report = decided([path], table, views="any")
    assert (report.joined_by, report.matched, report.doubly_hit) == ("pick id", 9, 0)


def test_another_set_of_galleries_has_other_ids():
    first, second = minislab_uids(minislabs(5)), minislab_uids(minislabs(5, prefix="q"))
    assert not set(first.tolist()) & set(second.tolist())
    assert minislab_uids(minislabs(5)).tolist() == first.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_gallery_route_with_passthrough(tmp_path, seed):
    table = minislabs(31)
    rng = np.random.default_rng(seed)
    rows = rng.permutation(31)[:15]
    uids = random_uids(15, seed)
    order = rng.permutation(15)
    extracted = {
        "blob/path": np.array(["J3/extract/00012_minislabs_000_particles.mrc"] * 15, dtype=object),
        "blob/idx": np.arange(15, dtype=np.uint32),
    }
    job = write(tmp_path / "J5_particles_selected.cs", uids, classes2d(range(15)), extracted)
    passed = write(
        tmp_path / "J5_passthrough_particles_selected.cs",
        uids[order],
        place_fields(table, rows[order], off=(2.2, -3.1)),
    )
    before = job.read_bytes(), passed.read_bytes()
    for paths in ([job, passed], [passed, job]):
        found, report = decided(paths, table, y_axis="down")
        assert found == dict.fromkeys(ids_of(table, rows), "accepted")
        assert (report.joined_by, report.undecided) == ("nearest tile", 16)
    read = read_results([job, passed], table, LAYOUT)
    assert read.table["slabkitClass"].tolist() == [str(n) for n in range(15)]
    assert (job.read_bytes(), passed.read_bytes()) == before
    with pytest.raises(
        InputError,
        match=r"J5_particles_selected.cs: lacks location/micrograph_path.*it has uid, "
        r"alignments2D/class.*passthrough_",
    ):
        read_results([write(tmp_path / "alone" / job.name, uids, classes2d(range(15)))], table)


def test_a_group_brings_the_passthrough_file(tmp_path):
    table = minislabs(14)
    rows, uids = np.array([13, 2, 7]), random_uids(3)
    write(tmp_path / "particles_selected.cs", uids, classes2d([4, 4, 9]))
    write(
        tmp_path / "J5_passthrough_particles_selected.cs",
        uids[::-1],
        place_fields(table, rows[::-1]),
    )
    (tmp_path / "J5_particles_selected.csg").write_text(
        "created: 2020-01-01\ngroup:\n  type: particle\nresults:\n"
        "  alignments2D:\n    metafile: '>particles_selected.cs'\n    num_items: 3\n"
        "  location:\n    metafile: '>J5_passthrough_particles_selected.cs'\n    num_items: 3\n"
    )
    for name in ("J5_particles_selected.csg", "particles_selected.cs"):
        assert accepted([tmp_path / name], table, y_axis="down") == ids_of(table, rows)
        read = read_results([tmp_path / name], table, LAYOUT)
        assert tmp_path / "J5_passthrough_particles_selected.cs" in read.files
    assert accepted([tmp_path / name], table, y_axis="down", classes="9") == {"p00007"}


def test_the_import_says_what_a_restacked_particle_was(tmp_path):
    table = minislabs(14)
    uids = random_uids(14)
    everything = write(tmp_path / "imported_particles.cs", uids, stack_fields(table, np.arange(14)))
    chosen = np.array([9, 0, 13])
    selected = write(tmp_path / "particles_selected.cs", uids[chosen], classes2d([1, 1, 2]))
    for paths in ([everything, selected], [selected, everything]):
        assert accepted(paths, table) == ids_of(table, chosen)


def test_excluded_particles_are_rejected(tmp_path):
    table = minislabs(20)
    order = RNG.permutation(20)
    good, bad = order[:8], order[8:15]
    uids = random_uids(15)
    one = write(tmp_path / "particles_selected.cs", uids[:8], place_fields(table, good))
    two = write(tmp_path / "particles_excluded.cs", uids[8:], place_fields(table, bad))
    found, report = decided([one, two], table, y_axis="down")
    assert found == dict.fromkeys(ids_of(table, good), "accepted") | dict.fromkeys(
        ids_of(table, bad), "rejected"
    )
    assert report.undecided == 5


def test_tiles_left_empty_and_hit_twice(tmp_path):
    table = minislabs(14)  # gallery 1 has two tiles
    full = minislabs(24)
    rows = np.array([13, 13, 3, 20, 12])  # 20 is an empty tile
    scores = {"pick_stats/ncc_score": np.array([0.2, 0.9, 0.5, 0.7, 0.1], dtype=np.float32)}
    path = write(tmp_path / "picked.cs", random_uids(5), place_fields(full, rows), scores)
    with pytest.warns(Warned, match="1 rows lie on empty tiles"):
        found, report = decided([path], table, threshold=0.3, y_axis="down")
    assert found == {"p00003": "accepted", "p00012": "rejected", "p00013": "accepted"}
    assert (report.filler, report.doubly_hit, report.undecided) == (1, 1, 11)
    read = read_results([path], table, LAYOUT)
    assert set(read.table["slabkitScoreKind"]) == {"cryosparc-pick"}


# ---- which way y counts ---------------------------------------------------------------------


def test_empty_tiles_tell_which_way_y_counts(tmp_path):
    table = minislabs(16)  # gallery 1: one row of three
    rows = np.arange(12, 16)
    down = write(tmp_path / "down.cs", random_uids(4), place_fields(table, rows))
    up = write(tmp_path / "up.cs", random_uids(4), place_fields(table, rows, up=True))
    assert accepted([down], table) == ids_of(table, rows)
    assert accepted([up], table, y_axis="up") == ids_of(table, rows)
    with pytest.raises(InputError, match=r"4 places lie on empty tiles .* give --y-axis up"):
        decided([up], table)
    with pytest.raises(InputError, match=r"contradicts --y-axis up; give --y-axis down"):
        decided([down], table, y_axis="up")


def test_places_that_slabkit_wrote_tell_nothing_of_y(tmp_path):
    table = minislabs(16)
    rows = np.array([15, 2, 13])
    path = write(tmp_path / "a.cs", random_uids(3), place_fields(table, rows, off=(0, 0)))
    with pytest.warns(Warned, match=r"a.cs: the places are exactly those of tiles.*--y-axis down"):
        found, _ = decided([path], table)
    assert set(found) == ids_of(table, rows)
    assert accepted([path], table, y_axis="down") == ids_of(table, rows)


def test_full_galleries_tell_nothing_and_that_is_said(tmp_path):
    table = minislabs(24)
    path = write(tmp_path / "a.cs", random_uids(3), place_fields(table, np.array([0, 5, 23])))
    with pytest.warns(Warned, match="no empty tile of a gallery tells which way y counts"):
        found, report = decided([path], table)
    assert (set(found), report.y_axis) == ({"p00000", "p00005", "p00023"}, "down")


# ---- classes --------------------------------------------------------------------------------


def test_classes_of_2d_count_from_0(tmp_path):
    table = minislabs(12)
    numbers = np.arange(12) % 5
    path = write(
        tmp_path / "J4_020_particles.cs",
        random_uids(12),
        stack_fields(table, np.arange(12)),
        classes2d(numbers),
    )
    found, _ = decided([path], table, classes="0,3-4")
    assert {k for k, v in found.items() if v == "accepted"} == ids_of(
        table, np.isin(numbers, (0, 3, 4))
    )
    assert set(found.values()) == {"accepted", "rejected"}
    with pytest.raises(InputError, match=r"no class 5 .* classes 0-4 .*CryoSPARC from 0"):
        decided([path], table, classes="5")


def two_classes(count, seed=0):
    """Which of two reconstructions each particle belongs to, and how surely."""
    sure = np.random.default_rng(seed).random(count).astype(np.float32)
    return (sure < 0.5).astype(int), np.stack([sure, 1 - sure], axis=1)


@pytest.mark.parametrize("form", ["files", "files all 0", "slots", "multi"])
def test_two_class_reconstructions(tmp_path, form):
    table = minislabs(31)
    order = RNG.permutation(31)
    number, sure = two_classes(31)
    uids = random_uids(31)
    blob = stack_fields(table, order)
    paths = []
    if form.startswith("files"):
        for one in (0, 1):
            own = number == one
            slots = {
                "alignments3D/class": np.full(own.sum(), 0 if "0" in form else one, np.uint32),
                "alignments3D/class_posterior": sure[own, one],
            }
            path = tmp_path / f"J7_class_{one:02d}_final_particles.cs"
            paths.append(write(path, uids[own], slots))
        # what was passed through holds the stacks, and the classes of an earlier 2D classification
        passed = tmp_path / "J7_passthrough_particles_all_classes.cs"
        paths.append(write(passed, uids, blob, classes2d(np.zeros(31))))
    else:
        slots = {f"alignments_class_{n}/class_posterior": sure[:, n] for n in (0, 1)}
        if form == "multi":
            slots = {"alignments3D_multi/class_posterior": sure}
        paths.append(write(tmp_path / "J7_particles_all_classes.cs", uids, slots, blob))
    for one in (0, 1):
        assert accepted(paths, table, classes=str(one)) == ids_of(table, order[number == one])
    read = read_results(paths, table, LAYOUT)
    by_id = dict(zip(read.table["rlnImageName"], read.table["slabkitScore"], strict=True))
    expected = sure[np.arange(31), number]
    for row, score in zip(order, expected, strict=True):
        assert by_id[table["rlnImageName"].iloc[row]] == pytest.approx(score)
    assert set(read.table["slabkitScoreKind"]) == {"cryosparc-posterior"}


def test_many_classes_are_numbered_not_sorted_as_text(tmp_path):
    table = minislabs(12)
    slots = {
        f"alignments_class_{n}/class_posterior": (np.arange(12) == n).astype(np.float32)
        for n in (10, 2, 11, 0, 1, 3, 4, 5, 6, 7, 8, 9)
    }
    path = write(tmp_path / "a.cs", random_uids(12), slots, stack_fields(table, np.arange(12)))
    read = read_results([path], table, LAYOUT)
    assert read.table["slabkitClass"].tolist() == [str(n) for n in range(12)]


# ---- what is refused ------------------------------------------------------------------------


def test_files_that_do_not_belong_together(tmp_path):
    table = minislabs(24)
    uids = random_uids(10)
    one = write(tmp_path / "a.cs", uids[:6], stack_fields(table, np.arange(6)))
    two = write(tmp_path / "b.cs", uids[3:], stack_fields(table, np.arange(7)))
    with pytest.raises(InputError, match=r"a.cs and .*b.cs share 3 particles, and each has others"):
        read_results([one, two], table, LAYOUT)
    other = write(tmp_path / "passthrough_x.cs", random_uids(6, 9), classes2d(range(6)))
    with pytest.raises(InputError, match=r"passthrough_x.cs: has none of the particles"):
        read_results([one, other], table, LAYOUT)
    part = write(tmp_path / "passthrough_y.cs", uids[:4], classes2d(range(4)))
    with pytest.raises(InputError, match=r"share 4 of 6 particles; are they of one job"):
        read_results([one, part], table, LAYOUT)
    write_dataset(tmp_path / "nouid.cs", classes2d(range(6)))
    with pytest.raises(InputError, match=r"nouid.cs: has no uid"):
        read_results([one, tmp_path / "nouid.cs"], table, LAYOUT)
    twice = write(tmp_path / "twice.cs", np.repeat(uids[:3], 2), classes2d(range(6)))
    with pytest.raises(InputError, match=r"twice.cs: two rows have the same uid"):
        read_results([one, twice], table, LAYOUT)
    (tmp_path / "x.csv").write_text("pick_id,decision\np00000,yes\n")
    with pytest.raises(InputError, match=r"several kinds: .*\(csv\).*\(cryosparc\)"):
        read_results([tmp_path / "x.csv", one], table, LAYOUT)


def test_micrographs_of_another_shape(tmp_path):
    table = minislabs(14)
    fields = place_fields(table, np.arange(3))
    fields["location/micrograph_shape"] = fields["location/micrograph_shape"][:, ::-1]
    path = write(tmp_path / "a.cs", random_uids(3), fields)
    with pytest.raises(
        InputError, match=r"94 × 74 pixels \(y, x\), but .* 74 × 94 \(rows and columns exchanged\)"
    ):
        read_results([path], table, LAYOUT)
    fields = place_fields(table, np.arange(3))
    fields["location/center_y_frac"][1] = np.nan
    path = write(tmp_path / "b.cs", random_uids(3), fields)
    with pytest.raises(InputError, match=r"center_y_frac is nan in row 2"):
        read_results([path], table, LAYOUT)


def test_a_foreign_stack_belongs_to_nothing(tmp_path):
    table = minislabs(14)
    blob = stack_fields(table, np.arange(3))
    blob["blob/path"] = np.array([imported("other_000.mrcs")] * 3, dtype=object)
    path = write(tmp_path / "a.cs", random_uids(3), blob)
    with pytest.raises(InputError, match=r"a.cs: lacks location/micrograph_path"):
        read_results([path], table, LAYOUT)


KINDS = ["<u8", "<f4", "S5", "<i2", "?", "<c8", "<M8[s]", "<f4,<f4"]
FIELD = st.sampled_from(
    [
        "uid",
        "blob/path",
        "blob/idx",
        "location/micrograph_path",
        "location/micrograph_shape",
        "location/center_x_frac",
        "location/center_y_frac",
        "alignments2D/class",
        "alignments3D/class_posterior",
        "alignments_class_0/class_posterior",
        "alignments_class_1/class_posterior",
        "alignments3D_multi/class_posterior",
        "pick_stats/ncc_score",
    ]
)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(FIELD, st.tuples(st.sampled_from(KINDS), st.sampled_from([(), (2,), (0,)]))),
    st.integers(0, 3),
)
@pytest.mark.filterwarnings("ignore::slabkit.errors.SlabkitWarning")
def test_fields_of_any_type_give_an_error_or_labels(tmp_path_factory, fields, rows):
    path = tmp_path_factory.mktemp("fuzz") / "a.cs"
    dtype = [(name, kind, shape) for name, (kind, shape) in fields.items()]
    with path.open("wb") as file:
        np.save(file, np.zeros(rows, dtype=dtype))
    table = minislabs(14)
    try:
        read = read_results([path], table, LAYOUT)
        label_minislabs(read.table, table, LAYOUT)
    except SlabkitError:
        return
    assert len(read.table) == rows


def test_alignment_shifts_are_not_read_and_recentring_is_refused(tmp_path):
    from slabkit.curation import curate_picks
    from slabkit.tables import PICKS, make_table

    table = minislabs(5)
    columns = {"uid": random_uids(5), **stack_fields(table, np.arange(5))}
    for slot in ("alignments2D", "alignments3D"):
        columns[f"{slot}/shift"] = np.full((5, 2), 3, dtype=np.float32)
        columns[f"{slot}/psize_A"] = np.full(5, 10, dtype=np.float32)
    write_dataset(tmp_path / "selected.cs", columns)
    read = read_results([tmp_path / "selected.cs"], table, LAYOUT)
    assert not {"slabkitShiftX", "slabkitShiftY"} & set(read.table.columns)
    with pytest.warns(Warned, match="EVERYTHING IS ACCEPTED"):
        labels, report = label_minislabs(read.table, table, LAYOUT)
    assert (report.accepted, report.placed) == (5, 0)
    picks = {"slabkitPickId": table["slabkitPickId"], "slabkitTomogram": table["slabkitTomogram"]}
    picks |= {f"slabkit{axis}": 10.0 for axis in "XYZ"}
    with pytest.raises(
        InputError, match="those of CryoSPARC's alignments are not read, their axes"
    ):
        curate_picks(make_table(PICKS, picks), [labels], recentre=True)
