//! Slow calls and waited-for objects, with names.

use super::calls::{Holder, SlowCall, WaitObject, WaitShare, Waiter};
use super::clock::Clock;
use super::finish::first_nodes;
use super::ids::{ApiId, GroupId, ImageId, NodeId, ThreadId, WaitObjectId};
use super::profile::Profile;
use super::sums::{ObjectKey, ObjectSums, SlowSums, Sums};
use super::threads::Naming;
use perfvisor_format::WaitKind;
use std::collections::HashMap;

/// Finds threads by what the trace calls them.
pub struct Lookup {
    /// (image, tid) → threads, by start.
    by_tid: HashMap<(ImageId, u32), Vec<ThreadId>>,
    /// (image, pthread_t) → threads, by start.
    by_pthread: HashMap<(ImageId, u64), Vec<ThreadId>>,
}

impl Lookup {
    /// `pthreads` gives each thread's pthread_t, in the order of `profile.threads`.
    pub fn new(profile: &Profile, pthreads: &[u64]) -> Self {
        let mut by_tid: HashMap<_, Vec<ThreadId>> = HashMap::new();
        let mut by_pthread: HashMap<_, Vec<ThreadId>> = HashMap::new();
        for (at, thread) in profile.threads.iter().enumerate() {
            let id = ThreadId(at as u32);
            by_tid.entry((thread.image, thread.tid)).or_default().push(id);
            if let Some(&pthread) = pthreads.get(at).filter(|&&pthread| pthread != 0) {
                by_pthread.entry((thread.image, pthread)).or_default().push(id);
            }
        }
        Self { by_tid, by_pthread }
    }

    /// The thread that had `tid` at `moment_ns`: ids are reused, so the last one begun by then.
    fn tid_at(&self, p: &Profile, image: ImageId, tid: u32, moment_ns: u64) -> Option<ThreadId> {
        last_begun(p, self.by_tid.get(&(image, tid))?, moment_ns)
    }

    fn pthread_at(
        &self,
        p: &Profile,
        image: ImageId,
        key: u64,
        moment_ns: u64,
    ) -> Option<ThreadId> {
        last_begun(p, self.by_pthread.get(&(image, key))?, moment_ns)
    }
}

fn last_begun(profile: &Profile, ids: &[ThreadId], moment_ns: u64) -> Option<ThreadId> {
    let begun = |id: &&ThreadId| profile.threads[id.index()].start_ns <= moment_ns;
    ids.iter().filter(begun).max_by_key(|id| profile.threads[id.index()].start_ns).copied()
}

/// The words for a raw `WaitKind`.
fn kind_text(raw: u16) -> &'static str {
    u8::try_from(raw).ok().and_then(WaitKind::from_raw).map_or("unknown", WaitKind::text)
}

fn kind_of(raw: u16) -> WaitKind {
    u8::try_from(raw).ok().and_then(WaitKind::from_raw).unwrap_or(WaitKind::None)
}

/// Whether the object of a kind is the address of something in the program's memory.
fn is_address(kind: WaitKind) -> bool {
    use WaitKind::{
        Barrier, Condition, Futex, Mutex, Once, ReadLock, Semaphore, Spin, Stream, WriteLock,
    };
    matches!(
        kind,
        Mutex
            | ReadLock
            | WriteLock
            | Condition
            | Semaphore
            | Barrier
            | Spin
            | Stream
            | Once
            | Futex
    )
}

/// Fills `profile.wait_objects`; returns where each key went.
pub fn finish_objects(
    profile: &mut Profile,
    sums: &mut Sums,
    clocks: &[Clock],
    lookup: &Lookup,
    naming: &mut Naming<'_>,
) -> HashMap<ObjectKey, WaitObjectId> {
    let mut objects: Vec<(ObjectKey, ObjectSums)> = sums.objects.drain().collect();
    objects.sort_by(|a, b| b.1.sum.wait_ns.total_cmp(&a.1.sum.wait_ns).then(a.0.cmp(&b.0)));
    let mut ids = HashMap::new();
    for (at, (key, object)) in objects.into_iter().enumerate() {
        let row = wait_object(profile, key, object, clocks, lookup, naming);
        ids.insert(key, WaitObjectId(at as u32));
        profile.wait_objects.push(row);
    }
    ids
}

fn wait_object(
    profile: &Profile,
    (image, raw_kind, object): ObjectKey,
    sums: ObjectSums,
    clocks: &[Clock],
    lookup: &Lookup,
    naming: &mut Naming<'_>,
) -> WaitObject {
    let kind = kind_of(raw_kind);
    let max_at_ns = clocks[image.index()].moment_ns(sums.max_tsc);
    let in_component = naming.tables.maps[image.index()].component_of(object).is_some();
    let label =
        (object != 0 && is_address(kind) && in_component).then(|| naming.place(image, object));
    let joined = match kind {
        WaitKind::Join => lookup.pthread_at(profile, image, object, max_at_ns),
        _ => None,
    };
    let mut sites: Vec<WaitShare> = sums
        .sites
        .into_iter()
        .map(|(site, s)| WaitShare { site, waits: s.waits, wait_ns: s.wait_ns })
        .collect();
    sites.sort_by(|a, b| b.wait_ns.total_cmp(&a.wait_ns).then(a.site.cmp(&b.site)));
    let mut waiters: Vec<Waiter> = sums
        .waiters
        .into_iter()
        .map(|((group, thread), s)| Waiter { thread, group, waits: s.waits, wait_ns: s.wait_ns })
        .collect();
    waiters.sort_by(|a, b| {
        b.wait_ns.total_cmp(&a.wait_ns).then((a.group, a.thread).cmp(&(b.group, b.thread)))
    });
    let mut holders: Vec<Holder> = sums
        .holders
        .into_iter()
        .map(|(tid, s)| Holder {
            tid,
            thread: lookup.tid_at(profile, image, tid, max_at_ns),
            waits: s.waits,
            wait_ns: s.wait_ns,
        })
        .collect();
    holders.sort_by(|a, b| b.wait_ns.total_cmp(&a.wait_ns).then(a.tid.cmp(&b.tid)));
    WaitObject {
        image,
        kind: kind_text(raw_kind).to_owned(),
        object,
        label,
        joined,
        waits: sums.sum.waits,
        wait_ns: sums.sum.wait_ns,
        max_ns: sums.max_ns,
        max_at_ns,
        sites,
        waiters,
        holders,
    }
}

/// Fills `profile.slow_calls`.
pub fn finish_slow_calls(
    profile: &mut Profile,
    sums: &mut Sums,
    clocks: &[Clock],
    lookup: &Lookup,
    objects: &HashMap<ObjectKey, WaitObjectId>,
    naming: &mut Naming<'_>,
) {
    sums.trim_slow();
    let medians: HashMap<(GroupId, ApiId), f64> = profile
        .api_rows
        .iter()
        .filter_map(|row| Some(((row.group, row.api), row.distribution?.p50_ns)))
        .collect();
    let first = first_nodes(profile);
    let mut calls = Vec::new();
    for ((group, site), slow) in sums.slow.drain() {
        let tree = sums.groups.get(&group).map(|group| &group.tree);
        let api = profile.sites[site.index()].api;
        let median_ns = api.and_then(|api| medians.get(&(group, api)).copied());
        for call in slow {
            let clock = &clocks[call.image.index()];
            let node = tree.and_then(|tree| tree.find(&call.path));
            let node = node.and_then(|node| Some(NodeId(first.get(&group)? + node)));
            let raw = &call.raw;
            let start_ns = clock.moment_ns(raw.start_tsc);
            let waited = kind_of(raw.wait_kind) != WaitKind::None;
            let key = (call.image, raw.wait_kind, raw.object);
            let SlowSums { image, thread, wait_site, .. } = call;
            let holder_tid = (raw.holder_tid != 0).then_some(raw.holder_tid);
            calls.push(SlowCall {
                image,
                thread,
                group,
                site,
                node,
                start_ns,
                duration_ns: clock.span_ns(raw.duration as f64),
                threshold_ns: clock.span_ns(raw.threshold as f64),
                median_ns,
                args: raw.args,
                result: raw.result,
                called_from: naming.place(image, raw.return_address),
                below_ns: clock.span_ns(raw.below as f64),
                wait_ns: clock.span_ns(raw.wait.min(raw.duration) as f64),
                wait_kind: waited.then(|| kind_text(raw.wait_kind).to_owned()),
                wait_site,
                object: raw.object,
                wait_object: objects.get(&key).copied().filter(|_| waited),
                holder_tid,
                holder: holder_tid.and_then(|tid| lookup.tid_at(profile, image, tid, start_ns)),
                path: call.path,
            });
        }
    }
    calls.sort_by(|a, b| {
        let tie = (a.start_ns, a.thread, a.site).cmp(&(b.start_ns, b.thread, b.site));
        b.duration_ns.total_cmp(&a.duration_ns).then(tie)
    });
    profile.slow_calls = calls;
}
