# syntax=docker/dockerfile:1
# Lucida as an image: the server, ONNX Runtime beside it, no weights.
#
#     docker build -t lucida .
#     docker run --rm lucida config reference
#
# examples/cluster runs it. Models are mounted, not built in: they are larger than all else and change on their own.

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
# The caches outlive the build, so the program is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin lucida \
    && cp target/release/lucida /lucida

# ONNX Runtime as its project publishes it, in the version and with the hashes of core/setup/src/runtime.rs.
FROM python:3.11-slim-bookworm AS onnxruntime
RUN echo 'onnxruntime==1.31.1 \
    --hash=sha256:5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f \
    --hash=sha256:da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3' > /requirements.txt
RUN pip download --no-cache-dir --no-deps --only-binary :all: --require-hashes --dest /wheel -r /requirements.txt \
    && python -m zipfile -e /wheel/*.whl /unpacked \
    && mkdir /onnxruntime \
    && cp /unpacked/onnxruntime/LICENSE /unpacked/onnxruntime/ThirdPartyNotices.txt /onnxruntime/ \
    && cp /unpacked/onnxruntime/capi/libonnxruntime.so.* /onnxruntime/libonnxruntime.so

# Debian's smallest, for its C++ library, which ONNX Runtime needs.
FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="Lucida" \
      org.opencontainers.image.description="An embedding server for photos and text" \
      org.opencontainers.image.licenses="Apache-2.0"
# The certificates of public authorities, without the package's OpenSSL.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
RUN groupadd --system --gid 10001 lucida \
    && useradd --system --uid 10001 --gid lucida --home-dir /var/lib/lucida --shell /usr/sbin/nologin lucida \
    && install -d -o lucida -g lucida /var/lib/lucida /var/cache/lucida /models
COPY --from=onnxruntime /onnxruntime /usr/local/lib/onnxruntime
COPY --from=build /build/LICENSE /usr/local/share/doc/lucida/LICENSE
COPY --from=build /build/config/production.toml /usr/local/share/doc/lucida/production.toml
COPY --from=build /lucida /usr/local/bin/lucida
ENV ORT_DYLIB_PATH=/usr/local/lib/onnxruntime/libonnxruntime.so \
    LUCIDA_CACHE_DIR=/var/cache/lucida
USER 10001:10001
WORKDIR /var/lib/lucida
VOLUME ["/var/lib/lucida", "/var/cache/lucida"]
EXPOSE 8080 8081
# It reads the settings that `serve` reads, from LUCIDA_CONFIG and the other variables: the flags of a command are not seen. A
# worker is asked by `lucida health --worker`.
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s --retries=3 CMD ["lucida", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["lucida"]
CMD ["serve"]
