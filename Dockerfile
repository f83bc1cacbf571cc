# syntax=docker/dockerfile:1
# One target per service: docker build --target egress -t visavis/egress:dev .
# Base images are arguments, so that a mirror's or a digest can be given: --build-arg PYTHON_IMAGE=…
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm
ARG NODE_IMAGE=docker.io/library/node:24-bookworm-slim
ARG UV_IMAGE=ghcr.io/astral-sh/uv:0.13.9

FROM ${UV_IMAGE} AS uv

# The page that token serves.
FROM ${NODE_IMAGE} AS page
WORKDIR /web
COPY services/token/web/.npmrc services/token/web/package.json services/token/web/package-lock.json ./
RUN npm ci --ignore-scripts --silent
COPY services/token/web/ ./
RUN VISAVIS_PAGE_OUT=/page node build.mjs

# Locked packages in an environment of their own. Wheels only: no image ever needs a compiler.
FROM ${PYTHON_IMAGE} AS packages
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
RUN uv venv --quiet --python python3.11 /opt/visavis
WORKDIR /build

FROM packages AS token-packages
COPY requirements/token.txt ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip sync --quiet --require-hashes --no-build --python /opt/visavis token.txt

FROM packages AS asr-packages
COPY requirements/asr.txt ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip sync --quiet --require-hashes --no-build --python /opt/visavis asr.txt

FROM packages AS llm-packages
COPY requirements/llm.txt ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip sync --quiet --require-hashes --no-build --python /opt/visavis llm.txt

FROM packages AS tts-packages
COPY requirements/tts.txt ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip sync --quiet --require-hashes --no-build --python /opt/visavis tts.txt

FROM packages AS egress-packages
COPY requirements/egress.txt ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip sync --quiet --require-hashes --no-build --python /opt/visavis egress.txt

FROM packages AS motion-sim-packages
COPY requirements/motion_sim.txt ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip sync --quiet --require-hashes --no-build --python /opt/visavis motion_sim.txt

FROM packages AS model-server-packages
COPY requirements/model_server.txt ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip sync --quiet --require-hashes --no-build --python /opt/visavis model_server.txt

# What all services have in common. Our own packages lie beside each other in /srv/visavis, read-only
# for the user that runs them; the environment holds what others wrote.
FROM ${PYTHON_IMAGE} AS base
RUN groupadd --system --gid 10001 visavis \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin visavis
ENV PATH=/opt/visavis/bin:$PATH \
    PYTHONPATH=/srv/visavis \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    VISAVIS_LOG_FORMAT=json
COPY --chmod=0755 deploy/compose/healthcheck.py /usr/local/bin/visavis-health
WORKDIR /srv/visavis
USER 10001:10001

FROM base AS service
COPY services/runtime/visavis_runtime ./visavis_runtime
COPY proto/python/visavis ./visavis
ENV VISAVIS_HEALTH_HOST=0.0.0.0 VISAVIS_HEALTH_PORT=9100
EXPOSE 9100
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s CMD ["visavis-health", "9100", "/readyz"]

FROM service AS token
COPY --from=token-packages /opt/visavis /opt/visavis
COPY services/token/visavis_token ./visavis_token
COPY --from=page /page ./visavis_token/page
COPY deploy/characters /etc/visavis/characters
ENV VISAVIS_CHARACTERS=/etc/visavis/characters \
    VISAVIS_GRPC_HOST=0.0.0.0 VISAVIS_GRPC_PORT=50051 \
    VISAVIS_HTTP_HOST=0.0.0.0 VISAVIS_HTTP_PORT=8080
EXPOSE 8080 50051
CMD ["python", "-m", "visavis_token"]

FROM service AS asr
COPY --from=asr-packages /opt/visavis /opt/visavis
COPY services/asr/visavis_asr ./visavis_asr
CMD ["python", "-m", "visavis_asr"]

FROM service AS llm
COPY --from=llm-packages /opt/visavis /opt/visavis
COPY services/llm/visavis_llm ./visavis_llm
CMD ["python", "-m", "visavis_llm"]

FROM service AS tts
COPY --from=tts-packages /opt/visavis /opt/visavis
COPY services/tts/visavis_tts ./visavis_tts
CMD ["python", "-m", "visavis_tts"]

FROM service AS egress
COPY --from=egress-packages /opt/visavis /opt/visavis
COPY services/egress/visavis_egress ./visavis_egress
CMD ["python", "-m", "visavis_egress"]

# Declares streams and consumers, then ends. It needs nats-py and a YAML reader: both are token's.
FROM base AS provision
COPY --from=token-packages /opt/visavis /opt/visavis
COPY deploy/nats/provision.py deploy/nats/streams.yaml ./
CMD ["python", "provision.py"]

# The embedded language model, for demonstrations; any server of the OpenAI dialect takes its place.
FROM base AS model-server
USER 0:0
# llama.cpp computes with GNU OpenMP, which its wheel does not bring. The version is the base image's
# Debian release's: a pinned one vanishes from the mirrors with the next.
# hadolint ignore=DL3008
RUN apt-get update -qq \
    && apt-get install -qq -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
USER 10001:10001
COPY --from=model-server-packages /opt/visavis /opt/visavis
COPY services/runtime/visavis_runtime ./visavis_runtime
COPY services/model_server/visavis_model_server ./visavis_model_server
ENV VISAVIS_MODEL_SERVER_HOST=0.0.0.0 VISAVIS_MODEL_SERVER_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s CMD ["visavis-health", "8000", "/health"]
CMD ["python", "-m", "visavis_model_server"]

# Stands in for the avatar vendor's Motion Server, for demonstrations.
FROM base AS motion-sim
COPY --from=motion-sim-packages /opt/visavis /opt/visavis
COPY services/runtime/visavis_runtime ./visavis_runtime
COPY services/motion_sim/visavis_motion_sim ./visavis_motion_sim
ENV VISAVIS_MOTION_SIM_HOST=0.0.0.0 VISAVIS_MOTION_SIM_PORT=8790
EXPOSE 8790
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s CMD ["visavis-health", "8790", "/readyz"]
CMD ["python", "-m", "visavis_motion_sim"]
