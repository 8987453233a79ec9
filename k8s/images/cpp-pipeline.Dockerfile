# Dagster's webserver, daemon and code location, runs, steps, training Jobs, and the execution controller. From the
# repository's root, with a digest and a time of one's own:
#   docker buildx build -f k8s/images/cpp-pipeline.Dockerfile --build-arg SOURCE_DATE_EPOCH=1790000000 \
#     --build-arg BASE=debian:bookworm-slim@sha256:... --build-arg DEBIAN=http://snapshot.debian.org/archive/debian/... \
#     --output type=image,name=REPOSITORY/cpp-pipeline,push=true,rewrite-timestamp=true .
ARG BASE
FROM ${BASE} AS base
ARG BASE
ARG DEBIAN
ARG SECURITY
ARG SOURCE_DATE_EPOCH
COPY k8s/images/install-debian /usr/local/bin/
RUN install-debian ca-certificates python3

FROM base AS built
ARG BASE
ARG DEBIAN
ARG SECURITY
ARG SOURCE_DATE_EPOCH
# a package without a wheel is compiled
RUN install-debian gcc libc6-dev python3-dev python3-venv
COPY pyproject.toml constraints.txt README.md LICENSE /source/
COPY cpp_pipeline /source/cpp_pipeline
# constraints hold for what builds the package as well
RUN python3 -m venv /opt/venv && PIP_CONSTRAINT=/source/constraints.txt \
    /opt/venv/bin/pip install --no-cache-dir --no-compile --disable-pip-version-check "/source[gcs,k8s]"

FROM base
COPY --from=built /opt/venv /opt/venv
# Dagster looks for it above the package, and loads no definitions without it
COPY pyproject.toml /opt/venv/
RUN useradd --uid 1000 --user-group --no-create-home --home-dir /scratch pipeline && mkdir /scratch && chown 1000 /scratch
ENV PATH=/opt/venv/bin:/usr/bin:/bin LC_ALL=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 1000:1000
WORKDIR /scratch
CMD ["cpp-pipeline", "--help"]
