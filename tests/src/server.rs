//! Servers that a test starts, loads and ends.

use crate::perfvisor::{Perfvisor, Recording};
use crate::process::{kill, Outcome};
use crate::scratch::Scratch;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to begin to listen, and to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server, killed with all it started when the test fails before it ends.
pub struct Server {
    child: Child,
    scratch: Option<Scratch>,
}

impl Server {
    /// Starts a server under `perfvisor run` and waits until it listens on `port`.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn start(perfvisor: Perfvisor, port: u16) -> Self {
        let (mut command, scratch) = perfvisor.command();
        Self::start_command(&mut command, scratch, port)
    }

    /// Starts `command` and waits until it listens on `port`; its output goes to `scratch`.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn start_command(command: &mut Command, scratch: Scratch, port: u16) -> Self {
        let output = |name: &str| std::fs::File::create(scratch.join(name)).expect("log");
        let child = command
            .stdin(Stdio::null())
            .stdout(output("stdout"))
            .stderr(output("stderr"))
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let server = Self { child, scratch: Some(scratch) };
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begin.elapsed() < PATIENCE, "does not listen: {command:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// Waits for the end the caller has asked for.
    ///
    /// # Panics
    /// When it does not come.
    #[must_use]
    pub fn finish(mut self) -> Recording {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                break status;
            }
            assert!(begin.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        let scratch = self.scratch.take().expect("scratch");
        let log = |name: &str| std::fs::read_to_string(scratch.join(name)).expect("log");
        let (stdout, stderr) = (log("stdout"), log("stderr"));
        Recording::from_parts(Outcome { stdout, stderr, status }, scratch)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Only when a test failed half-way; a server that has ended cannot be killed.
        if self.scratch.is_some() {
            kill(&mut self.child);
        }
    }
}

/// A port nobody listens on.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("port").port()
}

/// A configuration of nginx that serves `directory` with two workers.
#[must_use]
pub fn nginx_configuration(directory: &Path, port: u16) -> String {
    let place = directory.display();
    format!(
        "daemon off; worker_processes 2; user root; pid {place}/pid; error_log {place}/error.log;
         events {{ worker_connections 256; }}
         http {{
           access_log {place}/access.log; client_body_temp_path {place}/body;
           proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;
           uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi; gzip on;
           server {{ listen 127.0.0.1:{port}; root {place}; }}
         }}"
    )
}
