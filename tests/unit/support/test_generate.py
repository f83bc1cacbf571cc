"""The bindings can be checked without the environment's programs on PATH."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[3] / "proto" / "generate.py"


def test_the_generator_finds_its_plugins_by_itself(tmp_path: Path) -> None:
    environ = os.environ | {"PATH": str(tmp_path)}
    checked = subprocess.run(
        [sys.executable, SCRIPT, "--check"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, "")
