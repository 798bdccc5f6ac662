# The worker, the simulated shop and the alert printer: one image, the command decides.

FROM python:3.11-slim-bookworm AS build
# For architectures without ready-made wheels; stays behind in this stage.
RUN apt-get update && apt-get install --no-install-recommends -y build-essential && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/funnelwatch
ENV PATH=/opt/funnelwatch/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY streams streams
COPY detectors detectors
COPY dashboards dashboards
RUN pip install .

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin funnelwatch \
    && install --directory --owner funnelwatch /var/lib/funnelwatch
COPY --from=build /opt/funnelwatch /opt/funnelwatch
ENV PATH=/opt/funnelwatch/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER funnelwatch
WORKDIR /var/lib/funnelwatch
EXPOSE 9464
ENTRYPOINT ["funnelwatch"]
CMD ["run"]
