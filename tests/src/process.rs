//! Runs a program to its end, with a limit, and keeps everything it said.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long any one program of a test may run before it counts as hanging.
pub const TIME_LIMIT: Duration = Duration::from_secs(120);

/// What a program did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit status as the kernel gave it.
    pub status: ExitStatus,
}

impl Outcome {
    /// Exit code; `None` when a signal ended it.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The signal that ended it.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// Itself, once it is sure that it ended with 0.
    ///
    /// # Panics
    /// When it did not.
    pub fn ok(self) -> Self {
        assert!(self.status.success(), "{self:#?}");
        self
    }
}

/// Runs `command` to its end.
///
/// # Panics
/// When it cannot be started or runs longer than [`TIME_LIMIT`] (it is killed then).
pub fn run(command: &mut Command) -> Outcome {
    run_with_input(command, "")
}

/// The same with `input` on its standard input.
///
/// # Panics
/// As [`run`].
pub fn run_with_input(command: &mut Command, input: &str) -> Outcome {
    let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
    // It tells the harness which binary to test and is no setting of the recorder.
    command.env_remove("PERFVISOR_BIN");
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    if let Some(mut pipe) = child.stdin.take() {
        let input = input.to_owned();
        // A program that ends without having read it all is judged by its status.
        std::thread::spawn(move || drop(pipe.write_all(input.as_bytes())));
    }
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let status = wait(&mut child, command);
    Outcome {
        stdout: stdout.join().expect("reader of stdout"),
        stderr: stderr.join().expect("reader of stderr"),
        status,
    }
}

fn wait(child: &mut Child, command: &Command) -> ExitStatus {
    let begin = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait().expect("wait for the program") {
            return status;
        }
        if begin.elapsed() > TIME_LIMIT {
            kill(child);
            panic!("still running after {TIME_LIMIT:?}, killed: {command:?}");
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// Kills `child`, and all it started if it leads a process group of its own, and waits for it.
pub(crate) fn kill(child: &mut Child) {
    let pid = i32::try_from(child.id()).expect("pid");
    // SAFETY: getpgid and kill touch no memory; the group is led by a child not yet waited for, so
    // its number is nobody else's.
    unsafe {
        if libc::getpgid(pid) == pid {
            libc::kill(-pid, libc::SIGKILL);
        }
    }
    // It may have ended meanwhile.
    let _ = child.kill();
    child.wait().expect("wait for the killed program");
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before a read error is still worth comparing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
