# The operator's image: Python, our dependencies, our package. Nothing that builds or installs is in the result.
ARG BUILDER=python:3.11-slim
ARG BASE=python:3.11-slim

FROM ${BUILDER} AS build
COPY requirements/runtime.txt /tmp/runtime.txt
RUN python3 -m pip install --no-cache-dir --no-compile --disable-pip-version-check --require-hashes --no-deps \
        --only-binary :all: --target /opt/grpcbalance/lib --requirement /tmp/runtime.txt
COPY operator/grpcbalance /opt/grpcbalance/lib/grpcbalance
# Tests and types are never imported. Bytecode is made here, since the file system is read-only later: the operator
# starts 1 s sooner. Not for the client's thousands of models, which would add 50 MB and which nobody imports.
RUN find /opt/grpcbalance/lib \( -name tests -o -name test -o -name '*_test.py' -o -name '*.pyi' -o -name bin \) \
        -prune -exec rm -r {} + \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        -x 'kubernetes/(aio/)?client/(api|models)/' /opt/grpcbalance/lib

FROM ${BASE}
COPY --from=build /opt/grpcbalance/lib /opt/grpcbalance/lib
ENV PYTHONPATH=/opt/grpcbalance/lib PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["python3", "-m", "grpcbalance"]
CMD ["operator"]
