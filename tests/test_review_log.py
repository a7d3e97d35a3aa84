"""The log of a review: appended to, durable, and what follows from it."""

from __future__ import annotations

import itertools
import sqlite3

import numpy as np
import pandas as pd
import pytest

import slabkit as slabkit_api
from slabkit.curation import curate_picks
from slabkit.errors import FormatError, InputError, SlabkitWarning
from slabkit.formats import review_log
from slabkit.formats.review_log import ReviewLog, read_log
from slabkit.formats.tables.native import (
    PickList,
    read_labels,
    read_native_picks,
    write_minislabs,
    write_picks,
)
from slabkit.minislabs.galleries import GalleryLayout, geometry_table, minislab_table
from slabkit.tables import PICKS, make_table, recorded_labels
from slabkit.tables.events import Event, event_additions, event_labels

IDS = [f"t1-{number:012x}" for number in range(6)]
ABOUT = {"gallery set": "set-0123456789abcdef"}
TOMOGRAM = {"slabkitTomogram": "t1", "slabkitVoxelSize": 10.0}


class Clicks:
    """Events as a page sends them, a second apart."""

    def __init__(self):
        self.events = []
        self.number = itertools.count(1)

    def add(self, kind, who="ann", round_name="r1", **body):
        number = next(self.number)
        time = f"2026-11-27T10:00:{number:02d}.000Z"
        self.events.append(Event(f"k{number}", time, who, round_name, kind, body))
        return f"k{number}"

    def decide(self, picks, decision="accepted", who="ann", by="hand", **more):
        ids = [IDS[pick] for pick in picks]
        return self.add("decide", who, picks=ids, decision=decision, by=by, **more)

    def said(self):
        table = event_labels(self.events)
        names = ("slabkitPickId", "slabkitAuthor", "slabkitDecision", "slabkitSource")
        rows = zip(*(table[name] for name in names), strict=True)
        return {(IDS.index(pick), who): (word, source) for pick, who, word, source in rows}


def test_the_last_decision_counts_and_taking_back_restores_the_one_before():
    clicks = Clicks()
    first = clicks.decide([0, 1])
    second = clicks.decide([1], "rejected")
    clicks.decide([0], "undecided", who="ben")
    ann = {(0, "ann"): ("accepted", "review"), (0, "ben"): ("undecided", "review")}
    assert clicks.said() == {**ann, (1, "ann"): ("rejected", "review")}
    clicks.add("undo", of=second)
    assert clicks.said() == {**ann, (1, "ann"): ("accepted", "review")}
    clicks.add("undo", who="ben", of=first)  # not his
    assert clicks.said() == {**ann, (1, "ann"): ("accepted", "review")}
    clicks.add("redo", of=second)
    clicks.add("redo", of=second)
    assert clicks.said() == {**ann, (1, "ann"): ("rejected", "review")}
    clicks.add("undo", of=second)
    clicks.add("undo", of=first)
    assert clicks.said() == {(0, "ben"): ("undecided", "review")}


def test_hand_decisions_stand_against_those_on_a_class():
    clicks = Clicks()
    clicks.decide([2], "rejected")
    whole = clicks.decide([0, 1, 2, 3], by="class", **{"class": "7"})
    clicks.decide([3], "rejected")
    clicks.decide([1, 4], by="threshold", decision="rejected")
    assert clicks.said() == {
        (0, "ann"): ("accepted", "review-class"),
        (1, "ann"): ("rejected", "review-threshold"),
        (2, "ann"): ("rejected", "review"),
        (3, "ann"): ("rejected", "review"),
        (4, "ann"): ("rejected", "review-threshold"),
    }
    table = event_labels(clicks.events).set_index("slabkitPickId")
    assert table.loc[IDS[0], "slabkitClass"] == "7"
    clicks.add("undo", of=whole)
    assert (0, "ann") not in clicks.said()


def test_a_change_of_mind_is_remembered_by_the_ledger():
    picks = make_table(
        PICKS,
        {"slabkitPickId": IDS, "slabkitTomogram": "t1"}
        | {f"slabkit{axis}": np.arange(6.0) * 100 for axis in "XYZ"},
    )
    clicks = Clicks()
    for decision in ("accepted", "rejected", "accepted"):
        clicks.decide([0], decision)
        labels = event_labels(clicks.events)
        picks = curate_picks(picks, [labels], keep="all").kept
    times = recorded_labels(picks)["slabkitTime"].tolist()
    assert times == [f"2026-11-27T10:00:0{second}.000Z" for second in (1, 2, 3)]
    with pytest.warns(SlabkitWarning, match="contradict"):
        again = curate_picks(picks, [], keep="all", recorded=True).kept
    assert again["slabkitDecision"].tolist() == ["accepted"] + ["undecided"] * 5


def test_a_log_is_appended_to_and_each_key_counts_once(tmp_path):
    path = tmp_path / "reviews.sqlite"
    clicks = Clicks()
    clicks.decide([0, 1], species="5'UTR \U0001f9ec")
    clicks.decide([1], "rejected")
    with ReviewLog(path, ABOUT) as log:
        assert log.append(clicks.events) == 2
        assert log.append(clicks.events) == 0
        assert read_log(path)[1] == clicks.events  # while it is open
    assert [one.name for one in tmp_path.iterdir()] == ["reviews.sqlite"]
    with ReviewLog(path, ABOUT) as log:
        assert list(log.events()) == clicks.events
    for statement in ("DELETE FROM events", "UPDATE events SET reviewer = 'eve'"):
        with sqlite3.connect(path) as database, pytest.raises(sqlite3.Error, match="append only"):
            database.execute(statement)
    with pytest.raises(InputError, match="is of other minislabs"):
        ReviewLog(path, {"gallery set": "set-1"})


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("CREATE TABLE other (x)", "no log of slabkit review"),
        ("INSERT INTO events VALUES (9, 'k', 't', 'a', 'r', 'decide', '[1]')", "k .*damaged"),
        ("INSERT INTO events VALUES (9, 'k', 't', 'a', 'r', 'fly', '{}')", "k .*damaged"),
        ("INSERT INTO events VALUES (9, 'k', 't', 'a', 'r', 'move', '{}')", "k .*damaged"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path, script, message):
    path = tmp_path / "reviews.sqlite"
    if "events" in script:
        ReviewLog(path, ABOUT).close()
    with sqlite3.connect(path) as database:
        database.execute(script)
    with pytest.raises(FormatError, match=message):
        read_log(path)


def test_a_file_system_of_several_machines_is_refused(tmp_path, monkeypatch):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nserver:/x {tmp_path.resolve()} nfs4 rw 0 0\n")
    monkeypatch.setattr(review_log, "_MOUNTS", mounts)
    with pytest.raises(InputError, match=r"nfs4.*local disk"):
        ReviewLog(tmp_path / "reviews.sqlite", ABOUT)
    assert not (tmp_path / "reviews.sqlite").exists()


@pytest.fixture
def reviewed(tmp_path):
    """Six picks, their minislabs, and a log with decisions, an addition and a move."""
    layout = GalleryLayout(8, 2, 3)
    centres = np.arange(18.0).reshape(6, 3) * 50
    table = minislab_table(
        layout,
        galleries=["minislabs_012345_000.mrc"],
        pick_ids=IDS,
        tomograms=["t1"] * 6,
        tilts=np.zeros(6),
        inside_fraction=np.ones(6),
        set_id=ABOUT["gallery set"],
        centres=centres,
    )
    settings = {"pixel_size": 10.0, "box": 80.0, "depth": 80.0, "contrast": "dark"}
    geometry = geometry_table(layout, tiles=6, set_id=ABOUT["gallery set"], **settings)
    write_minislabs(tmp_path / "minislabs.star", table, geometry)
    columns = {"slabkitPickId": IDS, "slabkitTomogram": "t1", "slabkitSource": "pick.star"}
    picks = make_table(PICKS, columns | {f"slabkit{a}": centres[:, i] for i, a in enumerate("XYZ")})
    write_picks(tmp_path / "picks.star", PickList(picks, pd.DataFrame([TOMOGRAM])))
    clicks = Clicks()
    clicks.decide([0, 1])
    clicks.decide([1], "rejected", who="ben")
    new = {"slabkitPickId": "t1-new", "slabkitTomogram": "t1", "slabkitSource": "review"}
    new |= {"slabkitX": 5.0, "slabkitY": 6.0, "slabkitZ": 7.0, "slabkitSpecies": "ribosome"}
    clicks.add("add", who="ben", pick=new, tomogram=TOMOGRAM)
    wrong = clicks.add("add", pick=new | {"slabkitPickId": "t1-wrong"}, tomogram=TOMOGRAM)
    clicks.add("undo", of=wrong)
    for place in (400.0, 401.5):
        moved = picks.iloc[2].to_dict() | {"slabkitX": place}
        clicks.add("move", pick=moved, tomogram=TOMOGRAM, **{"from": centres[2].tolist()})
    with ReviewLog(tmp_path / "reviews.sqlite", ABOUT) as log:
        log.append(clicks.events)
    return clicks


def test_label_reads_a_log(reviewed, slabkit, tmp_path):
    words = ("label", "reviews.sqlite", "--minislabs", "minislabs.star", "-o", "clicks.star")
    done = slabkit(*words)
    assert "2 picks that were added or moved" in done.stderr
    labels = read_labels(tmp_path / "clicks.star")
    assert labels["slabkitPickId"].tolist() == [IDS[0], IDS[1], IDS[1]]
    assert labels["slabkitAuthor"].tolist() == ["ann", "ann", "ben"]
    assert labels["slabkitDecision"].tolist() == ["accepted", "accepted", "rejected"]
    assert labels["slabkitTime"].tolist()[0] == "2026-11-27T10:00:01.000Z"
    assert labels["slabkitTile"].tolist()[0] == "r0c0@minislabs_012345_000.mrc"
    mine, more = slabkit_api.read_reviews(tmp_path / "reviews.sqlite")
    assert mine.drop(columns="slabkitTile").equals(labels[mine.columns].drop(columns="slabkitTile"))
    assert more.picks["slabkitPickId"].tolist() == ["t1-new", IDS[2]]
    assert more.tomograms["slabkitTomogram"].tolist() == ["t1"]
    before = (tmp_path / "clicks.star").read_bytes()
    assert "skipped" in slabkit(*words).stderr
    slabkit(*words, "--overwrite")
    assert (tmp_path / "clicks.star").read_bytes() == before
    with ReviewLog(tmp_path / "reviews.sqlite", ABOUT) as log:  # what is new is not skipped
        reviewed.decide([5])
        log.append(reviewed.events)
        assert "made otherwise" in slabkit(*words, code=2).stderr
        slabkit(*words, "--overwrite")
    assert len(read_labels(tmp_path / "clicks.star")) == 4
    for option in (["--round", "x"], ["--threshold", "1"]):
        assert f"leave {option[0]} out" in slabkit(*words, *option, code=2).stderr


def test_additions_join_the_list_and_moved_picks_go_where_they_were_put(
    reviewed, slabkit, tmp_path
):
    more = ("--additions", "more.star")
    slabkit("label", "reviews.sqlite", "--minislabs", "minislabs.star", "-o", "clicks.star", *more)
    again = ("-o", "clicks.star", *more, "--overwrite")
    slabkit("label", "reviews.sqlite", "--minislabs", "minislabs.star", *again)
    added = read_native_picks(tmp_path / "more.star").picks
    assert added["slabkitPickId"].tolist() == ["t1-new", IDS[2]]
    assert added["slabkitX"].tolist() == [5.0, 401.5]
    assert added["slabkitSource"].tolist() == ["review", "pick.star"]
    assert "add:by=review:author=ben:time=2026-11-27T10" in added["slabkitLedger"].iloc[0]
    assert added["slabkitLedger"].iloc[1].count("move:by=review:author=ann") == 2
    slabkit("curate", "picks.star", "clicks.star", *more, "--keep", "all", "-o", "curated.star")
    slabkit("merge", "picks.star", "more.star", "--distance", "1", "-o", "merged.star")
    slabkit("merge", "more.star", "curated.star", "--distance", "1", "-o", "twice.star")
    for name in ("curated.star", "merged.star", "twice.star"):
        picks = read_native_picks(tmp_path / name).picks.set_index("slabkitPickId")
        assert sorted(picks.index) == sorted([*IDS, "t1-new"]), name
        assert picks.loc[IDS[2], "slabkitX"] == 401.5
        assert picks.loc["t1-new", "slabkitDecision"] == "accepted"
    shown = slabkit("history", IDS[2], "curated.star").stdout
    assert "move" in shown
    assert "ann" in shown


def test_a_verdict_on_an_added_pick_is_its_decision(reviewed):
    reviewed.add("decide", picks=["t1-new"], decision="rejected")
    picks, _ = event_additions(reviewed.events)
    assert picks["slabkitDecision"].tolist() == ["rejected", "undecided"]
    assert event_labels(reviewed.events)["slabkitPickId"].isin(IDS).all()
