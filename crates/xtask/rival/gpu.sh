#!/usr/bin/env bash
# Every figure that one adapter can give, beside llama.cpp's, most wanted first.
#
#   gpu.sh OUT
#
# Lies in a folder that `cargo xtask rivals gpu` makes: `wisp`, `llama/` (the rival), `loader/`
# (Vulkan's). The machine needs a driver, no files and no network. Writes OUT/summary.md and six
# other files, as it goes: a run that is cut off leaves what it has.
#
# LIMIT=SECONDS  the end of it all, 540 unless given (1200 for a dry run)
# QUICK=1        a small model, few tokens: a dry run
# ROUNDS=N       rounds of the rows with rivals, 5 unless given
set -uo pipefail
[ $# -eq 1 ] || { echo "give a folder for the results" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd) && mkdir -p "$1" && out=$(cd "$1" && pwd) || exit 1
wisp=$here/wisp limit=${LIMIT:-540} failed=0
temporary=$(mktemp -d) && trap 'rm -rf "$temporary" "${models:-$temporary}"' EXIT
export WISP_HOME="$temporary/home" CUDA_CACHE_PATH="$temporary/cuda" XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-$temporary}"
rm -f "$out"/{summary.md,devices.txt,rounds.tsv,rows.md,kernels.txt,log.txt,rooflines.tar.gz}
touch "$out/rounds.tsv" "$out/rows.md"

# What rivals and wisp run together, then what wisp runs with less of the adapter, then alone.
rivals="llama-3.2-1b:q4_0 llama-3.1-8b:q4_0 llama-3.1-8b:q4_k_m llama-3.1-8b:q8_0"
less="llama-3.2-1b:q4_0 llama-3.1-8b:q4_0" caps="dot=off coop=off"
# Shape, type, and the largest context that is measured.
alone="llama-3.2-1b:q4_0:32768 llama-3.1-8b:q4_0:16384 llama-3.1-8b:q4_k_m:4096
qwen3-30b-a3b:q4_k_m:4096 gpt-oss-20b:mxfp4:4096 llama-3.1-8b:q8_0:4096
llama-3.2-1b:q8_0:4096 llama-3.2-1b:f16:4096 qwen3-4b:q4_k_m:4096"
prompt=512 generate=128 rounds=${ROUNDS:-5} row_limit=80 check_limit=45 one_limit=60
prompts=128,512,2048,8192 batches=1,4,16,64 kvs="f16 q8_0 q4_0" deep=16384 kernels="" each="--repeat 3"
if [ -n "${QUICK:-}" ]; then
    rivals=smollm2-135m:q4_0 less=smollm2-135m:q4_0 alone=smollm2-135m:q4_0:128
    # Slow is no fault where it is software that draws.
    prompt=16 generate=4 rounds=${ROUNDS:-1} check_limit=5 one_limit=300 limit=${LIMIT:-1200}
    prompts=16 batches=1,4 kvs=q8_0 deep=128 kernels=rms each="--repeat 1 --prompt-tokens 16 --generate 4"
fi

note() { printf '%s\n' "$*" | tee -a "$out/log.txt" >&2; }
left() { echo $((limit - SECONDS)); }
least() { echo $(($1 < $2 ? $1 : $2)); }
# Runs a command for so many seconds at most, and never beyond the end.
within() {
    local seconds
    seconds=$(least "$1" "$(left)")
    shift
    [ "$seconds" -gt 3 ] && timeout -k 2 "$seconds" "$@" 2>> "$out/log.txt"
}

# A driver without a loader, or where no loader looks.
if ! { ldconfig -p || /sbin/ldconfig -p; } 2> /dev/null | grep -q libvulkan.so.1; then
    export LD_LIBRARY_PATH="$here/loader${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    note "Vulkan's loader is ours"
fi
icd=/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json
if [ -z "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] && [ -f $icd ]; then
    export VK_DRIVER_FILES=$icd
fi
# CUDA's libraries are those of a toolkit, or of PyTorch.
backends=vulkan cuda_path=""
if [ -f "$here/llama/cuda/libggml-cuda.so" ]; then
    for library in libcudart.so.13 libcublas.so.13 libcublasLt.so.13; do
        file=$( (ls -d /usr/local/cuda*/lib64/$library /usr/local/cuda*/targets/*/lib/$library
            timeout 20 find / -xdev -name $library) 2> /dev/null | head -n 1)
        [ -n "$file" ] && cuda_path="$cuda_path${cuda_path:+:}$(dirname "$file")"
    done
    if [[ $cuda_path == *:*:* ]]; then
        backends="vulkan cuda"
    else
        note "llama.cpp CUDA: no libcudart, libcublas and libcublasLt of CUDA 13 on this machine"
    fi
else
    note "llama.cpp CUDA: not carried"
fi
models=$temporary
if [ "$(df -Pk /dev/shm 2> /dev/null | awk 'NR == 2 {print int($4 / 1e6)}')" -ge 12 ] 2> /dev/null; then
    models=$(mktemp -d /dev/shm/wisp-XXXXXX)
fi

# Median tokens a second of prefill or decode in what `wisp bench --json` printed.
median() { tr -d ' \n' <<< "$2" | sed -n "s/.*\"$1\":{\"tokens_per_s\":{[^}]*\"median\":\([^,}]*\).*/\1/p"; }
field() { tr -d ' \n' <<< "$2" | sed -n "s/.*\"$1\":\([^,}]*\).*/\1/p"; }
# A row of rounds.tsv: shape type engine prefill decode share-of-bandwidth
ours() { # shape type engine caps [label]
    local json
    json=$(within $one_limit env ${4:+WISP_CAPS="$4"} "$wisp" bench --quiet --json --shape "$1" --type "$2" \
        --prompt-tokens $prompt --generate $generate --repeat 1 --ctx 4096) || return 1
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2${5:-}" "$3" "$(median prefill "$json")" \
        "$(median decode "$json")" "$(field bandwidth_share "$json")" >> "$out/rounds.tsv"
}
theirs() { # shape type backend file
    local json libraries="${LD_LIBRARY_PATH:-}"
    [ "$3" = cuda ] && libraries="$cuda_path${libraries:+:$libraries}"
    json=$(within $((one_limit * 2)) env LD_LIBRARY_PATH="$libraries" GGML_VK_VISIBLE_DEVICES=0 \
        "$here/llama/llama" "$here/llama" "$4" $prompt $generate 4096 "$3" "$(nproc)") || return 1
    printf '%s\t%s\tllama.cpp %s\t%s\t%s\t\n' "$1" "$2" "$3" "$(field prefill_tokens_per_s "$json")" \
        "$(field decode_tokens_per_s "$json")" >> "$out/rounds.tsv"
}

# Medians of rounds.tsv as a table: an engine a row, and wisp over it.
table() {
    awk -F '\t' '
        function median(list, n, i, j, t, v) {
            split(list, v, " ")
            for (i = 2; i <= n; i++) for (j = i; j > 1 && v[j - 1] + 0 > v[j] + 0; j--) {
                t = v[j]; v[j] = v[j - 1]; v[j - 1] = t
            }
            return n ? (v[int((n + 1) / 2)] + v[int(n / 2) + 1]) / 2 : 0
        }
        function spread(list, n, i, v, low, high) {
            split(list, v, " "); low = high = v[1] + 0
            for (i = 2; i <= n; i++) { if (v[i] + 0 < low) low = v[i] + 0; if (v[i] + 0 > high) high = v[i] + 0 }
            return sprintf("%.1f (%.1f to %.1f)", median(list, n), low, high)
        }
        { row = $1 " " $2; if (!(row in rows)) { rows[row]; order[++count] = row }
          key = row SUBSEP $3; if (!(key in n)) { engines[row] = engines[row] "\t" $3 }
          n[key]++; p[key] = p[key] " " $4; d[key] = d[key] " " $5; s[key] = s[key] " " $6 }
        END {
            print "| model | engine | rounds | prefill | decode | share of bandwidth | wisp: prefill | decode |"
            print "|---|---|---|---|---|---|---|---|"
            for (r = 1; r <= count; r++) {
                row = order[r]; own = row SUBSEP "wisp"
                m = split(substr(engines[row], 2), names, "\t")
                for (e = 1; e <= m; e++) {
                    key = row SUBSEP names[e]; share = median(s[key], n[key]); ratio = " | |"
                    if (names[e] != "wisp" && n[own] && median(p[key], n[key]) && median(d[key], n[key]))
                        ratio = sprintf(" %.2f× | %.2f× |", median(p[own], n[own]) / median(p[key], n[key]),
                            median(d[own], n[own]) / median(d[key], n[key]))
                    printf "| %s | %s | %d | %s | %s | %s |%s\n", row, names[e], n[key],
                        spread(p[key], n[key]), spread(d[key], n[key]),
                        share ? sprintf("%.0f %%", share * 100) : "", ratio
                }
            }
        }' "$out/rounds.tsv"
}
summary() {
    {
        printf '# %s\n\n```text\n%s\n```\n\n' "$(date -u +%F)" "$(cat "$out/devices.txt")"
        printf 'Prefill of %s tokens, decode of %s behind them; tokens a second, medians (least to\n' $prompt $generate
        printf 'most) of rounds in turns; the same random weights for all. Asked for: decode 1.2 times\n'
        printf 'llama.cpp vulkan and 1.0 times cuda, prefill 0.7 and 0.4 times.\n\n%s\n\n' "$(table)"
        cat "$out/rows.md"
        [ -s "$out/kernels.txt" ] && printf '## Kernels\n\n```text\n%s\n```\n\n' "$(cat "$out/kernels.txt")"
        printf '%s s in all. What was said meanwhile:\n\n```text\n%s\n```\n' "$SECONDS" \
            "$(sort "$out/log.txt" 2> /dev/null | uniq -c | sort -rn | head -n 40)"
    } > "$out/summary.new" && mv "$out/summary.new" "$out/summary.md"
}

# Is it right at all? The kernels of a model are checked at its first load anyway.
{
    within 60 "$wisp" devices || echo "wisp devices FAILED"
    command -v nvidia-smi > /dev/null && nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,clocks.max.mem --format=csv
    if checked=$(within $check_limit "$wisp" devices --check); then
        printf 'every kernel variant against its definition:\n%s\n' "$checked"
    elif [ $? -eq 124 ]; then
        printf 'every kernel variant against its definition: not done within %s s\n%s\n' $check_limit "$checked"
    else
        printf 'every kernel variant against its definition: FAILED\n%s\n' "$checked"
    fi
} > "$out/devices.txt" 2>&1
grep -q FAILED "$out/devices.txt" && failed=1
summary

for row in $rivals; do
    IFS=: read -r shape type <<< "$row"
    [ "$(left)" -gt 20 ] || { note "$row: not reached"; continue; }
    end=$((SECONDS + row_limit)) file="$models/$shape-$type.gguf" there=$backends
    start=$SECONDS
    within 60 "$wisp" quantize --quiet "shape:$shape" "$file" --type "$type" > /dev/null \
        || { note "$row: the model could not be written"; failed=1 there=""; }
    # The file's weights are those that bench makes on the device: one load of it shows that they can be read.
    if [ -f "$file" ] && tokens=$(within $one_limit "$wisp" generate "$file" --tokens 1,2,3 --max-tokens 4 --ctx 4096 --json); then
        note "$row: file written and loaded in $((SECONDS - start)) s, load_ms $(field load_ms "$tokens")"
    else
        note "$row: the file could not be loaded"; failed=1
    fi
    for ((round = 1; round <= rounds; round++)); do
        [ $round -gt 1 ] && [ $SECONDS -ge $end ] && { note "$row: time for $((round - 1)) rounds"; break; }
        ours "$shape" "$type" wisp "" || { note "$row: wisp failed"; failed=1; }
        for backend in $there; do
            theirs "$shape" "$type" "$backend" "$file" && continue
            note "$row: llama.cpp $backend failed"
            there=$(tr ' ' '\n' <<< "$there" | grep -vx "$backend")
        done
    done
    rm -f "$file"
    summary
done

for row in $less; do
    IFS=: read -r shape type <<< "$row"
    for ((round = 1; round <= (rounds + 1) / 2; round++)); do
        [ "$(left)" -gt 20 ] || { note "$row with fewer capabilities: not reached"; break; }
        for without in $caps; do
            # In turns with the default: both are of this moment.
            [ "$without" = "${caps%% *}" ] && { ours "$shape" "$type" wisp "" " again" || failed=1; }
            ours "$shape" "$type" "wisp --caps $without" "$without" " again" \
                || { note "$row --caps $without failed"; failed=1; }
        done
    done
    summary
done

measure() { # what, command…
    local what=$1 start=$SECONDS text status verdict
    shift
    [ "$(left)" -gt 15 ] || { note "$what: not reached"; return; }
    text=$(within $one_limit "$@"); status=$? verdict="$((SECONDS - start)) s"
    case $status in
        0) ;;
        124 | 137) verdict="cut off after $verdict" ;;
        *) verdict="FAILED with $status: $(tail -n 1 "$out/log.txt")" failed=1 ;;
    esac
    printf '## %s (%s)\n\n```text\n%s\n```\n\n' "$what" "$verdict" "$text" >> "$out/rows.md"
    summary
}
for row in $alone; do
    IFS=: read -r shape type deepest <<< "$row"
    depths=$(for depth in 128 4096 16384 32768; do
        [ "$depth" -le "$deepest" ] && printf '%s,' "$depth"
    done)
    # A decode step at a depth beyond the prompt needs no prompt: the cache holds whatever.
    measure "$shape $type" "$wisp" bench --quiet --shape "$shape" --type "$type" $each --prefill $prompts \
        --depth "${depths%,}" --ops --roofline "$temporary/$shape-$type.svg"
    measure "$shape $type, sequences at once" "$wisp" bench --quiet --shape "$shape" --type "$type" $each --batch $batches
    tar -C "$temporary" -czf "$out/rooflines.tar.gz" $(cd "$temporary" && ls ./*.svg 2> /dev/null) 2> /dev/null
    if [ "$row" = "${alone%%[ $'\n']*}" ]; then
        # What a quantized cache costs and gains, far into a context.
        for kv in $kvs; do
            measure "$shape $type, KV cache $kv" "$wisp" bench --quiet --shape "$shape" --type "$type" $each --kv "$kv" --depth $deep
        done
        if [ "$(left)" -gt 20 ]; then
            within 75 "$wisp" devices --bench --samples 3 ${kernels:+--filter $kernels} > "$out/kernels.txt" \
                || note "the bench of kernels: cut off or failed"
        fi
    fi
done
summary
cat "$out/summary.md"
exit $failed
