// One round of a rival: a backend of llama.cpp's, by the C interface, as `llama-bench` does it.
//
//   llama LIBRARIES MODEL PROMPT_TOKENS GENERATE CONTEXT vulkan|cuda|cpu [THREADS]
//
// LIBRARIES is the folder with libggml-cpu-*.so, and with vulkan/libggml-vulkan.so or
// cuda/libggml-cuda.so. Prints one JSON object: tokens a second in
// prefill and decode, each after a warm-up that compiles the pipelines. No token is drawn,
// though llama.cpp would do it on the host: that is left out in its favour.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "llama.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "llama.cpp: %s\n", what);
    exit(1);
}

static void errors(enum ggml_log_level level, const char *text, void *unused) {
    (void) unused;
    if (level == GGML_LOG_LEVEL_ERROR) {
        fputs(text, stderr);
    }
}

// `count` tokens in steps of at most `step`, from an empty cache on or behind what it has.
static double run(struct llama_context *context, llama_token *tokens, int count, int step) {
    double start = now();
    for (int at = 0; at < count; at += step) {
        int some = count - at < step ? count - at : step;
        if (llama_decode(context, llama_batch_get_one(tokens + at, some)) != 0) {
            fail("a step failed");
        }
        if (step == 1) {
            llama_synchronize(context); // logits go to the host before the next token is known
        }
    }
    llama_synchronize(context);
    return now() - start;
}

int main(int argc, char **argv) {
    if (argc < 7) {
        fail("give LIBRARIES MODEL PROMPT_TOKENS GENERATE CONTEXT BACKEND [THREADS]");
    }
    const char *backend = argv[6];
    int prompt = atoi(argv[3]), generate = atoi(argv[4]), room = atoi(argv[5]);
    int threads = argc > 7 ? atoi(argv[7]) : 1;
    if (prompt < 1 || generate < 1 || room < prompt + generate) {
        fail("the context has no room for the prompt and what is generated");
    }
    llama_log_set(errors, NULL);
    ggml_backend_load_all_from_path(argv[1]);
    int on_cpu = strcmp(backend, "cpu") == 0;
    if (!on_cpu) {
        char library[4096];
        snprintf(library, sizeof library, "%s/%s/libggml-%s.so", argv[1], backend, backend);
        if (!ggml_backend_load(library)) {
            fail("the backend's library cannot be loaded");
        }
    }
    llama_backend_init();

    // The first device of the backend, and no other.
    ggml_backend_dev_t devices[2] = {NULL, NULL};
    for (size_t i = 0; i < ggml_backend_dev_count() && !devices[0]; i++) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        const char *name = ggml_backend_dev_name(device);
        if (strncasecmp(name, backend, strlen(backend)) == 0) {
            devices[0] = device;
        }
    }
    if (!devices[0]) {
        fail("the backend is not there, or has no device");
    }

    double start = now();
    struct llama_model_params load = llama_model_default_params();
    load.devices = devices;
    load.n_gpu_layers = on_cpu ? 0 : -1;
    if (on_cpu) {
        load.devices = NULL;
    }
    struct llama_model *model = llama_model_load_from_file(argv[2], load);
    if (!model) {
        fail("the model cannot be loaded");
    }
    double load_s = now() - start;
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = (uint32_t) room;
    params.n_threads = params.n_threads_batch = threads;
    struct llama_context *context = llama_init_from_model(model, params);
    if (!context) {
        fail("there is no room for the context");
    }

    // As `wisp bench` has them: no two alike nearby, so that experts share the work.
    int vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
    llama_token *tokens = malloc(sizeof(llama_token) * (size_t) room);
    if (!tokens) {
        fail("out of memory");
    }
    for (int at = 0; at < room; at++) {
        tokens[at] = (llama_token) (((int64_t) at * 7919 + 104740) % vocab);
    }
    llama_memory_t cache = llama_get_memory(context);
    double prefill_s = 0, decode_s = 0;
    for (int round = 0; round < 2; round++) { // the first warms up
        llama_memory_clear(cache, true);
        prefill_s = run(context, tokens, prompt, (int) llama_n_batch(context));
        decode_s = run(context, tokens + prompt, round == 0 && generate > 4 ? 4 : generate, 1);
    }
    printf(
        "{\"device\":\"%s\",\"load_ms\":%.1f,\"prefill_tokens_per_s\":%.3f,"
        "\"decode_tokens_per_s\":%.3f}\n",
        ggml_backend_dev_description(devices[0]), load_s * 1e3, prompt / prefill_s,
        generate / decode_s);
    fflush(stdout);
    _Exit(0); // drivers take seconds to tidy up, or fail at it
}
