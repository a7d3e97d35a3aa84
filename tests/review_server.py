"""`slabkit review` in a process of its own, asked as a browser asks."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest


def unpack(data):
    length = int.from_bytes(data[:4], "little")
    header = json.loads(data[4 : 4 + length])
    arrays = {
        one["name"]: np.frombuffer(
            data, f"<{one['kind']}", one["count"], 4 + length + one["offset"]
        )
        for one in header["arrays"]
    }
    return header, arrays


class Server:
    """`slabkit review` in a process of its own, asked as a browser asks."""

    def __init__(self, folder: Path, *words: str, picks: str | None = "picks.star") -> None:
        command = [sys.executable, "-u", "-m", "slabkit.cli.main", "review"]
        command += ["minislabs/minislabs.star", *words, *(["--picks", picks] if picks else [])]
        self.process = subprocess.Popen(
            command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        people = max(1, words.count("--reviewer"))
        self.links, self.said = {}, ""
        assert self.process.stderr is not None
        while len(self.links) < people:
            line = self.process.stderr.readline()
            assert line, f"the server did not start: {self.said}"
            if found := re.match(r"\s+(\S+): (http://\S+/)\?token=(\S+)", line):
                self.links[found[1]] = (found[2], found[3])
            self.said += line
        self.key = 0

    @property
    def who(self):
        return next(iter(self.links))

    def ask(self, path, body=None, who=None, **headers):
        address, token = self.links[who or self.who]
        port = address.rstrip("/").rpartition(":")[2]
        given = {"Cookie": f"slabkit-review-{port}={token}"}
        if body is not None:
            given["Origin"] = address.rstrip("/")
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        given = {name: value for name, value in (given | headers).items() if value is not None}
        request = urllib.request.Request(address + path, body, given)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def refuses(self, status, path, body=None, **headers):
        with pytest.raises(urllib.error.HTTPError) as error:
            self.ask(path, body, **headers)
        assert error.value.code == status, error.value.read()
        return error.value.read().decode()

    def click(self, rows, decision="accepted", who=None, **more):
        self.key += 1
        event = {"key": f"test-{self.key:06d}", "kind": "decide", "rows": rows, **more}
        self.ask("api/events", [event | {"decision": decision}], who)
        return event["key"]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        code = self.process.wait(60)
        self.process.stderr.close()
        return code
