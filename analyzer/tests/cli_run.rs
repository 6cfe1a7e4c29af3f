//! `perfvisor run` is transparent: exit codes, signals, descriptors and environment pass through.

mod place;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Output, Stdio};

use place::Place;

/// `perfvisor run` of a shell script, without a report.
fn run(place: &Place, script: &str) -> Command {
    let mut command = place.perfvisor();
    command.args(["run", "--quiet", "--no-report", "-o", "trace", "--", "sh", "-c", script]);
    command
}

fn send(child: &Child, signal: i32) {
    // SAFETY: kill has no memory preconditions.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Starts it, waits until the script says a line, and returns it with its output.
fn started(mut command: Command) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    (child, out)
}

#[test]
fn exit_codes_and_output_pass_through() {
    for code in [0, 1, 7, 125, 255] {
        let place = Place::new("exit-code");
        let script = format!("echo out; echo err >&2; exit {code}");
        let output = run(&place, &script).output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\n".into(), "err\n".into()));
    }
}

#[test]
fn a_death_by_signal_is_ours_too_and_in_run_json() {
    let place = Place::new("death");
    let status = run(&place, "kill -SEGV $$").status().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGSEGV));
    assert!(!status.core_dumped());
    let json = fs::read_to_string(place.join("trace/run.json")).unwrap();
    let run: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(run["schema"], 1);
    assert_eq!(run["signal"], libc::SIGSEGV);
    assert!(run["exit_code"].is_null() && run["command"][0] == "sh");
    assert!(run["wall_ns"].as_u64().unwrap() > 0 && run["max_rss_kib"].as_u64().unwrap() > 0);
}

#[test]
fn a_signal_sent_to_us_reaches_the_program() {
    for (signal, name) in [(libc::SIGUSR1, "USR1"), (libc::SIGTERM, "TERM"), (libc::SIGINT, "INT")]
    {
        let place = Place::new("forward");
        let script = format!("trap 'exit 42' {name}; echo ready; while :; do sleep 0.02; done");
        let (mut child, _out) = started(run(&place, &script));
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(42), "{name}");
    }
}

#[test]
fn we_stop_with_the_program_and_continue_it() {
    let place = Place::new("stop");
    let mut command = run(&place, "kill -TSTP $$; exit 3");
    // A process group whose leader's parent is outside it is not orphaned: job control works.
    command.process_group(0);
    let mut child = command.spawn().unwrap();
    let mut status = 0;
    // SAFETY: waitpid writes the status into a local.
    let pid = unsafe { libc::waitpid(child.id() as i32, &mut status, libc::WUNTRACED) };
    assert!(pid > 0 && libc::WIFSTOPPED(status), "status {status:#x}");
    send(&child, libc::SIGCONT);
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn descriptors_signals_limits_and_directory_are_inherited() {
    // Each looks at its own process only: a shell with children has pipes and masks of its own.
    for script in [
        "exec ls /proc/self/fd",
        "exec grep -E 'SigBlk|SigIgn|SigCgt' /proc/self/status",
        "ulimit -a; umask; nice; pwd",
    ] {
        let place = Place::new("inherited");
        let native = Command::new("sh").args(["-c", script]).current_dir(place.join("")).output();
        let native: Output = native.unwrap();
        let ours = run(&place, script).output().unwrap();
        assert!(native.status.success());
        assert_eq!(text(&ours.stdout), text(&native.stdout));
    }
}

#[test]
fn an_ignored_broken_pipe_and_a_closed_input_stay_so() {
    let place = Place::new("before-main");
    let inner = "grep SigIgn /proc/$$/status; if [ -e /proc/$$/fd/0 ]; then echo open; \
                 else echo closed; fi";
    let native = Command::new("sh")
        .args(["-c", &format!("trap '' PIPE; exec sh -c '{inner}' <&-")])
        .output()
        .unwrap();
    let program = env!("CARGO_BIN_EXE_perfvisor");
    let ours = place
        .perfvisor()
        .get_envs()
        .fold(Command::new("sh"), |mut command, (name, value)| {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
            command
        })
        .args([
            "-c",
            &format!(
                "trap '' PIPE; exec {program} run -q --no-report -o {} sh -c '{inner}' <&-",
                place.join("trace").display()
            ),
        ])
        .output()
        .unwrap();
    assert!(text(&native.stdout).ends_with("closed\n"));
    assert_eq!(text(&ours.stdout), text(&native.stdout), "{}", text(&ours.stderr));
}

#[test]
fn the_environment_gains_our_variables_only() {
    let place = Place::new("environment");
    let lines = |output: Output| -> Vec<String> {
        text(&output.stdout)
            .lines()
            .filter(|line| !line.starts_with("LD_PRELOAD=") && !line.starts_with("PERFVISOR_"))
            // The shell sets these by itself.
            .filter(|line| !line.starts_with("_=") && !line.starts_with("SHLVL="))
            .map(str::to_owned)
            .collect()
    };
    let mut native = Command::new("env");
    native.current_dir(place.join("")).env("XDG_CONFIG_HOME", place.join("config"));
    let mut ours = place.perfvisor();
    ours.args(["run", "-q", "--no-report", "-o", "trace", "env"]);
    assert_eq!(lines(ours.output().unwrap()), lines(native.output().unwrap()));
}

#[test]
fn an_existing_preload_is_kept_behind_ours() {
    let place = Place::new("preload");
    let libm = "libm.so.6";
    let output = run(&place, "echo $LD_PRELOAD").env("LD_PRELOAD", libm).output().unwrap();
    let list = text(&output.stdout);
    assert!(list.contains("/libperfvisor_hook-") && list.ends_with(":libm.so.6\n"), "{list}");
}

#[test]
fn without_o_a_fresh_directory_is_named_after_the_command() {
    let place = Place::new("fresh");
    let status = place.perfvisor().args(["run", "-q", "--no-report", "true"]).status().unwrap();
    assert!(status.success());
    let names: Vec<String> = fs::read_dir(place.join(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let number = names[0].strip_prefix("perfvisor-true-").unwrap();
    assert!(number.parse::<u32>().is_ok(), "{names:?}");
}
