# Genga with everything in it, without a GPU: docker build -t genga . (for NVIDIA GPUs: --build-arg TORCH=, then docker run --gpus all)
FROM python:3.12-slim
ARG TORCH=cpu
RUN apt-get update && apt-get install --yes --no-install-recommends git make && rm -rf /var/lib/apt/lists/*
WORKDIR /genga
COPY . .
RUN make setup TORCH=$TORCH && rm -rf ~/.cache/pip
# DVC needs a repository. Of a clone its own is copied; of a downloaded archive one is made.
RUN git config --global --add safe.directory /genga \
    && { git rev-parse --git-dir > /dev/null 2>&1 \
         || { git init --quiet && git add -A && git -c user.name=genga -c user.email=genga@localhost commit --quiet -m Start; }; }
ENV PATH=/genga/.venv/bin:$PATH DVC_NO_ANALYTICS=1
CMD ["bash"]
