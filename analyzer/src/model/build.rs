//! Builds the [`Profile`]: description, then segments in parallel, then rows.

use super::clock::{Clock, Stamp};
use super::events::{read_events, EventSource};
use super::execs::describe_execs;
use super::finish;
use super::gather::{gather, Gathered, ImageData};
use super::ids::{GroupId, ImageId, ThreadId};
use super::image_name::image_names;
use super::overhead;
use super::profile::{Coverage, Image, ImageEnd, Mode, Profile, RunInfo, Unsymbolised};
use super::segments::{add_segment, Context, FoldView};
use super::sums::Sums;
use super::symbols::Symbols;
use super::syscall_finish::finish_syscalls;
use super::tables::{setting, Tables};
use super::threads::{cpu_since, Cast, Naming};
use super::waits::{finish_objects, finish_slow_calls, Lookup};
use crate::read::{read_segment, ReadError, Record, SegmentOwner, ThreadEntry};
use perfvisor_format::{EndKind, SegmentKind, ThreadState};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;

/// Reads the trace in `directory` and builds its profile.
///
/// # Errors
/// When no image of the trace can be read; damage to parts of it is listed in
/// [`Losses::damages`](super::Losses::damages) instead.
pub fn load(directory: &Path) -> Result<Profile, ReadError> {
    let gathered = gather(directory)?;
    let names = image_names(&gathered.images);
    let tables = Tables::new(&gathered.images, &names);
    let clocks = clocks(&gathered.images);
    let mut symbols = Symbols::default();
    let mut naming = Naming { tables: &tables, symbols: &mut symbols };
    let mut cast = Cast::default();
    for (at, image) in gathered.images.iter().enumerate() {
        cast.add_image(ImageId(at as u32), image, &names[at], &clocks[at], &mut naming);
    }
    cast.tell_apart(&tables);
    let jobs = jobs(&gathered, &names, &mut cast);
    let mut sums = read_jobs(&gathered, &tables, &clocks, &cast, &jobs);
    sums.losses.folds_in_progress = jobs.iter().filter(|job| job.folding).count() as u64;

    let mut profile = Profile::default();
    let ends_ns = image_ends(&gathered, &clocks, &sums, &cast);
    describe_images(&mut profile, &gathered, &names, &clocks, &ends_ns, &sums, &cast);
    describe_execs(&mut profile, &gathered);
    let pthreads: Vec<u64> = gathered
        .images
        .iter()
        .flat_map(|image| image.threads.iter().map(|thread| thread.record.pthread))
        .collect();
    finish::finish_threads(&mut cast.threads, &sums, &clocks, &ends_ns);
    finish::finish_groups(&mut cast.groups, &cast.threads, &profile.images, &sums);
    for (image, pair) in profile.images.iter_mut().zip(cpu_of_threads(&cast, &gathered)) {
        if image.user_ns == 0 && image.system_ns == 0 {
            (image.user_ns, image.system_ns) = pair;
        }
    }
    profile.components.clone_from(&tables.components);
    profile.apis.clone_from(&tables.apis);
    profile.sites.clone_from(&tables.sites);
    profile.coverage.skips.clone_from(&tables.skips);
    profile.coverage.skipped_names.clone_from(&tables.skipped_names);
    // Events use the groups' ids, so they are read before groups are sorted.
    let mut damages = Vec::new();
    profile.events = events(&gathered, &tables, &clocks, &cast, &mut damages);
    sums.losses.damages.extend(damages);
    profile.threads = cast.threads;
    profile.groups = cast.groups;
    finish::finish_calls(&mut profile, &sums, &clocks[0]);
    let lookup = Lookup::new(&profile, &pthreads);
    let objects = finish_objects(&mut profile, &mut sums, &clocks, &lookup, &mut naming);
    finish_slow_calls(&mut profile, &mut sums, &clocks, &lookup, &objects, &mut naming);
    finish_syscalls(&mut profile, &gathered, &mut sums, &clocks, &mut naming);
    add_late(&mut profile, &gathered, &tables, &mut sums);
    describe_run(&mut profile, &gathered);
    describe_coverage(&mut profile, &gathered, &symbols);
    overhead::describe(&mut profile, &gathered);
    describe_losses(&mut profile, gathered, sums);
    super::order::order_groups(&mut profile);
    Ok(profile)
}

/// One clock per host: TSCs of one host agree, so all its images share the longest baseline.
fn clocks(images: &[ImageData]) -> Vec<Clock> {
    let hosts: Vec<Option<String>> = images.iter().map(|i| setting(i, "hostname")).collect();
    let mut clocks = Vec::with_capacity(images.len());
    for (at, host) in hosts.iter().enumerate() {
        if let Some(earlier) = hosts[..at].iter().position(|other| other == host) {
            let clock: Clock = clocks[earlier];
            clocks.push(clock);
            continue;
        }
        let same = || images.iter().zip(&hosts).filter(|(_, h)| *h == host).map(|(image, _)| image);
        let stamps: Vec<Stamp> = same().flat_map(stamps).collect();
        let zero = same().map(|i| i.process.header.start_tsc).filter(|&t| t != 0).min();
        let hint = images[at].process.header.tsc_hz_hint;
        clocks.push(Clock::new(&stamps, hint, zero.unwrap_or(0)));
    }
    clocks
}

fn stamps(image: &ImageData) -> Vec<Stamp> {
    let header = &image.process.header;
    let mut stamps = vec![
        Stamp { tsc: header.start_tsc, monotonic_ns: header.start_monotonic_ns },
        Stamp { tsc: header.end_tsc, monotonic_ns: header.end_monotonic_ns },
    ];
    for ThreadEntry { record, .. } in &image.threads {
        stamps.push(Stamp { tsc: record.start_tsc, monotonic_ns: record.start_monotonic_ns });
        stamps.push(Stamp { tsc: record.end_tsc, monotonic_ns: record.end_monotonic_ns });
    }
    stamps
}

/// A segment to be read.
struct Job {
    image: ImageId,
    name: String,
    owner: SegmentOwner,
    group: GroupId,
    thread: Option<ThreadId>,
    fold: FoldView,
    folding: bool,
}

fn jobs(gathered: &Gathered, names: &[String], cast: &mut Cast) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (at, image) in gathered.images.iter().enumerate() {
        let id = ImageId(at as u32);
        let folder = &image.folder.name;
        let mut before = Vec::new();
        for entry in &image.threads {
            let record = &entry.record;
            if entry.state == ThreadState::Folded || record.segment == u32::MAX {
                continue;
            }
            let folding = entry.state == ThreadState::Folding;
            let mut fold = FoldView { folding, ..FoldView::default() };
            if folding {
                let (skip_states, count_before) = journal(gathered, image, entry);
                fold.skip_states = skip_states;
                before.extend(count_before.map(|site| (record.group, skip_states, site, entry)));
            }
            let Some(&thread) = cast.by_record.get(&(id, entry.index)) else { continue };
            jobs.push(Job {
                image: id,
                name: format!("{folder}/t{}.pv", record.segment),
                owner: SegmentOwner { kind: SegmentKind::Thread, index: entry.index },
                group: cast.threads[thread.index()].group,
                thread: Some(thread),
                fold,
                folding,
            });
        }
        for &number in &image.folder.group_files {
            let mut fold = FoldView::default();
            for &(group, skip, count, entry) in &before {
                if group == number {
                    let site = state_site(gathered, image, entry, skip);
                    fold.count_before = site.map(|site| (site, count));
                }
            }
            jobs.push(Job {
                image: id,
                name: format!("{folder}/g{number}.pv"),
                owner: SegmentOwner { kind: SegmentKind::Group, index: number },
                group: cast.group_of_file(id, number, &names[at]),
                thread: None,
                fold,
                folding: false,
            });
        }
    }
    jobs
}

/// What the journal says of a thread being folded: site states that are in the group already, and
/// the group's count of the current one before.
fn journal(gathered: &Gathered, image: &ImageData, entry: &ThreadEntry) -> (usize, Option<u64>) {
    let name = format!("{}/g{}.pv", image.folder.name, entry.record.group);
    let owner = SegmentOwner { kind: SegmentKind::Group, index: entry.record.group };
    let known = &[];
    match read_segment(&gathered.root, &name, image.process.identity(), owner, known) {
        Ok(group) if group.header.fold_thread == u64::from(entry.index) + 1 => {
            match usize::try_from(group.header.fold_site).unwrap_or(usize::MAX).checked_sub(1) {
                Some(done) => (done, Some(group.header.fold_count_before)),
                None => (0, None),
            }
        }
        _ => (0, None),
    }
}

/// Site of the thread's site state number `at`.
fn state_site(
    gathered: &Gathered,
    image: &ImageData,
    entry: &ThreadEntry,
    at: usize,
) -> Option<u32> {
    let name = format!("{}/t{}.pv", image.folder.name, entry.record.segment);
    let owner = SegmentOwner { kind: SegmentKind::Thread, index: entry.index };
    let segment = read_segment(&gathered.root, &name, image.process.identity(), owner, &[]).ok()?;
    segment.states.get(at).map(|state| state.site)
}

fn read_jobs(
    gathered: &Gathered,
    tables: &Tables,
    clocks: &[Clock],
    cast: &Cast,
    jobs: &[Job],
) -> Sums {
    jobs.par_iter()
        .fold(Sums::default, |mut sums, job| {
            let at = job.image.index();
            let image = &gathered.images[at];
            let map = &tables.maps[at];
            let identity = image.process.identity();
            match read_segment(&gathered.root, &job.name, identity, job.owner, &map.known) {
                Ok(segment) => {
                    let context = Context {
                        image: job.image,
                        header: &image.process.header,
                        clock: &clocks[at],
                        map,
                        group: job.group,
                        thread: job.thread,
                        records: &cast.by_record,
                    };
                    add_segment(&segment, context, &job.fold, &mut sums);
                }
                Err(error) => sums.losses.damages.push(error.into_damage(&gathered.root)),
            }
            sums
        })
        .reduce(Sums::default, Sums::merge)
}

/// End of each image: its own, else its last sign of life.
fn image_ends(gathered: &Gathered, clocks: &[Clock], sums: &Sums, cast: &Cast) -> Vec<u64> {
    let mut ends: Vec<u64> = Vec::with_capacity(gathered.images.len());
    for (image, clock) in gathered.images.iter().zip(clocks) {
        let header = &image.process.header;
        ends.push(clock.moment_ns(header.end_tsc.max(header.start_tsc)));
    }
    let ended: Vec<bool> =
        gathered.images.iter().map(|image| image.process.header.end_tsc != 0).collect();
    for (at, thread) in cast.threads.iter().enumerate() {
        let image = thread.image.index();
        if ended[image] {
            continue;
        }
        let last = sums.threads.get(&ThreadId(at as u32)).map_or(0, |own| own.last_tsc);
        ends[image] = ends[image].max(clocks[image].moment_ns(last)).max(thread.end_ns);
    }
    ends
}

fn describe_images(
    profile: &mut Profile,
    gathered: &Gathered,
    names: &[String],
    clocks: &[Clock],
    ends_ns: &[u64],
    sums: &Sums,
    cast: &Cast,
) {
    let mut threads = vec![0u64; gathered.images.len()];
    for thread in &cast.threads {
        threads[thread.image.index()] += 1;
    }
    for (at, image) in gathered.images.iter().enumerate() {
        let header = &image.process.header;
        let clock = &clocks[at];
        let calls = sums.images.get(&ImageId(at as u32)).map_or(0, |&(calls, _)| calls);
        let end = match header.end_kind {
            kind if kind == EndKind::Exit as u32 => ImageEnd::Exit,
            kind if kind == EndKind::Exited as u32 => ImageEnd::ImmediateExit,
            kind if kind == EndKind::Exec as u32 => ImageEnd::Exec,
            _ => ImageEnd::KilledOrRunning,
        };
        // An exec keeps the process and what its CPU clock shows: what the images before it used is
        // theirs. What the first thread had used when its record began tells how much that is.
        let first = image.threads.iter().find(|thread| thread.record.origin == 1);
        let before = first.map_or(0, |thread| thread.record.cpu_before_ns);
        let before = if image.process.file.generation == 0 { 0 } else { before };
        let (user_ns, system_ns) = cpu_since((header.user_ns, header.system_ns), before);
        let status_known = matches!(end, ImageEnd::Exit | ImageEnd::ImmediateExit);
        profile.images.push(Image {
            pid: image.process.file.pid,
            generation: image.process.file.generation,
            parent_pid: header.parent_pid,
            name: names[at].clone(),
            exe: setting(image, "exe").unwrap_or_default(),
            argv: argv(image),
            cwd: setting(image, "cwd"),
            host: setting(image, "hostname"),
            settings: settings(image),
            mode: Mode {
                exact: header.mode & 1 != 0,
                events: header.mode & 2 != 0,
                flight_ns: (header.mode & 4 != 0).then_some(header.flight_ns),
                self_calls: header.mode & 8 != 0,
                no_apis: header.mode & 16 != 0,
                no_syscalls: header.mode & 32 != 0,
            },
            forked: header.forked != 0,
            end,
            exit_status: status_known.then_some(header.exit_status),
            exec_path: None,
            exec_unrecorded: false,
            start_ns: clock.moment_ns(header.start_tsc),
            end_ns: ends_ns[at],
            load_ns: clock.span_ns(header.load_cycles as f64) as u64,
            user_ns,
            system_ns,
            tsc_per_ns: clock.per_ns,
            threads: threads[at],
            calls,
            forks: header.forks,
            messages: messages(image, clock),
        });
    }
}

fn argv(image: &ImageData) -> Vec<String> {
    (0..).map_while(|n| setting(image, &format!("argv{n}"))).collect()
}

fn settings(image: &ImageData) -> Vec<(String, String)> {
    let described = |key: &str| {
        ["exe", "cwd", "hostname"].contains(&key)
            || key.strip_prefix("argv").is_some_and(|n| n.parse::<u32>().is_ok())
    };
    image
        .process
        .records
        .iter()
        .filter_map(|(_, record)| match record {
            Record::Setting(key, value) if !described(key) => Some((key.clone(), value.clone())),
            _ => None,
        })
        .collect()
}

fn messages(image: &ImageData, clock: &Clock) -> Vec<(u64, String)> {
    image
        .process
        .records
        .iter()
        .filter_map(|(_, record)| match record {
            Record::Message(tsc, text) => Some((clock.moment_ns(*tsc), text.clone())),
            _ => None,
        })
        .collect()
}

/// CPU time of each image's threads, without what was spent before they were watched.
fn cpu_of_threads(cast: &Cast, gathered: &Gathered) -> Vec<(u64, u64)> {
    let mut sums = vec![(0u64, 0u64); gathered.images.len()];
    for thread in &cast.threads {
        let sum = &mut sums[thread.image.index()];
        sum.0 = sum.0.saturating_add(thread.user_ns.unwrap_or(0));
        sum.1 = sum.1.saturating_add(thread.system_ns.unwrap_or(0));
    }
    sums
}

fn events(
    gathered: &Gathered,
    tables: &Tables,
    clocks: &[Clock],
    cast: &Cast,
    damages: &mut Vec<crate::read::Damage>,
) -> super::EventsSummary {
    let mut sources = Vec::new();
    for (at, image) in gathered.images.iter().enumerate() {
        for &index in &image.folder.event_files {
            let thread = cast.by_record.get(&(ImageId(at as u32), index));
            let Some(thread) = thread else { continue };
            sources.push(EventSource {
                folder: &image.folder.name,
                identity: image.process.identity(),
                index,
                group: cast.threads[thread.index()].group,
                map: &tables.maps[at],
                clock: &clocks[at],
                bias_cycles: image.process.header.timed_bias_cycles,
            });
        }
    }
    read_events(&gathered.root, &sources, &clocks[0], damages)
}

fn add_late(profile: &mut Profile, gathered: &Gathered, tables: &Tables, sums: &mut Sums) {
    for (image, map) in gathered.images.iter().zip(&tables.maps) {
        for &(local, calls) in &image.late {
            let site = &mut profile.sites[map.site(local).site.index()];
            site.late = site.late.saturating_add(calls);
            site.count = site.count.saturating_add(calls);
            sums.losses.late_calls = sums.losses.late_calls.saturating_add(calls);
        }
    }
}

fn describe_run(profile: &mut Profile, gathered: &Gathered) {
    let first = profile.images.first();
    let start = gathered.images.iter().map(|i| i.process.header.start_realtime_ns).min();
    let end_ns = profile.images.iter().map(|image| image.end_ns).max().unwrap_or(0);
    let hosts: BTreeSet<String> = profile.images.iter().filter_map(|i| i.host.clone()).collect();
    let file = gathered.run.clone();
    let run = RunInfo {
        directory: gathered.root.display().to_string(),
        command: first.map(|image| image.argv.clone()).unwrap_or_default(),
        cwd: first.and_then(|image| image.cwd.clone()),
        hosts: hosts.into_iter().collect(),
        start_realtime_ns: start.unwrap_or(0),
        wall_ns: end_ns,
        has_run_json: file.is_some(),
        ..RunInfo::default()
    };
    profile.run = match file {
        None => RunInfo {
            exit_code: first.and_then(|i| i.exit_status).and_then(|s| i32::try_from(s).ok()),
            ..run
        },
        Some(file) => RunInfo {
            command: if file.command.is_empty() { run.command.clone() } else { file.command },
            start_realtime_ns: file.start_realtime_ns.unwrap_or(run.start_realtime_ns),
            wall_ns: file.wall_ns.unwrap_or(run.wall_ns),
            exit_code: file.exit_code,
            signal: file.signal,
            user_ns: file.user_ns,
            system_ns: file.system_ns,
            max_rss_kib: file.max_rss_kib,
            ..run
        },
    };
}

fn describe_coverage(profile: &mut Profile, gathered: &Gathered, symbols: &Symbols) {
    let coverage: &mut Coverage = &mut profile.coverage;
    for image in &gathered.images {
        let header = &image.process.header;
        coverage.slots_found = coverage.slots_found.saturating_add(header.slots_found);
        coverage.slots_patched = coverage.slots_patched.saturating_add(header.slots_patched);
    }
    let known = profile.sites.iter().filter(|site| site.api.is_some());
    coverage.sites = known.clone().count() as u64;
    coverage.sites_called = known.clone().filter(|site| site.count != 0).count() as u64;
    coverage.sites_counted_only = known.filter(|site| site.counted_only).count() as u64;
    for site in &profile.sites {
        coverage.calls = coverage.calls.saturating_add(site.count);
        coverage.timed_calls = coverage.timed_calls.saturating_add(site.timed);
    }
    let mut problems: Vec<Unsymbolised> = symbols
        .problems
        .iter()
        .map(|(component, reason)| Unsymbolised {
            component: super::ComponentId(*component),
            reason: reason.clone(),
        })
        .collect();
    problems.sort_by_key(|problem| problem.component);
    coverage.unsymbolised = problems;
    // The place-holder for lost site records stays only if a call needs it.
    if profile.sites.last().is_some_and(|site| site.api.is_none() && site.count == 0) {
        let last = super::SiteId(profile.sites.len() as u32 - 1);
        let used = profile.call_nodes.iter().any(|node| node.site == last)
            || profile.slow_calls.iter().any(|slow| slow.path.contains(&last))
            || profile.slow_calls.iter().any(|slow| slow.wait_site == Some(last))
            || profile.slow_calls.iter().any(|slow| slow.site == last)
            || profile.wait_objects.iter().any(|o| o.sites.iter().any(|s| s.site == last))
            || profile.events.rows.iter().any(|row| row.site == last);
        if !used {
            profile.sites.pop();
        }
    }
}

fn describe_losses(profile: &mut Profile, gathered: Gathered, sums: Sums) {
    let mut losses = sums.losses;
    losses.unreadable_images = gathered.unreadable;
    losses.damages.extend(gathered.damages);
    for image in gathered.images {
        let header = &image.process.header;
        losses.lost_calls = losses.lost_calls.saturating_add(header.lost_calls);
        losses.lost_threads = losses.lost_threads.saturating_add(header.lost_threads);
        losses.lost_records = losses.lost_records.saturating_add(header.lost_records);
        losses.damages.extend(image.damages);
    }
    losses.lost_events = losses.lost_events.max(profile.events.lost);
    profile.events.lost = losses.lost_events;
    losses.overwritten_events = losses.overwritten_events.saturating_sub(profile.events.events);
    losses.images_cut_short =
        profile.images.iter().filter(|i| i.end == ImageEnd::KilledOrRunning).count() as u64;
    losses.unrecorded_execs =
        profile.images.iter().filter(|image| image.exec_unrecorded).count() as u64;
    losses.damages.sort_by(|a, b| (&a.file, a.offset_bytes).cmp(&(&b.file, b.offset_bytes)));
    profile.losses = losses;
}
