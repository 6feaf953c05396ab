//! The `openledger` binary: a thin shell over the `node` library.

mod cli;

use std::{env, process::Command};

use clap::Parser;

/// How many threads the tensor library keeps for itself.
const TENSOR_THREADS: &str = "CANDLE_NUM_THREADS";

fn main() -> eyre::Result<()> {
    let arguments = cli::Arguments::parse();
    if env::var_os(TENSOR_THREADS).is_none() {
        restart_with_one_tensor_thread();
    }
    cli::run(arguments)
}

/// Our kernels use every core already, and the tensor library's own threads spin while they wait,
/// which makes gradients several times slower. Its only switch is the environment, which a process
/// with threads cannot change safely, so the program begins again under the same process id.
fn restart_with_one_tensor_thread() {
    use std::os::unix::process::CommandExt;
    if let Ok(program) = env::current_exe() {
        // It returns only if it fails; then the program is slower, and right all the same.
        let _ = Command::new(program).args(env::args_os().skip(1)).env(TENSOR_THREADS, "1").exec();
    }
}
