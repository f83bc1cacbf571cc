"""The checks of the tree find what they are for."""

import ast
from pathlib import PurePath

from tests.support.structure import crossed_services, fence_breaches, nesting, over_budget
from tests.support.structure import imports as imported

ASR = PurePath("services/asr/visavis_asr/worker.py")


def test_a_long_file_and_a_long_function_are_named() -> None:
    source = "def long():\n" + "    x = 1\n" * 400
    problems = list(over_budget(ASR, source))
    assert any("401 lines" in problem for problem in problems)
    assert any("long: 401 lines" in problem for problem in problems)


def test_nesting_counts_blocks_and_takes_elif_as_level() -> None:
    flat = "def f():\n if a:\n  pass\n elif b:\n  pass\n elif c:\n  pass\n"
    blocks = ["if a:", "for b in c:", "with d:", "while e:", "if f:", "pass"]
    deep = "def f():\n" + "".join(f"{' ' * depth} {block}\n" for depth, block in enumerate(blocks))
    assert nesting(ast.parse(flat).body[0]) == 1
    assert nesting(ast.parse(deep).body[0]) == 5
    assert any("nested 5 deep" in problem for problem in over_budget(ASR, deep))


def test_imports_are_seen_inside_functions_and_by_their_full_name() -> None:
    source = "from livekit import rtc\ndef f():\n    import nats.js\n"
    assert list(imported(source)) == [(1, "livekit.rtc"), (3, "nats.js")]


def test_a_library_outside_its_fence_is_refused() -> None:
    fences = {"livekit.rtc": ["tests/support/caller.py"], "livekit.api": ["*"]}
    source = "from livekit import api, rtc\n"
    assert list(fence_breaches({ASR: source}, fences)) == [f"{ASR}:1: may not import livekit.rtc"]
    assert not list(fence_breaches({PurePath("tests/support/caller.py"): source}, fences))


def test_one_file_per_library_means_one() -> None:
    fences = {"httpx": ["services/llm/*.py:1"]}
    one, other = PurePath("services/llm/a.py"), PurePath("services/llm/b.py")
    assert not list(fence_breaches({one: "import httpx\n"}, fences))
    assert len(list(fence_breaches({one: "import httpx\n", other: "import httpx\n"}, fences))) == 1


def test_a_service_may_import_the_runtime_and_no_other_service() -> None:
    files = {
        ASR: "import visavis_runtime.bus\nimport visavis_asr.engine\nimport visavis_llm\n",
        PurePath("services/llm/visavis_llm/worker.py"): "",
        PurePath("services/runtime/visavis_runtime/bus.py"): "import visavis_asr\n",
    }
    assert len(list(crossed_services(files))) == 2
