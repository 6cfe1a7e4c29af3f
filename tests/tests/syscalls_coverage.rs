//! System calls recorded against strace, call type by call type, on real programs, from the moment
//! the hook is ready.

use e2e::strace::{counted, Counts};
use e2e::syscalls::Syscalls;
use e2e::{
    free_port, hook_path, nginx_configuration, program, run, run_with_input, Outcome, Scratch,
    Server,
};
use perfvisor_format::syscalls;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Of strace's calls of one name, how many must be recorded.
const SHARE: f64 = 0.999;

/// `strace` around `program`, with the hook preloaded, and all the test's files in `scratch`.
fn traced(program: &Path, scratch: &Scratch) -> Command {
    let mut command = Command::new(e2e::program("strace", "strace"));
    command.args(["-f", "-s", "64", "-o"]).arg(scratch.join("log"));
    command.arg("-E").arg(format!("LD_PRELOAD={}", hook_path().display()));
    command.arg("-E").arg(format!("PERFVISOR_OUT={}", scratch.join("trace").display()));
    command.args(["-E", "PERFVISOR_QUIET=1", "--"]).arg(program);
    // What hangs is killed as a group: a killed strace lets go of what it traces.
    command.process_group(0).current_dir(scratch.path());
    command
}

/// Asserts that each call of the program in strace's log is in the report, in a row or without a
/// place, and that the report has no more than there were.
fn assert_covered(what: &str, scratch: &Scratch, least: &[(&str, u64)]) {
    let log = std::fs::read(scratch.join("log")).expect("log of strace");
    let oracle = counted(&String::from_utf8_lossy(&log));
    let calls = Syscalls::of(&scratch.join("trace"), &[]);
    assert_exercised(what, &oracle.program, least);
    let mut faults = Vec::new();
    let (mut all, mut seen_of_all) = (0, 0);
    for (name, &made) in &oracle.program {
        if !syscalls().any(|row| row.name == name) {
            faults.push(format!("{name}: strace has it, the table of system calls not"));
            continue;
        }
        let (seen, own) = (calls.all(name).count, calls.own(name));
        // What the hook does without blocking signals looks like the program's.
        let open = own.saturating_sub(oracle.recorder.get(name).copied().unwrap_or(0));
        all += made;
        seen_of_all += (seen + open).min(made);
        // It asks who it is before a forked child's table exists, and after it has closed it.
        let unknown = if matches!(&**name, "getpid" | "gettid") { 3 * oracle.tasks } else { 0 };
        if ((seen + open + unknown) as f64) < SHARE * made as f64 {
            faults.push(format!("{name}: {seen} recorded and {open} the hook's own, of {made}"));
        }
        if seen > made {
            faults.push(format!("{name}: {seen} recorded, only {made} made"));
        }
    }
    println!("{what}: {seen_of_all} of {all} calls of {} kinds", oracle.program.len());
    assert!(faults.is_empty(), "{what}: {faults:#?}");
}

/// Asserts that the program did what makes the comparison worth something.
fn assert_exercised(what: &str, oracle: &Counts, least: &[(&str, u64)]) {
    assert!(!oracle.is_empty(), "{what}: the log never shows the hook ready");
    for (name, count) in least {
        let have = oracle.get(*name).copied().unwrap_or(0);
        assert!(have >= *count, "{what}: only {have} {name}: {oracle:?}");
    }
}

fn assert_ended(outcome: &Outcome) {
    assert!(outcome.status.success(), "{outcome:#?}");
}

const PYTHON: &str = "
import os, socket, subprocess, tempfile, threading, time, select
def serve(listener):
    peer, _ = listener.accept()
    while data := peer.recv(100): peer.sendall(data)
listener = socket.create_server(('127.0.0.1', 0))
thread = threading.Thread(target=serve, args=(listener,)); thread.start()
client = socket.create_connection(listener.getsockname())
for i in range(300):
    client.sendall(b'x' * 50); assert len(client.recv(100)) == 50
client.close(); thread.join()
with tempfile.TemporaryDirectory() as place:
    for i in range(100):
        with open(f'{place}/{i}', 'w') as file: file.write('text' * i); file.flush(); os.fsync(file.fileno())
        os.stat(f'{place}/{i}'); os.rename(f'{place}/{i}', f'{place}/_{i}')
    assert len(os.listdir(place)) == 100
lock, total = threading.Condition(), [0]
def turn(side):
    for _ in range(200):
        with lock:
            while total[0] % 2 != side: lock.wait()
            total[0] += 1; lock.notify_all()
threads = [threading.Thread(target=turn, args=(side,)) for side in (0, 1)]
for thread in threads: thread.start()
for thread in threads: thread.join()
for _ in range(50): time.sleep(0.0001); select.select([], [], [], 0); os.getppid(); os.urandom(8)
for i in range(5):
    pid = os.fork()
    if pid == 0: os.getppid(); os._exit(i)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == i
big = [bytes(1 << 20) for _ in range(20)]; del big
print(total[0])
";

#[test]
fn python() {
    let scratch = Scratch::new("strace-python");
    let python = program("python3", "python3");
    let outcome = run(traced(&python, &scratch).args(["-c", PYTHON])).ok();
    assert_eq!(outcome.stdout, "400\n");
    let least = [("sendto", 600), ("recvfrom", 600), ("fsync", 100), ("futex", 100), ("wait4", 5)];
    assert_covered("python3", &scratch, &least);
}

#[test]
fn sqlite() {
    let scratch = Scratch::new("strace-sqlite");
    let sqlite = program("sqlite3", "sqlite3");
    let insert = (0..200).map(|i| format!("INSERT INTO t VALUES({i}, 'text {i}');\n"));
    let sql = format!(
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b);\n{}SELECT sum(a) FROM t;\n",
        insert.collect::<String>()
    );
    let outcome = run_with_input(traced(&sqlite, &scratch).arg("data.db"), &sql).ok();
    assert_eq!(outcome.stdout, "19900\n");
    let least = [("fdatasync", 400), ("pwrite64", 600), ("fcntl", 1000)];
    assert_covered("sqlite3", &scratch, &least);
}

#[test]
fn redis() {
    let scratch = Scratch::new("strace-redis");
    let log = Scratch::new("strace-redis-log");
    let port = free_port();
    let text = port.to_string();
    let server = program("redis-server", "redis-server");
    let mut command = traced(&server, &scratch);
    command.args(["--port", &text, "--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    let running = Server::start_command(&mut command, log, port);
    let benchmark = program("redis-benchmark", "redis-tools");
    let load = ["-t", "set,get,lpush", "-n", "800", "-c", "5", "-q", "-p", &text];
    let cli = program("redis-cli", "redis-tools");
    let answer = run(Command::new(benchmark).args(load));
    // A child of the server writes the dump.
    let saved = run(Command::new(&cli).args(["-p", &text, "SAVE"]));
    run(Command::new(&cli).args(["-p", &text, "SHUTDOWN", "NOSAVE"]));
    assert_ended(&running.finish().outcome);
    assert!(answer.stdout.contains("requests per second"), "{answer:?}");
    assert_eq!(saved.stdout, "OK\n");
    let least = [("read", 2000), ("write", 2000), ("epoll_wait", 200), ("fdatasync", 100)];
    assert_covered("redis-server", &scratch, &least);
}

#[test]
fn nginx() {
    let scratch = Scratch::new("strace-nginx");
    let log = Scratch::new("strace-nginx-log");
    let port = free_port();
    std::fs::write(scratch.join("page.txt"), "line of the page\n".repeat(500)).expect("page");
    let conf = scratch.join("conf");
    std::fs::write(&conf, nginx_configuration(scratch.path(), port)).expect("conf");
    let nginx = program("nginx", "nginx-light");
    let mut command = traced(&nginx, &scratch);
    command.args(["-e", "stderr", "-c"]).arg(&conf);
    let running = Server::start_command(&mut command, log, port);
    let ab = program("ab", "apache2-utils");
    let url = format!("http://127.0.0.1:{port}/page.txt");
    let load = run(Command::new(ab).args(["-q", "-n", "600", "-c", "4", &url]));
    let mut missing = String::new();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
    stream.write_all(b"GET /none HTTP/1.0\r\nHost: localhost\r\n\r\n").expect("request");
    stream.read_to_string(&mut missing).expect("answer");
    let master: i32 =
        std::fs::read_to_string(scratch.join("pid")).expect("pid").trim().parse().expect("number");
    // SAFETY: kill touches no memory; the process is the server this test has started.
    assert_eq!(unsafe { libc::kill(master, libc::SIGQUIT) }, 0);
    assert_ended(&running.finish().outcome);
    assert!(load.stdout.contains("Complete requests:      600"), "{}", load.stdout);
    assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
    let least = [("recvfrom", 600), ("pread64", 600), ("accept4", 600), ("epoll_wait", 600)];
    assert_covered("nginx", &scratch, &least);
}

#[test]
fn mariadb() {
    let scratch = Scratch::new("strace-mariadb");
    let server = program("mariadbd", "mariadb-server-core");
    let data = scratch.join("data");
    std::fs::create_dir(&data).expect("data directory");
    let rows = (0..100).map(|i| format!("INSERT INTO d.t VALUES({i}, 'text {i}');\n"));
    // Every statement of a bootstrap stands on one line.
    let sql = format!(
        "CREATE DATABASE d;\nCREATE TABLE d.t(a INT PRIMARY KEY, b TEXT) ENGINE=InnoDB;\n{}\
         UPDATE d.t SET b = 'new' WHERE a < 50;\nSELECT SLEEP(0.01);\n",
        rows.collect::<String>()
    );
    let mut command = traced(&server, &scratch);
    command.args(["--no-defaults", "--bootstrap", "--skip-grant-tables", "--user=root"]);
    command.args([
        "--innodb-buffer-pool-size=8M",
        "--innodb-log-file-size=4M",
        "--skip-networking",
    ]);
    command.arg(format!("--datadir={}", data.display()));
    command.arg(format!("--tmpdir={}", scratch.path().display()));
    assert_ended(&run_with_input(&mut command, &sql));
    assert!(data.join("d/t.ibd").is_file(), "the server made no table");
    let least = [("pwrite64", 100), ("fdatasync", 50), ("futex", 100), ("openat", 20)];
    assert_covered("mariadbd", &scratch, &least);
}

const NODE: &str = "
const fs = require('fs'), net = require('net'), path = require('path');
const { Worker } = require('worker_threads');
(async () => {
  for (let i = 0; i < 100; i++) {
    fs.writeFileSync(`file${i}`, 'text'.repeat(i));
    if (fs.readFileSync(`file${i}`).length !== 4 * i) throw 1;
    await fs.promises.rename(`file${i}`, `done${i}`);
    await fs.promises.unlink(`done${i}`);
  }
  const server = net.createServer(peer => peer.pipe(peer)).listen(0, '127.0.0.1');
  await new Promise(done => server.on('listening', done));
  const client = net.connect(server.address().port, '127.0.0.1');
  let left = 200;
  client.on('data', () => (--left ? client.write('ping') : client.end()));
  client.write('ping');
  await new Promise(done => client.on('close', done));
  server.close();
  const worker = new Worker(`require('worker_threads').parentPort.postMessage(6 * 7)`, { eval: true });
  console.log(await new Promise(done => worker.on('message', done)), left);
})();
";

#[test]
fn node() {
    let scratch = Scratch::new("strace-node");
    let node = program("node", "nodejs");
    let outcome = run(traced(&node, &scratch).args(["-e", NODE])).ok();
    assert_eq!(outcome.stdout, "42 0\n");
    let least = [("write", 400), ("read", 400), ("rename", 100), ("unlink", 100), ("futex", 50)];
    assert_covered("node", &scratch, &least);
}
