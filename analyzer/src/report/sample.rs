//! A small made-up profile for the tests of this folder: every section has something to draw, and
//! the names in it are as hostile as a program could make them.

use crate::analysis::{Evidence, Finding, FindingKind, Grade, Place};
use crate::model::*;
use std::collections::{BTreeMap, BTreeSet};

/// A name that steers a terminal, closes a script and opens a tag.
pub const HOSTILE: &str = "evil\u{1b}[31m</script><img src=x onerror=alert(1)>&\"'`";

const MS: f64 = 1e6;

fn component(name: &str) -> Component {
    Component { name: name.into(), path: format!("/usr/lib/{name}"), ..Component::default() }
}

fn api(name: &str, component: u32, wait_kind: &str) -> Api {
    Api {
        symbol: name.into(),
        name: name.into(),
        signature: name.into(),
        version: String::new(),
        component: Some(ComponentId(component)),
        wait_kind: wait_kind.into(),
        blocking: wait_kind != "none",
    }
}

fn site(caller: u32, api: u32, count: u64, timed: u64) -> Site {
    Site {
        caller: Some(ComponentId(caller)),
        api: Some(ApiId(api)),
        how: vec!["jump slot".into()],
        count,
        timed,
        ..Site::default()
    }
}

fn exact(value_ns: f64) -> Estimate {
    Estimate { value_ns, low_ns: value_ns, high_ns: value_ns, exact: true }
}

fn within(value_ns: f64, low: f64, high: f64) -> Estimate {
    Estimate { value_ns, low_ns: value_ns * low, high_ns: value_ns * high, exact: false }
}

fn thread(tid: u32, group: u32, name: &str, exec_ms: f64, wait_ms: f64) -> Thread {
    Thread {
        tid,
        group: GroupId(group),
        name: name.into(),
        origin: if group == 1 { ThreadOrigin::Main } else { ThreadOrigin::Created },
        end: ThreadEnd::Ended,
        start_routine: if group == 1 { "main".into() } else { "compress_worker".into() },
        start_ns: 3_000_000,
        end_ns: 3_000_000 + ((exec_ms + wait_ms) * MS) as u64,
        lifetime_ns: ((exec_ms + wait_ms) * MS) as u64,
        exec_ns: exec_ms * MS,
        off_cpu_ns: Some(0.0),
        wait_ns: wait_ms * MS,
        wait_by_kind_ns: BTreeMap::from([("mutex".into(), wait_ms * MS)]),
        user_ns: Some((exec_ms * 0.9 * MS) as u64),
        system_ns: Some((exec_ms * 0.1 * MS) as u64),
        voluntary_switches: Some(120),
        involuntary_switches: Some(7),
        calls: 250_000,
        timed: 4_000,
        api_ns: (wait_ms + 0.2 * exec_ms) * MS,
        creator_site: Some("start_workers+0x41 in packer".into()),
        top_sites: vec![(SiteId(1), 90_000, 12.0 * MS)],
        ..Thread::default()
    }
}

fn groups() -> Vec<ThreadGroup> {
    let group = |name: &str, threads: &[u32], exec_ms: f64, wait_ms: f64| ThreadGroup {
        name: name.into(),
        image_name: "packer".into(),
        threads: threads.iter().map(|&id| ThreadId(id)).collect(),
        lifetime_ns: (exec_ms + wait_ms) * MS,
        exec_ns: exec_ms * MS,
        wait_ns: wait_ms * MS,
        user_ns: (exec_ms * 0.9 * MS) as u64,
        system_ns: (exec_ms * 0.1 * MS) as u64,
        calls: 1_000_000,
        timed: 16_000,
        api_ns: (wait_ms + 0.2 * exec_ms) * MS,
        ..ThreadGroup::default()
    };
    vec![
        ThreadGroup {
            wait_by_kind_ns: BTreeMap::from([
                ("mutex".into(), 700.0 * MS),
                ("file".into(), 100.0 * MS),
            ]),
            compared_threads: 3,
            max_over_mean: 1.62,
            coefficient_of_variation: 0.34,
            straggler: Some(ThreadId(3)),
            ..group("compress_worker", &[1, 2, 3], 3_400.0, 800.0)
        },
        ThreadGroup {
            wait_by_kind_ns: BTreeMap::from([("join".into(), 1_900.0 * MS)]),
            max_over_mean: 1.0,
            ..group("main", &[0], 100.0, 1_900.0)
        },
    ]
}

struct Row(u32, u32, u64, u64, Estimate, f64, f64);

fn api_row(row: Row) -> ApiRow {
    let Row(group, api, count, timed, total, self_ns, wait_ns) = row;
    let mean = total.value_ns / count.max(1) as f64;
    ApiRow {
        group: GroupId(group),
        api: ApiId(api),
        count,
        timed,
        timed_share: timed as f64 / count as f64,
        total,
        self_ns,
        wait_ns,
        mean_ns: mean,
        distribution: (timed > 0).then_some(Distribution {
            min_ns: mean * 0.3,
            p50_ns: mean * 0.8,
            p90_ns: mean * 1.4,
            p99_ns: mean * 6.0,
            p999_ns: mean * 40.0,
            max_ns: mean * 310.0,
        }),
        histogram: bars(count, timed, mean),
        times: CallTimes::default(),
        unseen_max_ns: 0.0,
        abandoned: 0,
        blocking: wait_ns > 0.0,
        counted_only: timed == 0,
        callers: vec![
            CallerShare {
                component: Some(ComponentId(0)),
                site: SiteId(api),
                count: count - count / 4,
                total_ns: total.value_ns * 0.75,
                self_ns: self_ns * 0.75,
            },
            CallerShare {
                component: Some(ComponentId(1)),
                site: SiteId(api),
                count: count / 4,
                total_ns: total.value_ns * 0.25,
                self_ns: self_ns * 0.25,
            },
        ],
    }
}

/// Most calls a little below the mean, one far beyond it.
fn bars(count: u64, timed: u64, mean: f64) -> TimeBars {
    if timed == 0 {
        return TimeBars::default();
    }
    let first = ((mean * 0.3).max(1.0).log10() * 10.0) as u32;
    let mut calls = vec![0; 31];
    calls[0] = count / 10;
    calls[4] = count - 1 - calls[0];
    calls[30] = 1;
    TimeBars { first, calls, estimated: timed != count }
}

fn api_rows() -> Vec<ApiRow> {
    let rows = vec![
        Row(0, 0, 41_200, 41_200, exact(705.0 * MS), 700.0 * MS, 700.0 * MS),
        Row(0, 1, 912_344, 14_003, within(430.0 * MS, 0.97, 1.03), 402.0 * MS, 0.0),
        Row(0, 3, 1_204, 1_204, exact(101.0 * MS), 101.0 * MS, 100.0 * MS),
        Row(0, 4, 3_000, 90, within(9.0 * MS, 0.9, 1.8), 9.0 * MS, 0.0),
        Row(0, 5, 17, 0, exact(0.0), 0.0, 0.0),
        Row(1, 2, 3, 3, exact(1_900.0 * MS), 1_900.0 * MS, 1_900.0 * MS),
        Row(1, 1, 12, 12, exact(0.004 * MS), 0.004 * MS, 0.0),
    ];
    rows.into_iter().map(api_row).collect()
}

fn node(group: u32, parent: Option<u32>, site: u32, total_ms: f64, self_ms: f64) -> CallNode {
    CallNode {
        group: GroupId(group),
        parent: parent.map(NodeId),
        site: SiteId(site),
        api: Some(ApiId(site)),
        depth: if parent.is_some() { 2 } else { 1 },
        count: 41_200,
        scaled: site == 1,
        collapsed: false,
        timed: 500,
        total: exact(total_ms * MS),
        self_ns: self_ms * MS,
        wait_ns: if site == 0 { total_ms * MS } else { 0.0 },
        min_max_ns: Some((20.0, 310.0 * MS)),
        slow_seen: 3,
        slow_ns: 4.0 * MS,
        abandoned: 0,
    }
}

fn slow_call(site: u32, start_ms: u64, duration_ms: f64, wait: Option<(&str, u64)>) -> SlowCall {
    SlowCall {
        image: ImageId(0),
        thread: Some(ThreadId(if site == 2 { 0 } else { 2 })),
        group: GroupId(if site == 2 { 1 } else { 0 }),
        site: SiteId(site),
        path: if site == 0 { vec![SiteId(1), SiteId(0)] } else { vec![SiteId(site)] },
        node: None,
        start_ns: start_ms * 1_000_000,
        duration_ns: duration_ms * MS,
        threshold_ns: 0.1 * MS,
        median_ns: Some(0.017 * MS),
        args: [0x7f00_0000_1040, 3, u64::MAX, 0, 0, 0],
        result: 0,
        called_from: "pack_block+0x1f2 in packer".into(),
        below_ns: 0.0,
        wait_ns: if wait.is_some() { duration_ms * 0.98 * MS } else { 0.0 },
        wait_kind: wait.map(|(kind, _)| kind.into()),
        wait_site: wait.map(|_| SiteId(site)),
        object: wait.map_or(0, |(_, object)| object),
        wait_object: wait.filter(|(kind, _)| *kind == "mutex").map(|_| WaitObjectId(1)),
        holder_tid: wait.filter(|(kind, _)| *kind == "mutex").map(|_| 4_244),
        holder: wait.filter(|(kind, _)| *kind == "mutex").map(|_| ThreadId(3)),
    }
}

fn wait_object(kind: &str, object: u64, site: u32, waits: u64, wait_ms: f64) -> WaitObject {
    let group = GroupId(if site == 2 { 1 } else { 0 });
    WaitObject {
        image: ImageId(0),
        kind: kind.into(),
        object,
        label: (kind == "mutex").then(|| "queue_lock+0x0 in packer".into()),
        joined: (kind == "join").then_some(ThreadId(3)),
        waits,
        wait_ns: wait_ms * MS,
        max_ns: wait_ms * MS / 10.0,
        max_at_ns: 1_500_000_000,
        sites: vec![WaitShare { site: SiteId(site), waits, wait_ns: wait_ms * MS }],
        waiters: vec![Waiter { thread: Some(ThreadId(site)), group, waits, wait_ns: wait_ms * MS }],
        holders: if kind == "mutex" {
            vec![
                Holder { tid: 4_244, thread: Some(ThreadId(3)), waits, wait_ns: 600.0 * MS },
                Holder { tid: 9_999, thread: None, waits: 2, wait_ns: 100.0 * MS },
            ]
        } else {
            Vec::new()
        },
    }
}

fn edge(caller: u32, callee: u32, count: u64, self_ms: f64) -> FlowEdge {
    FlowEdge {
        caller: Some(ComponentId(caller)),
        callee: Some(ComponentId(callee)),
        count,
        total_ns: self_ms * 1.1 * MS,
        self_ns: self_ms * MS,
        wait_ns: 0.0,
    }
}

/// A run of a program with a convoy on one lock and a straggler.
pub fn profile() -> Profile {
    Profile {
        run: run_info(),
        images: vec![image()],
        losses: losses(),
        coverage: coverage(),
        overhead: Overhead {
            timed_ns: 1.1 * MS,
            counted_ns: 0.4 * MS,
            load_ns: 4.2 * MS,
            cpu_ns: 3_500.0 * MS,
            share: Some(0.00043),
            per_image: vec![(ImageId(0), 1.5 * MS)],
        },
        components: ["packer", "libz.so.1", "libc.so.6", "libpthread.so.0"]
            .into_iter()
            .map(component)
            .collect(),
        apis: vec![
            api("pthread_mutex_lock", 3, "mutex"),
            api("std::map<int, std::vector<long>>::find(int const&) const", 1, "none"),
            api("pthread_join", 3, "join"),
            api("read", 2, "file"),
            api(HOSTILE, 1, "none"),
            api("longjmp", 2, "none"),
        ],
        sites: vec![
            site(0, 0, 41_200, 41_200),
            site(0, 1, 912_356, 14_015),
            site(0, 2, 3, 3),
            site(1, 3, 1_204, 1_204),
            site(0, 4, 3_000, 90),
            site(0, 5, 17, 0),
        ],
        groups: groups(),
        threads: vec![
            thread(4_240, 1, "packer", 100.0, 1_900.0),
            thread(4_242, 0, "w-1", 700.0, 400.0),
            thread(4_243, 0, HOSTILE, 864.0, 336.0),
            thread(4_244, 0, "w-3", 1_836.0, 64.0),
        ],
        api_rows: api_rows(),
        call_nodes: vec![
            node(0, None, 1, 1_135.0, 430.0),
            node(0, Some(0), 0, 705.0, 700.0),
            node(0, None, 3, 101.0, 101.0),
            node(1, None, 2, 1_900.0, 1_900.0),
        ],
        flow: vec![
            edge(0, 3, 41_203, 2_600.0),
            edge(0, 1, 915_356, 411.0),
            edge(1, 2, 1_204, 101.0),
        ],
        slow_calls: vec![
            slow_call(2, 10, 1_900.0, Some(("join", 0x7f11_0000))),
            slow_call(0, 1_430, 70.0, Some(("mutex", 0x5555_0040))),
            slow_call(0, 900, 44.0, Some(("mutex", 0x5555_0040))),
            slow_call(4, 300, 3.1, None),
        ],
        wait_objects: wait_objects(),
        events: EventsSummary::default(),
        syscalls: Syscalls::default(),
    }
}

fn image() -> Image {
    Image {
        pid: 4_240,
        name: "packer".into(),
        exe: "/opt/packer".into(),
        end: ImageEnd::Exit,
        threads: 4,
        calls: 956_780,
        messages: vec![(2_000_000, "libold.so: one page could not be written".into())],
        ..Image::default()
    }
}

fn run_info() -> RunInfo {
    RunInfo {
        directory: "perfvisor-packer-4240".into(),
        command: vec!["./packer".into(), "-T3".into(), "big.tar".into()],
        wall_ns: 2_010_000_000,
        exit_code: Some(0),
        user_ns: Some(3_150_000_000),
        system_ns: Some(350_000_000),
        max_rss_kib: Some(40_960),
        has_run_json: true,
        ..RunInfo::default()
    }
}

fn wait_objects() -> Vec<WaitObject> {
    vec![
        wait_object("join", 0x7f11_0000, 2, 3, 1_900.0),
        wait_object("mutex", 0x5555_0040, 0, 41_200, 700.0),
        wait_object("file", 3, 3, 1_204, 100.0),
    ]
}

fn losses() -> Losses {
    Losses {
        lost_slow_calls: 2,
        damages: vec![Damage {
            file: "p4240.0/t3.pv".into(),
            offset_bytes: 139_264,
            expected: "block tag 0x4b4c4250".into(),
            found: "0x0".into(),
        }],
        ..Losses::default()
    }
}

fn coverage() -> Coverage {
    Coverage {
        slots_found: 240,
        slots_patched: 221,
        sites: 6,
        sites_called: 6,
        sites_counted_only: 1,
        skipped_names: BTreeSet::new(),
        skips: vec![
            SkipRow {
                component: ComponentId(0),
                reason: "address also used as data".into(),
                slots: 15,
                examples: vec!["free".into()],
                waiting: Vec::new(),
            },
            SkipRow {
                component: ComponentId(1),
                reason: "unsafe to hook".into(),
                slots: 4,
                examples: vec!["__tls_get_addr".into()],
                waiting: Vec::new(),
            },
        ],
        unsymbolised: vec![Unsymbolised { component: ComponentId(1), reason: "stripped".into() }],
        calls: 956_780,
        timed_calls: 56_512,
    }
}

/// Findings of [`profile`].
pub fn findings() -> Vec<Finding> {
    vec![
        Finding {
            grade: Grade::Major,
            kind: FindingKind::LockContention,
            title: "compress_worker threads queue for one mutex".into(),
            text: "Three threads waited 700 ms for queue_lock, 86% of it while tid 4244 held it. \
                   Look at what that thread does between lock and unlock."
                .into(),
            evidence: vec![Evidence { name: "wait time".into(), value: 700e6, unit: "ns".into() }],
            place: Place {
                group: Some(GroupId(0)),
                wait_object: Some(WaitObjectId(1)),
                ..Place::default()
            },
            weight_ns: 700e6,
        },
        Finding {
            grade: Grade::Minor,
            kind: FindingKind::Imbalance,
            title: format!("one thread of {HOSTILE} works longest"),
            text: "It ran 1.84 s, the mean is 1.13 s.".into(),
            evidence: Vec::new(),
            place: Place { thread: Some(ThreadId(3)), ..Place::default() },
            weight_ns: 703e6,
        },
    ]
}
