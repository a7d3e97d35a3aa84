"""`slabkit review`: the server as its page uses it, who may use it; the page without a server."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from review_server import Server, unpack

from slabkit.formats.picks.reading import read_picks
from slabkit.formats.review_log import ReviewLog, read_log
from slabkit.formats.tables.native import (
    read_labels,
    read_minislabs,
    read_native_picks,
    write_labels,
)
from slabkit.review import command as review_command
from slabkit.review.listing import Listing
from slabkit.review.ordering import suggested_order
from slabkit.review.team import LEASE, Team
from slabkit.tables import LABELS, make_table
from slabkit.tables.events import Event, event_labels

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")


def test_clicks_become_labels(serve, review_folder, slabkit):
    server = serve("--species", "ribosome,apo-ferritin", "--reviewer", "ann")
    header, arrays = unpack(server.ask("api/list"))
    table, _ = read_minislabs(review_folder / "minislabs/minislabs.star")
    assert header["count"] == len(table) == len(arrays["score"])
    assert header["reviewer"] == "ann"
    picks = read_native_picks(review_folder / "picks.star").picks.set_index("slabkitPickId")
    scores = picks.loc[table["slabkitPickId"], "slabkitScore"]
    assert np.allclose(arrays["score"], scores, rtol=1e-6)
    tiles = server.ask("api/tiles", np.array([3, 0], "<u4").tobytes())
    assert len(tiles) == 2 * header["side"] ** 2
    server.click([0, 1], species="apo-ferritin")
    wrong = server.click([1, 2], "rejected")
    server.click(list(range(6)), "rejected", by="threshold")
    server.ask("api/events", [{"key": "undo-1111", "kind": "undo", "of": wrong}])
    assert server.stop() == 0
    slabkit(
        "label", "reviews.sqlite", "--minislabs", "minislabs/minislabs.star", "-o", "clicks.star"
    )
    labels = read_labels(review_folder / "clicks.star").set_index("slabkitPickId")
    ids = table["slabkitPickId"].tolist()
    assert labels.loc[ids[:6], "slabkitDecision"].tolist() == ["accepted"] * 2 + ["rejected"] * 4
    assert labels.loc[ids[0], "slabkitSpecies"] == "apo-ferritin"
    assert labels.loc[ids[:3:2], "slabkitSource"].tolist() == ["review", "review-threshold"]
    assert set(labels["slabkitAuthor"]) == {"ann"}
    again = serve("--species", "ribosome,apo-ferritin", "--reviewer", "ann")
    mine = json.loads(again.ask("api/mine"))
    assert [one["kind"] for one in mine] == ["decide"] * 3 + ["undo"]
    assert mine[0]["rows"] == [0, 1]
    assert again.links["ann"][1] == server.links["ann"][1]  # the link stays
    assert oct((review_folder / ".reviews.sqlite.links").stat().st_mode)[-3:] == "600"


def test_picks_are_added_and_moved(serve, review_folder, slabkit):
    server = serve("--reviewer", "ann")
    header, arrays = unpack(server.ask("api/places?tomogram=0"))
    row, place = int(arrays["rows"][0]), arrays["places"][:3].astype(float)
    near = "&".join(f"{axis}={value}" for axis, value in zip("xyz", place, strict=True))
    found = json.loads(server.ask(f"api/refine?tomogram=0&{near}&diameter=250"))["z"]
    assert abs(found - place[2]) < 60
    new = {"key": "add-11111", "kind": "add", "tomogram": 0, "x": 300.0, "y": 310.0, "z": found}
    moved = {"key": "move-1111", "kind": "move", "row": row, "x": place[0] + 5, "y": place[1]}
    server.ask("api/events", [new, moved | {"z": place[2]}])
    message = server.refuses(400, "api/events", [new | {"key": "add-22222", "x": 1e6}])
    assert "outside the tomogram" in message
    header, arrays = unpack(server.ask("api/places?tomogram=0"))
    assert len(header["added"]) == 1
    assert arrays["places"][0] == pytest.approx(place[0] + 5, abs=1e-2)
    for path in (f"api/cube/{row}", f"api/slab/{row}", f"api/cube/{arrays['rows'][-1]}"):
        about, voxels = unpack(server.ask(path))
        (values,) = voxels.values()
        assert len(values) == about["side"] ** (3 if "cube" in path else 2)
        assert values.std() > 5
    about, section = unpack(server.ask(f"api/section?tomogram=0&z={place[2]}&thickness=100"))
    assert len(section["section"]) == about["width"] * about["height"]
    facts = json.loads(server.ask(f"api/pick/{row}"))
    assert facts["history"][-1]["step"] == "move"
    assert facts["pick"]["slabkitX"] == pytest.approx(place[0] + 5, abs=1e-2)
    taken_back = server.click([row])
    server.ask("api/events", [{"key": "undo-1111", "kind": "undo", "of": taken_back}])
    assert json.loads(server.ask(f"api/pick/{row}"))["history"] == facts["history"]
    server.stop()
    words = ("label", "reviews.sqlite", "--minislabs", "minislabs/minislabs.star")
    slabkit(*words, "-o", "clicks.star", "--additions", "more.star")
    slabkit("curate", "picks.star", "--additions", "more.star", "--keep", "all", "-o", "all.star")
    picks = read_native_picks(review_folder / "all.star").picks
    before = read_native_picks(review_folder / "picks.star").picks
    assert len(picks) == len(before) + 1
    assert (picks["slabkitSource"] == "review").sum() == 1


def test_only_the_page_with_its_token_is_served(serve):
    server = serve("--reviewer", "ann", "--reviewer", "ben", "--overlap", "0.5")
    assert b"<script" in server.ask("")
    server.refuses(403, "", Cookie=None)
    server.refuses(403, "api/list", Cookie="slabkit-review-1=x")
    server.refuses(403, "api/list", Host="evil.example")
    server.refuses(403, "api/list", Origin="http://evil.example")
    server.refuses(403, "api/events", b"[]", Origin=None)
    server.refuses(403, "api/mine", **{"Sec-Fetch-Site": "cross-site"})
    server.refuses(403, "api/mine", **{"Sec-Fetch-Site": "same-site"})
    server.refuses(400, "api/pick/" + "9" * 5000)
    server.refuses(413, "api/events", b"[]", **{"Content-Length": str(2**30)})
    server.refuses(404, "static/..%2f..%2fetc%2fpasswd")
    for body, words in [
        (b"{", "not JSON"),
        ([{"key": "k" * 8, "kind": "decide", "rows": [10**7], "decision": "accepted"}], "row"),
        ([{"key": "k" * 8, "kind": "decide", "rows": [0], "decision": "sure"}], "decision"),
        ([{"key": "k" * 8, "kind": "decide", "rows": [0], "by": [], "decision": []}], "decision"),
        ([{"key": "<script>", "kind": "undo", "of": "x"}], "key"),
        ([{"key": "k" * 8, "kind": "lease"}], "kind"),
    ]:
        assert words in server.refuses(400, "api/events", body)
    large = http.client.HTTPConnection(server.links["ann"][0].split("/")[2], timeout=30)
    port = large.port
    given = {"Cookie": f"slabkit-review-{port}={server.links['ann'][1]}"}
    given["Origin"] = f"http://127.0.0.1:{port}"
    large.request("POST", "/api/events", iter([bytes(2**20)] * 17), given, encode_chunked=True)
    assert large.getresponse().status == 413
    assert server.ask("api/team", Host="localhost:9999")  # through a tunnel


def test_two_people_at_one_browser_are_told_apart(serve):
    server = serve("--reviewer", "ann", "--reviewer", "J\u00f6rg")
    with_name = {"X-Reviewer": "J%C3%B6rg"}  # his page, after ann opened her link beside it
    assert "ann's now" in server.refuses(403, "api/events", b"[]", **with_name)
    server.ask("api/events", [], "J\u00f6rg", **with_name)


def test_the_same_log_is_at_the_same_port_if_that_is_free(serve):
    def port(server):
        return server.links["ann"][0].rpartition(":")[2]

    first = serve("--reviewer", "ann", "-o", "one.sqlite")
    first.stop()
    again = serve("--reviewer", "ann", "-o", "one.sqlite")
    assert port(again) == port(first)  # so that browsers know their keys again
    taken = int(port(again).rstrip("/"))
    with pytest.raises(OSError, match="in use"):
        socket.create_server(("127.0.0.1", taken))


@pytest.mark.parametrize("name", ["localhost", "localhost.localdomain", "vm", "vm.site.example"])
def test_the_link_for_others_is_not_to_their_own_machine(monkeypatch, name):
    monkeypatch.setattr(socket, "getfqdn", lambda: name)
    link = review_command._links("0.0.0.0", 8765, {"ann": "t"})["ann"]
    assert "localhost" not in link
    assert ("vm.site" in link) == ("vm.site" in name)


def test_nobody_sees_in_the_list_what_others_said(serve, review_folder, slabkit):
    server = serve("--reviewer", "ann", "--species", "ribosome", "-o", "before.sqlite")
    server.click([0], species="ribosome")
    server.stop()
    more = ("--minislabs", "minislabs/minislabs.star")
    slabkit("label", "before.sqlite", *more, "-o", "before.star")
    slabkit("curate", "picks.star", "before.star", "--keep", "all", "-o", "curated.star")
    for names in (("ben",), ("ben", "kim")):
        words = [word for name in names for word in ("--reviewer", name)]
        log = f"{len(names)}.sqlite"
        server = Server(review_folder, *words, "-o", log, picks="curated.star")
        before = server.ask("api/pick/0", who="ben").decode()
        assert not re.search("ann|accepted|ribosome", before)
        server.click([0], "rejected", who="ben")
        after = json.loads(server.ask("api/pick/0", who="ben"))
        assert after["pick"]["slabkitDecision"] == "accepted"
        assert [one.get("author") for one in after["history"] if one["step"] == "label"] == ["ann"]
        server.stop()


def test_names_cannot_become_markup(serve, review_folder):
    server = serve("--reviewer", "<b>ann</b>", "--species", "5'UTR<img>")
    header, _ = unpack(server.ask("api/list"))
    assert header["species"] == ["5'UTR<img>"]
    static = Path(__file__).parent.parent / "slabkit" / "review" / "static"
    for script in static.glob("*.js"):
        for line in re.findall(r"innerHTML = [^;]*;", script.read_text(), re.DOTALL):
            assert "${" not in line, f"{script.name}: {line}"


def test_a_team_shares_the_work_blindly(serve, review_folder):
    words = ["--overlap", "0.3", "--batch", "40", "--order", "score"]
    server = serve(*(w for name in ("ann", "ben", "kim") for w in ("--reviewer", name)), *words)

    def batch(who, disputed=False):
        _, arrays = unpack(server.ask("api/batch", {"disputed": disputed}, who))
        return arrays["rows"].tolist()

    first, second = batch("ann"), batch("ben")
    assert len(first) == 40
    assert batch("ann") == first  # until it is done
    score = unpack(server.ask("api/list"))[1]["score"]
    assert np.all(np.diff(score[first]) <= 0)
    shared = set(first) & set(second)
    assert 4 <= len(shared) <= 22  # three tenths of forty, drawn by id
    server.click(first, who="ann")
    _, arrays = unpack(server.ask("api/others", who="ben"))
    assert all(not len(rows) for rows in arrays.values())  # nothing before his own verdict
    one = min(shared)
    assert json.loads(server.ask(f"api/pick/{one}", who="ben"))["said"] == []
    server.click([one], "rejected", who="ben")
    said = json.loads(server.ask(f"api/pick/{one}", who="ben"))["said"]
    assert said == [{"author": "ann", "decision": "accepted"}]
    server.click(sorted(shared - {one}), who="ben")
    server.click(sorted(set(second) - shared), who="ben")
    left = batch("ben")
    seconds = [row for row in left if row in first]
    assert len(seconds) <= 12  # three tenths
    assert not set(left) & set(second)
    assert batch("kim", disputed=True) == [one]
    assert batch("ann", disputed=True) == []
    report = json.loads(server.ask("api/team"))
    assert report["disputed"] == 1
    (pair,) = report["pairs"]
    assert pair["picks"] == len(shared)
    assert pair["agree"] == pytest.approx(1 - 1 / len(shared), abs=1e-4)
    server.click([one], "rejected", who="kim")
    assert json.loads(server.ask("api/team"))["disputed"] == 0


def test_a_lease_ends_some_time_after_the_last_decision():
    ids, order = [f"p{number}" for number in range(20)], np.arange(20)
    team = Team(ids, "review", batch=5)
    begun = datetime(2026, 11, 27, 10, tzinfo=UTC)

    def ben_gets(seconds):
        return team.next_batch("ben", order, begun.timestamp() + seconds).tolist()

    body = {"picks": ids[:5]}
    team.lease(Event("k1", "2026-11-27T10:00:00Z", "ann", "review", "lease", body))
    assert ben_gets(LEASE - 1) == [5, 6, 7, 8, 9]
    assert ben_gets(LEASE + 1) == [0, 1, 2, 3, 4]
    body = {"picks": ids[:1], "decision": "accepted"}
    team.decide(Event("k2", "2026-11-27T10:10:00Z", "ann", "review", "decide", body))
    assert ben_gets(LEASE + 1) == [5, 6, 7, 8, 9]
    assert ben_gets(600 + LEASE + 1) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("quality", [{}, {"1": 0.7, "2": 0.4}])
def test_the_probability_of_a_few_picks_does_not_tell_what_others_said(quality):
    ids = [f"t1-{number}" for number in range(40)]
    classes = np.array([1] * 39 + [2], dtype=np.uint16)  # the last is alone in its class
    columns = {"tomogram": np.zeros(40, np.uint32), "class": classes}
    columns["score"] = np.full(40, np.nan, np.float32)
    unused = {"layout": None, "pixel_size": 1.0, "box": 1.0, "depth": 1.0, "set_id": ""}
    unused["class_quality"] = quality
    listing = Listing(np.array(ids, object), columns, ["t1"], ["", "1", "2"], **unused)
    found = []
    for decision in ("accepted", "rejected"):
        said = {"slabkitPickId": [ids[-1], *ids[:30]]}
        said |= {"slabkitDecision": [decision] + ["accepted", "rejected"] * 15}
        labels = make_table(LABELS, said | {"slabkitAuthor": ["ann"] + ["ben"] * 30})
        found.append(suggested_order(listing, labels, 4.0)[1])
    assert found[0][-1] == found[1][-1]


def test_a_second_server_and_bad_options_are_refused(serve, review_folder, slabkit):
    serve("--reviewer", "ann")
    words = ("review", "minislabs/minislabs.star")
    assert "is writing it" in slabkit(*words, code=75).stderr
    (review_folder / "other.sqlite").write_text("text")
    for more, message in [
        (["-o", "other.sqlite"], "is not a log"),
        (["--host", "0.0.0.0", "-o", "x.sqlite"], "name the reviewers"),
        (["--overlap", "0.1", "-o", "x.sqlite"], "two reviewers"),
        (["--order", "score", "-o", "x.sqlite"], "--picks"),
        (["-o", "minislabs/minislabs.star"], "is an input"),
        (["--page", "page.txt"], "name it .html"),
    ]:
        assert message in slabkit(*words, *more, code=2).stderr
    assert not (review_folder / "x.sqlite").exists()


def test_the_page_without_a_server_holds_everything(review_folder, slabkit):
    words = ("review", "minislabs/minislabs.star", "--picks", "picks.star", "--page", "page.html")
    slabkit(*words)
    page = (review_folder / "page.html").read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)[^"']*["']""", page)
    assert "http://" not in re.sub(r"base64,[^\"]*", "", page)
    assert "default-src 'none'" in page
    first = page.encode()
    slabkit(*words, "--overwrite")
    assert (review_folder / "page.html").read_bytes() == first


def test_a_model_learns_while_people_decide(serve, review_folder, slabkit):
    truth = read_picks(review_folder / "tomograms/truth.star").picks
    table, _ = read_minislabs(review_folder / "minislabs/minislabs.star")
    places = [f"slabkitCentre{axis}" for axis in "XYZ"]
    decisions = []
    for name, own in zip(table["slabkitTomogram"], table[places].to_numpy(), strict=True):
        near = truth[truth["slabkitTomogram"] == name][["slabkitX", "slabkitY", "slabkitZ"]]
        right = np.linalg.norm(near.to_numpy() - own, axis=1).min() < 60
        decisions.append("accepted" if right else "rejected")
    some = np.arange(0, len(table), 5)
    labels = {"slabkitPickId": table["slabkitPickId"].iloc[some].tolist()}
    labels |= {"slabkitDecision": [decisions[row] for row in some]}
    write_labels(review_folder / "some.star", make_table(LABELS, labels))
    words = ("--minislabs", "minislabs/minislabs.star", "--labels", "some.star", "--picks")
    slabkit("learn", *words, "picks.star", "--images-only", "-o", "model", "--jobs", "1")
    server = serve("--model", "model", "--reviewer", "ann")

    def order(since=""):
        for _ in range(600):
            answer = server.ask(f"api/order?since={since}")
            if len(answer) > 100:
                return unpack(answer)
            time.sleep(0.2)
        raise AssertionError("no order came")

    about, arrays = order()
    assert (about["labelled"], about["trained"]) == (0, 0)
    right = np.array(decisions) == "accepted"
    probability = arrays["probability"]
    assert probability[right].mean() > 2 * probability[~right].mean()
    assert sorted(arrays["order"]) == list(range(len(table)))
    chosen = arrays["order"][:120].tolist()
    for row in chosen:
        server.click([int(row)], decisions[row])
    about, arrays = order(about["version"])
    assert about["trained"] >= 40
    assert about["trouble"] == ""
    assert set(arrays["order"][-about["labelled"] :].tolist()) <= set(chosen)
    assert 0 < about["expected_f_beta"] <= 1
    assert "labels" in about["advice"]
    assert (review_folder / "reviews.sqlite.model/model.json").exists()


def check_kills(review_folder, times, seed=0):
    """Kill the server while clicks arrive: what was acknowledged is there, once, after each."""
    random = np.random.default_rng(seed)
    acknowledged, sent = set(), 0
    for _ in range(times):
        server = Server(review_folder, "--reviewer", "ann")
        stop, begun = threading.Event(), threading.Event()

        def click(server=server, stop=stop, begun=begun):
            nonlocal sent
            while not stop.is_set():
                sent += 1
                key = f"click-{sent:08d}"
                event = {"key": key, "kind": "decide", "rows": [sent % 50], "decision": "accepted"}
                try:
                    server.ask("api/events", [event])
                except (OSError, http.client.HTTPException):  # it was killed
                    return
                acknowledged.add(key)
                begun.set()

        thread = threading.Thread(target=click)
        thread.start()
        assert begun.wait(30)
        time.sleep(random.uniform(0, 0.2))
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        stop.set()
        thread.join()
        server.process.stderr.close()
        keys = [event.key for event in read_log(review_folder / "reviews.sqlite")[1]]
        assert len(set(keys)) == len(keys)
        assert acknowledged <= set(keys)
    return len(acknowledged)


def test_killed_servers_lose_nothing_that_was_acknowledged(review_folder):
    assert check_kills(review_folder, 3) >= 3


@pytest.mark.soak
def test_two_hundred_kills(review_folder):
    print(check_kills(review_folder, 200), "acknowledged clicks, none lost")


def check_crowd(server, people, seconds):
    """Reviewers at once, one decision a second each; gives the 99th percentile in seconds."""
    waits, expected = [], {}
    end = time.monotonic() + seconds

    def decide(who, number):
        random = np.random.default_rng(number)
        time.sleep(random.uniform(0, 1))
        count = 0
        while time.monotonic() < end:
            row, decision = int(random.integers(100)), str(random.choice(["accepted", "rejected"]))
            count += 1
            event = {"key": f"{number:04d}-{count:06d}", "kind": "decide", "rows": [row]}
            began = time.monotonic()
            server.ask("api/events", [event | {"decision": decision}], who)
            waits.append(time.monotonic() - began)
            expected[who, row] = decision
            time.sleep(max(0.0, 1 - (time.monotonic() - began)))

    threads = [
        threading.Thread(target=decide, args=(who, number)) for number, who in enumerate(people)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return waits, expected


@pytest.mark.parametrize(
    ("count", "seconds"), [(6, 3), pytest.param(42, 300, marks=pytest.mark.soak)]
)
def test_a_room_of_people_loses_and_doubles_nothing(serve, review_folder, count, seconds):
    people = [f"p{number:02d}" for number in range(count)]
    server = serve(*(word for name in people for word in ("--reviewer", name)))
    waits, expected = check_crowd(server, people, seconds)
    server.stop()
    events = read_log(review_folder / "reviews.sqlite")[1]
    assert len(events) == len(waits)
    ids = read_minislabs(review_folder / "minislabs/minislabs.star")[0]["slabkitPickId"]
    labels = event_labels(events)
    names = ("slabkitAuthor", "slabkitPickId", "slabkitDecision")
    said = {(who, pick): word for who, pick, word in zip(*(labels[n] for n in names), strict=True)}
    assert said == {(who, ids[row]): word for (who, row), word in expected.items()}
    if seconds > 60:
        late = np.quantile(waits, 0.99)
        print(f"{count} reviewers, {len(waits)} decisions, 99 % within {1000 * late:.0f} ms")
    with ReviewLog(review_folder / "reviews.sqlite", {}) as log:
        assert len(list(log.events())) == len(events)
