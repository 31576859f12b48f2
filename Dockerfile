# Two images from one file: `service` (the API, no torch inside) and `worker`.
#   docker build --target service -t emserve-service .
#   docker build --target worker  -t emserve-worker --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu .
# Without TORCH_INDEX the worker gets PyPI's torch, which on Linux x86-64 brings CUDA (several GB).

ARG BASE_IMAGE=docker.io/library/debian:12-slim
FROM ${BASE_IMAGE} AS base
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home emserve \
    && install -d -o emserve -g emserve /data \
    && python3 -m venv /opt/emserve
ENV PATH=/opt/emserve/bin:$PATH \
    EMSERVE_DATA_DIR=/data \
    OMP_WAIT_POLICY=PASSIVE \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY emserve emserve
COPY service service
COPY workers workers
COPY training training

FROM base AS service
RUN pip install --no-cache-dir -c constraints.txt '.[service]' && rm -rf build *.egg-info
USER emserve
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
CMD ["emserve", "up", "--api-only", "--host", "0.0.0.0", "--allow-anonymous"]

FROM base AS worker
ARG TORCH_INDEX=
RUN if [ -n "${TORCH_INDEX}" ]; then \
        pip install --no-cache-dir -c constraints.txt --index-url "${TORCH_INDEX}" torch; \
    fi \
    && pip install --no-cache-dir -c constraints.txt '.[worker]' \
    && rm -rf build *.egg-info
USER emserve
WORKDIR /data
VOLUME /data
CMD ["emserve", "worker"]
