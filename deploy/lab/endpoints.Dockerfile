# The lab's SIP endpoints: one baresip, one account per site; its configuration is mounted at /lab.
FROM debian:bookworm-slim
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends baresip-core \
 && rm -rf /var/lib/apt/lists/*
CMD ["/bin/sh", "-c", "mkdir -p /run/baresip && cp /lab/* /run/baresip/ && exec baresip -4 -f /run/baresip"]
