#!/usr/bin/env bash
# Every row that one adapter can fill, on a bare machine: needs a Vulkan driver and the
# `wisp` binary, no files and no network.
#
#   gpu.sh WISP OUT          writes OUT/*.txt, *.json, *.svg and OUT/summary.md
#
# QUICK=1 takes a small model in place of those of the tables: a dry run.
set -uo pipefail
wisp=$(realpath "$1") && mkdir -p "$2" && out=$(realpath "$2") || exit 1
export WISP_HOME="$out/home"

# Shape, type, and the largest context that is measured.
rows="llama-3.2-1b:q4_0:32768 llama-3.2-1b:q8_0:4096 llama-3.2-1b:f16:4096
llama-3.1-8b:q4_0:16384 llama-3.1-8b:q4_k_m:4096 llama-3.1-8b:q8_0:4096
qwen3-4b:q4_k_m:4096 qwen3-30b-a3b:q4_k_m:4096 gpt-oss-20b:mxfp4:4096"
prompts="128,512,2048,8192" batches="1,4,16,64" rounds=5 limit=120
if [ -n "${QUICK:-}" ]; then
    rows="smollm2-135m:q4_0:256" prompts="16" batches="1,4" rounds=1 limit=600
fi

{
    echo "# $(date -u +%F)"
    "$wisp" devices
    command -v nvidia-smi > /dev/null && nvidia-smi -L
} > "$out/devices.txt" 2>&1
failed=0
printf '' > "$out/summary.md"
for row in $rows; do
    IFS=: read -r shape type deepest <<< "$row"
    name="$shape-$type"
    depths=$(for depth in 128 4096 16384 32768; do
        [ "$depth" -le "$deepest" ] && printf '%s,' "$depth"
    done)
    start=$SECONDS
    # A decode step at a depth beyond the prompt needs no prompt: the cache holds whatever.
    if timeout "$limit" "$wisp" bench --quiet --shape "$shape" --type "$type" --repeat "$rounds" \
        --prefill "$prompts" --depth "${depths%,}" --ops --roofline "$out/$name.svg" \
        > "$out/$name.txt" 2> "$out/$name.err" \
        && timeout "$limit" "$wisp" bench --quiet --shape "$shape" --type "$type" --repeat "$rounds" \
            --batch "$batches" >> "$out/$name.txt" 2>> "$out/$name.err"; then
        verdict="$((SECONDS - start)) s"
    else
        verdict="FAILED: $(tail -n 1 "$out/$name.err")"
        failed=1
    fi
    printf '## %s %s (%s)\n\n```text\n%s\n```\n\n' \
        "$shape" "$type" "$verdict" "$(cat "$out/$name.txt")" >> "$out/summary.md"
done
# What a quantized cache costs and gains, far into a context.
if [ -z "${QUICK:-}" ]; then
    for kv in f16 q8_0 q4_0; do
        "$wisp" bench --quiet --shape llama-3.2-1b --type q4_0 --kv "$kv" --depth 16384 --json \
            > "$out/kv-$kv.json" 2>> "$out/kv.err" || failed=1
    done
fi
cat "$out/summary.md"
exit "$failed"
