# diemcau as one image. Everything that is installed comes from the locks, hashes checked.
#
#   docker build -t diemcau .
#   docker run -p 127.0.0.1:8080:8080 -v diemcau:/data diemcau

FROM python:3.11-slim AS build
WORKDIR /src
# the build backend, from the full lock, in an environment that stays behind
COPY requirements.lock requirements.run.lock ./
RUN python -m venv /build && /build/bin/pip install --no-cache-dir --quiet --require-hashes -r requirements.lock
RUN python -m venv /opt/diemcau \
 && /opt/diemcau/bin/pip install --no-cache-dir --quiet --require-hashes -r requirements.run.lock
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY schedules schedules
COPY adapters adapters
COPY orchestrator orchestrator
COPY api api
RUN /build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheel . \
 && /opt/diemcau/bin/pip install --no-cache-dir --quiet --no-deps /wheel/*.whl

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin diemcau \
 && install --directory --owner diemcau --group diemcau --mode 700 /data
COPY --from=build /opt/diemcau /opt/diemcau
ENV PATH=/opt/diemcau/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DIEMCAU_DATA_DIR=/data \
    DIEMCAU_HOST=0.0.0.0
USER diemcau
VOLUME /data
EXPOSE 8080/tcp 5060/udp 5060/tcp
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["diemcau"]
CMD ["serve"]
