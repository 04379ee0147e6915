# Two images out of one wheel: `docker build --target server .` and `--target worker`. What training needs (PyTorch,
# JAX) goes into an image of yours that begins with FROM the worker's: see docs/deploy.md.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS wheel
RUN pip install --no-cache-dir 'uv>=0.9,<1'
WORKDIR /source
COPY pyproject.toml README.md LICENSE requirements.lock ./
COPY client client
COPY backend backend
COPY worker worker
COPY broker broker
COPY frontend frontend
COPY migrations migrations
RUN uv build --wheel --out-dir /dist

# The base install: the wheel with urllib3, in an environment that the images only copy.
FROM wheel AS base
RUN uv venv /opt/tunebook \
 && uv pip install --python /opt/tunebook/bin/python --constraint requirements.lock /dist/*.whl

FROM base AS server_environment
RUN uv pip install --python /opt/tunebook/bin/python --constraint requirements.lock "$(echo /dist/*.whl)[server]"

FROM base AS worker_environment
RUN uv pip install --python /opt/tunebook/bin/python --constraint requirements.lock "$(echo /dist/*.whl)[worker]"

FROM python:${PYTHON}-slim-bookworm AS image
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/tunebook --shell /usr/sbin/nologin tunebook \
 && install -d -m 0700 -o tunebook -g tunebook /var/lib/tunebook
ENV PATH=/opt/tunebook/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TUNEBOOK_DATA=/var/lib/tunebook
WORKDIR /var/lib/tunebook
USER 10001:10001
STOPSIGNAL SIGTERM

FROM image AS server
COPY --from=server_environment /opt/tunebook /opt/tunebook
EXPOSE 8787
HEALTHCHECK --interval=15s --timeout=10s --start-period=30s CMD ["tunebook", "server", "--check"]
CMD ["tunebook", "server", "--no-migrate"]

FROM image AS worker
COPY --from=worker_environment /opt/tunebook /opt/tunebook
HEALTHCHECK --interval=30s --timeout=15s --start-period=30s CMD ["tunebook", "worker", "--check"]
CMD ["tunebook", "worker"]
