"""llama.cpp's HTTP server, in this process, on a port of its own choosing."""

from pathlib import Path

import xllamacpp

from visavis_model_server.settings import SCORE_SLOTS, ModelServerSettings

LOG_WARNINGS = 2
PROMPT_CACHE_MIB = 256
BATCH_TOKENS = 2048


def start(weights: Path, name: str, settings: ModelServerSettings) -> xllamacpp.Server:
    """Load the model and serve; returns when it listens. Its address: `.listening_address`.

    It serves from native threads until the object is dropped.
    """
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {name}
    params.hostnames = ["127.0.0.1"]
    params.n_parallel = settings.slots + SCORE_SLOTS
    params.n_ctx = params.n_parallel * settings.context_tokens
    params.n_batch = BATCH_TOKENS
    params.cpuparams.n_threads = settings.threads
    params.cpuparams_batch.n_threads = settings.threads
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.endpoint_metrics = True
    params.offline = True
    params.verbosity = LOG_WARNINGS
    return xllamacpp.Server(params)
