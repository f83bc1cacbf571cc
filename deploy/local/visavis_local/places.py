"""Where things lie: the checkout, and the cache folder outside of it."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CACHE = Path(os.environ.get("VISAVIS_CACHE") or Path.home() / ".cache" / "visavis")
