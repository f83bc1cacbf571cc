"""What became of the answers that were begun early, as egress counts it."""

import asyncio
import re
from collections import defaultdict
from urllib.request import urlopen

from tests.support.stack import RunningStack

_LINE = re.compile(r'^vv_speculation_total\{outcome="(\w+)"\} ([\d.e+]+)$', re.MULTILINE)


async def counted(stack: RunningStack) -> dict[str, float]:
    """Outcome -> count, over all egress processes that run."""
    total: defaultdict[str, float] = defaultdict(float)
    for name, process in stack.processes.items():
        if name.split("-")[0] == "egress" and process.running:
            text = await asyncio.to_thread(_read, str(process.ready_url))
            for outcome, count in _LINE.findall(text):
                total[outcome] += float(count)
    return dict(total)


def _read(ready_url: str) -> str:
    with urlopen(ready_url.replace("/readyz", "/metrics"), timeout=5) as response:
        return str(response.read().decode())
