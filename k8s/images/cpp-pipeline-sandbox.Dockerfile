# What judges C++: compilers and libraries that candidates may use, and the part of the project that judges. No model,
# no data, no Dagster. From the repository's root, with a digest and a time of one's own:
#   docker buildx build -f k8s/images/cpp-pipeline-sandbox.Dockerfile --build-arg SOURCE_DATE_EPOCH=1790000000 \
#     --build-arg BASE=debian:bookworm-slim@sha256:... --build-arg DEBIAN=http://snapshot.debian.org/archive/debian/... \
#     --output type=image,name=REPOSITORY/cpp-pipeline-sandbox,push=true,rewrite-timestamp=true .
ARG BASE
FROM ${BASE} AS base
ARG BASE
ARG DEBIAN
ARG SECURITY
ARG SOURCE_DATE_EPOCH
COPY k8s/images/install-debian /usr/local/bin/
RUN install-debian bubblewrap clang-tidy cmake g++ libboost-dev make mold ninja-build python3

FROM base AS built
ARG BASE
ARG DEBIAN
ARG SECURITY
ARG SOURCE_DATE_EPOCH
RUN install-debian ca-certificates python3-venv
COPY constraints.txt /source/
RUN python3 -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir --no-compile --disable-pip-version-check \
    -c /source/constraints.txt \
    email-validator fastapi httpx prometheus-client pydantic rich starlette tree-sitter tree-sitter-cpp \
    typing-extensions uvicorn
COPY cpp_pipeline/__init__.py cpp_pipeline/settings.py /opt/venv/lib/python3.11/site-packages/cpp_pipeline/
COPY cpp_pipeline/sandbox /opt/venv/lib/python3.11/site-packages/cpp_pipeline/sandbox
# what a judge would prepare at each start; nobody but root can change it afterwards
RUN mkdir -p /box /opt/cpp-pipeline/prepared && chown 1001:1001 /opt/cpp-pipeline/prepared \
    && ln -s /opt/venv/lib/python3.11/site-packages/cpp_pipeline/sandbox/native /box/native \
    && CPP_PIPELINE_ALLOW_UNSAFE=1 setpriv --reuid=1001 --regid=1001 --clear-groups --no-new-privs \
        /opt/venv/bin/python -B -m cpp_pipeline.sandbox.compiling.prebuild \
    && chown -R 0:0 /opt/cpp-pipeline

FROM base
COPY --from=built /opt/venv /opt/venv
COPY --from=built /opt/cpp-pipeline /opt/cpp-pipeline
RUN useradd --uid 1000 --user-group --no-create-home --home-dir /work runner \
    && useradd --uid 1001 --user-group --no-create-home --home-dir /work judge \
    && mkdir /work /run/cpp-pipeline
ENV PATH=/opt/venv/bin:/usr/bin:/bin LC_ALL=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 1000:1000
# not a folder that the runner can write to: Python looks for modules in it
WORKDIR /
CMD ["python", "-m", "cpp_pipeline.sandbox.pod", "runner"]
