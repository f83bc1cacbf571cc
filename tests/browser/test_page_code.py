"""The page's own tests and types, by node."""

import subprocess

import pytest

from visavis_local.page import WEB, install_packages, node_command


@pytest.mark.parametrize(
    "arguments", [("build.mjs", "--test"), ("node_modules/typescript/bin/tsc", "--noEmit")]
)
def test_the_pages_code(arguments: tuple[str, ...]) -> None:
    install_packages(WEB)
    done = subprocess.run(
        [node_command(), *arguments], cwd=WEB, capture_output=True, text=True, timeout=50
    )
    assert not done.returncode, done.stdout[-4000:] + done.stderr[-4000:]
