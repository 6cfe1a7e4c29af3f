//! How unequally threads that share work have worked.
//!
//! Only members of one *team* are compared. A team is either the group's threads in one process
//! image, or the first threads of sibling processes: forked from one parent, never replaced by
//! exec, and alive together for at least half of the longest life and of their own. That is how
//! the workers of a server look. A pipeline, a subshell or commands run one after the other
//! begin in the same function too, but none of them could have taken work from another.

use super::ids::{ImageId, ThreadId};
use super::profile::{Image, ImageEnd};
use super::program::{Thread, ThreadGroup, ThreadOrigin};
use std::collections::BTreeMap;

/// Sibling processes share at least this part of each one's life.
const LEAST_OVERLAP: f64 = 0.5;
/// Teams looked for among the children of one process: a shell may have forked thousands, and the
/// longest-lived of them come first.
const MOST_TEAMS: usize = 64;

/// Sets the group's figures from its team with most time to win by sharing evenly.
pub fn measure(group: &mut ThreadGroup, threads: &[Thread], images: &[Image]) {
    let figures = teams(&group.threads, threads, images)
        .into_iter()
        .filter_map(|team| Figures::of(&team, threads))
        .max_by(|a, b| a.excess_ns.total_cmp(&b.excess_ns));
    match figures {
        Some(figures) => {
            group.compared_threads = figures.threads;
            group.max_over_mean = figures.max_over_mean;
            group.coefficient_of_variation = figures.variation;
            group.straggler = Some(figures.longest);
        }
        None => group.max_over_mean = if group.threads.is_empty() { 0.0 } else { 1.0 },
    }
}

struct Figures {
    threads: u64,
    longest: ThreadId,
    max_over_mean: f64,
    variation: f64,
    excess_ns: f64,
}

impl Figures {
    /// `None` for a team that did not work at all.
    fn of(team: &[ThreadId], threads: &[Thread]) -> Option<Self> {
        let exec = |id: &ThreadId| threads[id.index()].exec_ns;
        let n = team.len() as f64;
        let mean = team.iter().map(exec).sum::<f64>() / n;
        let longest = team.iter().copied().max_by(|a, b| exec(a).total_cmp(&exec(b)))?;
        let variance = team.iter().map(|id| (exec(id) - mean).powi(2)).sum::<f64>() / n;
        (mean > 0.0).then(|| Self {
            threads: team.len() as u64,
            longest,
            max_over_mean: exec(&longest) / mean,
            variation: variance.sqrt() / mean,
            excess_ns: exec(&longest) - mean,
        })
    }
}

/// All teams of at least two among `members`.
fn teams(members: &[ThreadId], threads: &[Thread], images: &[Image]) -> Vec<Vec<ThreadId>> {
    let mut by_image: BTreeMap<ImageId, Vec<ThreadId>> = BTreeMap::new();
    let mut by_parent: BTreeMap<(u32, Option<&str>), Vec<ThreadId>> = BTreeMap::new();
    for &id in members {
        let thread = &threads[id.index()];
        by_image.entry(thread.image).or_default().push(id);
        let Some(image) = images.get(thread.image.index()) else { continue };
        let forked = image.forked && image.end != ImageEnd::Exec;
        if forked && thread.origin == ThreadOrigin::Main {
            by_parent.entry((image.parent_pid, image.host.as_deref())).or_default().push(id);
        }
    }
    let mut teams: Vec<Vec<ThreadId>> = by_image.into_values().collect();
    for siblings in by_parent.into_values() {
        teams.extend(contemporaries(siblings, threads));
    }
    teams.retain(|team| team.len() > 1);
    teams
}

/// Siblings that lived together, gathered around the longest-lived that is in no team yet.
fn contemporaries(mut siblings: Vec<ThreadId>, threads: &[Thread]) -> Vec<Vec<ThreadId>> {
    let lifetime = |id: &ThreadId| threads[id.index()].lifetime_ns;
    siblings.sort_by(|a, b| lifetime(b).cmp(&lifetime(a)).then(a.cmp(b)));
    let mut teams = Vec::new();
    while let Some(&first) = siblings.first().filter(|_| teams.len() < MOST_TEAMS) {
        let first = &threads[first.index()];
        let (team, rest) =
            siblings.into_iter().partition(|id| together(first, &threads[id.index()]));
        teams.push(team);
        siblings = rest;
    }
    teams
}

fn together(a: &Thread, b: &Thread) -> bool {
    let both = a.end_ns.min(b.end_ns).saturating_sub(a.start_ns.max(b.start_ns)) as f64;
    both >= LEAST_OVERLAP * a.lifetime_ns.max(b.lifetime_ns) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process of one thread that lived from `start` to `end` and worked all of it.
    fn process(start: u64, end: u64, image: Image, run: &mut (Vec<Thread>, Vec<Image>)) {
        run.0.push(Thread {
            image: ImageId(run.1.len() as u32),
            origin: ThreadOrigin::Main,
            start_ns: start,
            end_ns: end,
            lifetime_ns: end - start,
            exec_ns: (end - start) as f64,
            ..Thread::default()
        });
        run.1.push(image);
    }

    fn forked(parent_pid: u32) -> Image {
        Image { forked: true, parent_pid, end: ImageEnd::Exit, ..Image::default() }
    }

    fn measured(run: &(Vec<Thread>, Vec<Image>)) -> ThreadGroup {
        let threads = (0..run.0.len() as u32).map(ThreadId).collect();
        let mut group = ThreadGroup { threads, ..ThreadGroup::default() };
        measure(&mut group, &run.0, &run.1);
        group
    }

    #[test]
    fn commands_of_a_script_are_no_team() {
        let mut run = (Vec::new(), Vec::new());
        process(0, 1_000, Image { end: ImageEnd::Exit, ..Image::default() }, &mut run);
        // Subshells one after the other, a child on its way to exec, another program beside it.
        process(10, 20, forked(7), &mut run);
        process(30, 300, forked(7), &mut run);
        process(400, 401, Image { end: ImageEnd::Exec, ..forked(7) }, &mut run);
        process(400, 401, Image { end: ImageEnd::Exec, ..forked(7) }, &mut run);
        process(400, 900, Image { parent_pid: 7, ..Image::default() }, &mut run);
        let group = measured(&run);
        assert_eq!((group.compared_threads, group.straggler), (0, None));
        assert!((group.max_over_mean - 1.0).abs() < 1e-9);
    }

    #[test]
    fn workers_forked_by_one_parent_are_a_team() {
        let mut run = (Vec::new(), Vec::new());
        process(0, 1_000, Image { end: ImageEnd::Exit, ..Image::default() }, &mut run);
        for _ in 0..3 {
            process(100, 900, forked(7), &mut run);
        }
        process(100, 900, forked(8), &mut run);
        process(100, 200, forked(7), &mut run);
        run.0[2].exec_ns = 80.0;
        run.0[3].exec_ns = 80.0;
        let group = measured(&run);
        assert_eq!((group.compared_threads, group.straggler), (3, Some(ThreadId(1))));
        assert!((group.max_over_mean - 2.5).abs() < 1e-9);
    }

    #[test]
    fn threads_are_compared_within_their_process() {
        let mut run = (Vec::new(), vec![Image::default(), Image::default()]);
        for (image, exec_ns) in [(0, 1.0), (0, 3.0), (1, 100.0), (1, 100.0)] {
            run.0.push(Thread { image: ImageId(image), exec_ns, ..Thread::default() });
        }
        let group = measured(&run);
        assert_eq!((group.compared_threads, group.straggler), (2, Some(ThreadId(1))));
        assert!((group.max_over_mean - 1.5).abs() < 1e-9);
    }
}
