#!/usr/bin/env bash
# Everything about speed and correctness that only a GPU can show: one script, at most six minutes on one H200.
#
#     benchmarks/gpu.sh                  # writes results/speed/gpu.json
#     benchmarks/gpu.sh --device cpu     # tries the script out on small shapes; writes build/gpu/gpu.json
#
# Needs: this package with its extras test, train and embedders, a CUDA build of torch, and a GPU that nothing else
# uses; flash-attn is measured if it is there. No network: weights are random or bundled. PYTHON names the interpreter
# (default: python). What every part said is kept in build/gpu/. A part that fails or takes too long does not keep the
# others from running: the report names it, and the exit code is 1.
set -u
case "$*" in
  "" | "--device cuda") device=cuda ;;
  "--device cpu") device=cpu ;;
  *) echo "usage: $0 [--device cuda|cpu]" >&2 && exit 2 ;;
esac
cd "$(dirname "$0")/.." || exit 2
python=${PYTHON:-python} work=build/gpu
rm -rf "$work" && mkdir -p "$work" || exit 2
export HF_HUB_OFFLINE=1 CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES-0}
[ "$device" = cpu ] && CUDA_VISIBLE_DEVICES=

part() { # its name, most seconds, and how it is run
  local start=$SECONDS code
  timeout --kill-after=5 "$2" "${@:3}" >"$work/$1.out" 2>"$work/$1.err"
  code=$?
  echo "$code $((SECONDS - start))" >"$work/$1.ended"
  echo "$1: exit code $code after $((SECONDS - start)) s"
}

part tests 80 "$python" -m pytest -q -m gpu tests/gpu
for limit in encode:95 flash:40 train:45 distributed:55; do
  part "${limit%:*}" "${limit#*:}" "$python" benchmarks/gpu.py "${limit%:*}" --device "$device"
done
"$python" benchmarks/gpu.py report --device "$device"
