//! Servers under load: the answers are right, the server ends as it should, the report is full.

use e2e::{free_port, nginx_configuration, program, run, Perfvisor, Recording, Scratch, Server};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

fn calls_of(recording: &Recording, symbols: &[&str]) -> u64 {
    let report = recording.report();
    symbols.iter().map(|symbol| report.calls_by_all(symbol)).sum()
}

#[test]
fn redis_answers_under_benchmark() {
    let server = program("redis-server", "redis-server");
    let benchmark = program("redis-benchmark", "redis-tools");
    let cli = program("redis-cli", "redis-tools");
    for flags in [&[] as &[&str], &["--exact"]] {
        let directory = Scratch::new("redis-data");
        let port = free_port();
        let text = port.to_string();
        let running = Server::start(
            Perfvisor::program(&server)
                .flags(flags)
                .args(&["--port", &text, "--save", "", "--appendonly", "no", "--dir"])
                .args(&[directory.path().to_str().expect("path")]),
            port,
        );
        let ask = |words: &[&str]| run(Command::new(&cli).args(["-p", &text]).args(words)).stdout;
        let load = run(Command::new(&benchmark).args([
            "-p",
            &text,
            "-t",
            "set,get,incr,lpush",
            "-n",
            "20000",
            "-c",
            "20",
            "-q",
        ]))
        .ok();
        assert!(load.stdout.contains("requests per second"), "{load:?}");
        assert_eq!(ask(&["SET", "key", "value"]), "OK\n");
        assert_eq!(ask(&["GET", "key"]), "value\n");
        assert_eq!(ask(&["LLEN", "mylist"]), "20000\n");
        assert_eq!(ask(&["EVAL", "return 6*7", "0"]), "42\n");
        // A child of the server writes the dump while the server answers.
        assert_eq!(ask(&["SAVE"]), "OK\n");
        ask(&["SHUTDOWN", "NOSAVE"]);
        let recording = running.finish();
        assert_eq!(recording.outcome.code(), Some(0), "{:?}", recording.outcome);
        // Every request is read and answered by a call of its own or shares one with others.
        let calls = calls_of(&recording, &["read", "write", "epoll_wait"]);
        assert!(calls > 10_000, "{calls} calls");
    }
}

fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answer");
    answer
}

#[test]
fn nginx_serves_under_load() {
    let nginx = program("nginx", "nginx-light");
    let ab = program("ab", "apache2-utils");
    for flags in [&[] as &[&str], &["--exact"]] {
        let port = free_port();
        let site = Scratch::new("nginx-site");
        let page = "line of the page\n".repeat(500);
        std::fs::write(site.join("page.txt"), &page).expect("page");
        std::fs::write(site.join("conf"), nginx_configuration(site.path(), port)).expect("conf");
        let conf = site.join("conf");
        let conf = conf.to_str().expect("path");
        let running = Server::start(
            Perfvisor::program(&nginx).flags(flags).args(&["-e", "stderr", "-c", conf]),
            port,
        );
        let url = format!("http://127.0.0.1:{port}/page.txt");
        let load = run(Command::new(&ab).args(["-q", "-n", "4000", "-c", "8", "-k", &url])).ok();
        assert!(load.stdout.contains("Failed requests:        0"), "{}", load.stdout);
        assert!(load.stdout.contains("Complete requests:      4000"), "{}", load.stdout);
        assert!(get(port, "/page.txt").ends_with(&page));
        assert!(get(port, "/none").starts_with("HTTP/1.1 404"));
        let master: i32 =
            std::fs::read_to_string(site.join("pid")).expect("pid").trim().parse().expect("number");
        // SAFETY: kill touches no memory; the process is the server this test has started.
        assert_eq!(unsafe { libc::kill(master, libc::SIGQUIT) }, 0);
        let recording = running.finish();
        assert_eq!(recording.outcome.code(), Some(0), "{:?}", recording.outcome);
        let report = recording.report();
        assert!(report.table("images").len() >= 3, "master and two workers");
        let calls = calls_of(&recording, &["recv", "writev", "sendfile", "epoll_wait"]);
        assert!(calls > 4000, "{calls} calls");
    }
}

#[test]
fn signals_reach_the_program_through_perfvisor() {
    let sleep = program("sleep", "coreutils");
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        let (mut command, _scratch) = Perfvisor::program(&sleep).args(&["60"]).command();
        let mut child = command.spawn().expect("perfvisor run");
        std::thread::sleep(Duration::from_millis(500));
        let process = i32::try_from(child.id()).expect("pid");
        // SAFETY: kill touches no memory; the process is the one this test has just started.
        assert_eq!(unsafe { libc::kill(process, signal) }, 0);
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("wait") {
                break status;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "signal {signal} was not passed on");
            std::thread::sleep(Duration::from_millis(10));
        };
        let ended_by = std::os::unix::process::ExitStatusExt::signal(&status);
        assert!(
            ended_by == Some(signal) || status.code() == Some(128 + signal),
            "{signal}: {status:?}"
        );
    }
}
