//! Running other programs from the workspace's root.

use std::{
    fmt,
    io::{self, Read},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A program could not be run at all.
#[derive(Debug)]
pub(crate) struct CannotRun {
    command: String,
    error: io::Error,
}

impl fmt::Display for CannotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be run: {}", self.command, self.error)
    }
}

impl CannotRun {
    pub(crate) fn new(command: &Command, error: io::Error) -> Self {
        Self::named(&command.get_program().to_string_lossy(), error)
    }

    /// A step that is no program of its own.
    pub(crate) fn named(step: &str, error: io::Error) -> Self {
        Self { command: step.to_owned(), error }
    }
}

/// The workspace's root folder.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.clone(), PathBuf::from)
}

/// The Cargo that runs us, in the workspace's root.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// Runs a command with its output going to ours; whether it succeeded.
pub(crate) fn passes(mut command: Command) -> Result<bool, CannotRun> {
    match command.status() {
        Ok(status) => Ok(status.success()),
        Err(error) => Err(CannotRun::new(&command, error)),
    }
}

/// How a bounded run ended.
pub(crate) enum Ending {
    /// By itself.
    Exited(Output),
    /// It was stopped at its time limit; this is what it had said.
    TimedOut(Output),
}

/// Runs a command and collects its output, for at most so long: a suite that hangs must not hang all of CI.
pub(crate) fn collect(mut command: Command, limit: Duration) -> Result<Ending, CannotRun> {
    let started = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| CannotRun::new(&command, error))?;
    let stdout = reading(child.stdout.take());
    let stderr = reading(child.stderr.take());
    let mut in_time = true;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if in_time && started.elapsed() > limit => {
                in_time = false;
                stop(&mut child).map_err(|error| CannotRun::new(&command, error))?;
            }
            Ok(None) => thread::sleep(Duration::from_millis(20)),
            Err(error) => return Err(CannotRun::new(&command, error)),
        }
    };
    let output = Output { status, stdout: finished(stdout), stderr: finished(stderr) };
    Ok(if in_time { Ending::Exited(output) } else { Ending::TimedOut(output) })
}

fn stop(child: &mut Child) -> io::Result<()> {
    match child.kill() {
        // It ended by itself in this very moment.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        outcome => outcome,
    }
}

/// Reads a pipe aside, so that the program never waits for us to take its output.
fn reading(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe
            && let Err(error) = pipe.read_to_end(&mut bytes)
        {
            bytes.extend_from_slice(format!("\n(the rest of the output was lost: {error})\n").as_bytes());
        }
        bytes
    })
}

fn finished(reader: thread::JoinHandle<Vec<u8>>) -> Vec<u8> {
    reader.join().unwrap_or_default()
}
