# One image for the head and every worker of a Ray cluster: all nodes need the same Python, packages and code.
#
#   docker build -t raglan .                                   CPU: the local profile with the demo model
#   docker build -t raglan:gpu --build-arg ACCELERATOR=gpu .   GPU: the packages of requirements/gpu.txt
#
#   docker run --rm --network host --shm-size 2g raglan
#   docker run -d --network host --shm-size 16g --gpus all -v TOKEN:/home/raglan/.ray/auth_token:ro raglan:gpu \
#     ray start --block --head                                 on a worker: ray start --block --address HEAD:6379
#
# For reproducible builds give the base image by digest: --build-arg BASE=python@sha256:...
ARG BASE=python:3.11-slim-bookworm
ARG ACCELERATOR=cpu

FROM ${BASE} AS base
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /srv/raglan

FROM base AS cpu
# Ray's autoscaler calls ssh and rsync in the head's container; wget is what KubeRay's readiness probe of a worker calls.
# vLLM's CPU build links libnuma and reads the cores' layout from util-linux's lscpu. The base image's Debian release
# pins them: an exact version is gone from the mirrors with the next security update.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libnuma1 openssh-client rsync util-linux wget \
    && rm -rf /var/lib/apt/lists/*
# torch by itself: its CPU build carries a local version that PyPI cannot hold.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --no-deps --index-url "${TORCH_INDEX}" torch==2.13.0+cpu
COPY requirements/cpu.txt requirements/
RUN pip install --no-deps -r requirements/cpu.txt

FROM base AS gpu
# Triton and TorchInductor compile with the system's compiler. CUDA's libraries come as wheels, the driver from the host.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ libnuma1 openssh-client rsync util-linux wget \
    && rm -rf /var/lib/apt/lists/*
COPY requirements/gpu.txt requirements/
RUN pip install --no-deps -r requirements/gpu.txt
# FlashInfer's sampler is compiled at start by an nvcc in CUDA_HOME, which a slim image lacks; vLLM's own needs none.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    VLLM_USE_FLASHINFER_SAMPLER=0

FROM ${ACCELERATOR} AS raglan
WORKDIR /srv/raglan
RUN useradd --create-home --uid 1000 raglan \
    && mkdir -p var /home/raglan/.ray \
    && chown -R raglan:raglan var /home/raglan/.ray
# What changes seldom stands first.
COPY models models
COPY docs docs
COPY cluster cluster
COPY prompts prompts
COPY guardrails guardrails
COPY rag rag
COPY app app
COPY deployments deployments
USER 1000
# As cluster/local.env, less what belongs to one machine only: the hub stays reachable and proxies drain. Calls between
# replicas may carry 64 MiB, a large document's passages and vectors, instead of gRPC's 4.
ENV PYTHONPATH=/srv/raglan \
    RAY_AUTH_MODE=token \
    RAY_USAGE_STATS_ENABLED=0 \
    RAY_SERVE_ENABLE_HA_PROXY=1 \
    RAY_SERVE_THROUGHPUT_OPTIMIZED=1 \
    RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH=67108864 \
    NEMO_GUARDRAILS_NO_USAGE_STATS=1 \
    VLLM_NO_USAGE_STATS=1
VOLUME /srv/raglan/var
# Whether this node's Ray lives, on the head and on workers alike. Whether Raglan answers is for /readyz to say.
HEALTHCHECK --interval=10s --timeout=5s --start-period=180s --retries=3 \
    CMD ["python", "-c", "import psutil, sys; sys.exit('raylet' not in {p.name() for p in psutil.process_iter()})"]
CMD ["sh", "-c", "set -a && . cluster/local.env && set +a && python -m rag.ingest docs --index var/index && exec python -m deployments.run run cluster/local.yaml"]
