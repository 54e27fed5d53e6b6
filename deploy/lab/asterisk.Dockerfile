# An Asterisk with H.323 for the lab; its configuration is mounted at /lab (python -m tests.peers.lab.write).
# Debian has asterisk-ooh323 in sid and bullseye only.
FROM debian:sid-slim
RUN printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends asterisk asterisk-ooh323 \
 && rm -rf /var/lib/apt/lists/* \
 && ln -s /usr/lib/*/asterisk/modules /usr/lib/asterisk-modules \
 && mkdir -p /var/asterisk/db /var/asterisk/keys/keys /var/asterisk/spool/outgoing /var/asterisk/spool/tmp \
    /var/asterisk/run /var/asterisk/log/h323 /var/asterisk/cache
CMD ["/bin/sh", "-c", "cp /lab/*.conf /etc/asterisk/ && for call in /lab/*.call; do [ ! -e $call ] || cp $call /var/asterisk/spool/outgoing/; done; exec /usr/sbin/asterisk -f"]
