//! Other engines: each a Python process that runs a case when it is told to, and sleeps otherwise.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde::Deserialize;

use super::{Arguments, Failure};

/// What a case gave.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Ran {
    /// Tokens of answers per second.
    pub(crate) rate: f64,
    /// The answers' tokens.
    pub(crate) answers: Vec<Vec<u32>>,
}

/// A running peer.
pub(crate) struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts `bench/inference/<script>`; nothing, with a message, if it does not come up.
    pub(crate) fn start(arguments: &Arguments, script: &str, threads: usize) -> Option<Self> {
        let started = Self::spawn(arguments, script, threads);
        started.inspect_err(|error| println!("  {script}: left out, {error}")).ok()
    }

    fn spawn(arguments: &Arguments, script: &str, threads: usize) -> Result<Self, Failure> {
        let python = arguments.python.as_ref().ok_or("no Python environment")?;
        let folder = Path::new("bench/inference");
        let mut child = Command::new(python)
            .arg(folder.join(script))
            .arg(&arguments.cache)
            .arg(threads.to_string())
            .env("OMP_NUM_THREADS", threads.to_string())
            .env("HF_HUB_OFFLINE", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().ok_or("no input")?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut peer = Self { child, input, output };
        if peer.line()?.trim() == "ready" { Ok(peer) } else { Err("it did not start".into()) }
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line)
    }

    /// Runs a case with `tokens` to each answer.
    pub(crate) fn run(&mut self, case: &str, tokens: usize) -> Result<Ran, Failure> {
        writeln!(self.input, "{case} {tokens}")?;
        self.input.flush()?;
        let line = self.line()?;
        serde_json::from_str(&line).map_err(|error| format!("{case}: {error} in {line:?}").into())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It would end with its input as well; nothing of it is to be kept.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
