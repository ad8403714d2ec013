//! `wisp`: language models on any GPU, from the command line.

mod args;
mod bytes;
mod commands;
mod engine;
mod files;
mod interrupt;
mod messages;
mod npy;
mod out;
mod progress;
mod serve;
mod store;

use std::process::ExitCode;

fn main() -> ExitCode {
    silence_device_select();
    out::guard(|| {
        let cli = args::parse()?;
        out::set_volume(cli.global.quiet, cli.global.verbose);
        commands::run(cli)
    })
}

/// Mesa's device-select layer asks the desktop which GPU it is on, and writes an
/// error to our stderr where there is no desktop. Nothing to ask there: switch it off.
#[allow(unsafe_code)]
fn silence_device_select() {
    if cfg!(target_os = "linux") && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: the first thing that the process does, with one thread: nobody reads
        // the environment meanwhile.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}
