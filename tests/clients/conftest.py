"""What the tests with the real RELION share."""

from __future__ import annotations

import subprocess

import pytest


@pytest.fixture
def relion(tmp_path):
    """Run a program of RELION in the test's own folder."""

    def run(program, *arguments):
        done = subprocess.run(
            [f"relion_{program}", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout

    return run
