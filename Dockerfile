# Dockerfile - thinkwired, thinkwire-worker and the thinkwire tool on Debian 12.
# SPDX-License-Identifier: MIT
FROM debian:12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
        build-essential cmake ninja-build pkg-config uthash-dev libcmocka-dev \
        libwebsockets-dev libwebsockets-evlib-uv libuv1-dev libhiredis-dev \
        libcurl4-openssl-dev libjson-c-dev libjwt-dev \
    && rm -rf /var/lib/apt/lists/*
COPY . /src
WORKDIR /src
RUN cmake --preset release && cmake --build --preset release --target thinkwired thinkwire_worker thinkwire_cli

FROM debian:12-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
        libwebsockets17 libwebsockets-evlib-uv libuv1 libhiredis0.14 libcurl4 libjson-c5 \
        libjwt0 ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home thinkwire
COPY --from=build /src/build/release/bin/thinkwired /src/build/release/bin/thinkwire-worker \
    /src/build/release/bin/thinkwire /usr/local/bin/
USER thinkwire
EXPOSE 9000
# Inside a container the network is the container's own: who may reach port 9000 is decided
# by what is published, hence --insecure.
ENTRYPOINT ["thinkwired", "--listen", "0.0.0.0:9000", "--insecure"]
