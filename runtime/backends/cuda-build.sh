#!/usr/bin/env bash
# Builds one target with Candle's CUDA kernels, on a machine that needs neither a GPU nor a driver nor a CUDA toolkit.
# What it does, and what the result needs to start, is in docs/cuda.md.
#
#   runtime/backends/cuda-build.sh --release -p wisp-backends --features cuda --lib
#
# Arguments are those of `cargo rustc`: one package, one target.
set -euo pipefail

# The oldest GPUs to run on, as compute capability without its dot: 80 is Ampere. Newer ones translate its PTX at first use.
export CUDA_COMPUTE_CAP="${CUDA_COMPUTE_CAP:-80}"
home="${WISP_HOME:-$HOME/.cache/wisp}/cuda-13.0"
cuda="$home/nvidia/cu13"
links="$home/links"

# 1. The compiler, the headers and the libraries, as wheels: cudarc takes 13.0 and refuses newer ones.
if [ ! -e "$home/complete" ]; then
    rm -rf "$home"
    mkdir -p "$home"
    "${WISP_PYTHON:-python3}" -m pip install --quiet --no-deps --only-binary=:all: --target "$home" \
        'nvidia-cuda-nvcc==13.0.*' 'nvidia-cuda-runtime==13.0.*' 'nvidia-cuda-cccl==13.0.*' 'nvidia-cuda-crt==13.0.*' \
        'nvidia-nvvm==13.0.*' 'nvidia-cuda-nvrtc==13.0.*' 'nvidia-cublas==13.0.*' 'nvidia-curand==10.4.0.*'

    # 2. What the linker looks for: the libraries under their unversioned names, and a driver that is empty. The real one is
    #    the machine's on which the result runs.
    mkdir -p "$links"
    for library in "$cuda"/lib/lib*.so.*; do
        name="$(basename "$library")"
        ln -sf "$library" "$links/${name%%.so.*}.so"
    done
    cc -shared -nostdlib -Wl,-soname,libcuda.so.1 -o "$links/libcuda.so" -x c /dev/null
    touch "$home/complete"
fi

export CUDA_HOME="$cuda" CUDA_PATH="$cuda" CUDA_ROOT="$cuda" CUDA_TOOLKIT_ROOT_DIR="$cuda"
export PATH="$cuda/bin:$PATH"
export LIBRARY_PATH="$links${LIBRARY_PATH:+:$LIBRARY_PATH}"

# 3. The driver's symbols are nowhere yet, and the linker would drop a library that gives it none.
exec cargo rustc "$@" -- \
    -C link-arg=-Wl,--unresolved-symbols=ignore-all -C link-arg=-Wl,--no-as-needed -C link-arg=-lcuda
