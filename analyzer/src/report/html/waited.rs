//! Slow calls and waited-for objects as the page is told of them.

use super::rows::whole;
use crate::model::{Profile, SlowCall, WaitObject};
use crate::report::lookup::Lookup;
use crate::report::outliers::{excess_ns, is_idle, is_lock};
use crate::report::slow_call::{arguments, usual, waited};
use serde::Serialize;

/// Slow calls that the page carries.
const SLOW_CALLS: usize = 2000;
/// Waited-for objects that the page carries.
const OBJECTS: usize = 400;
/// Waiters and holders of one object that the page carries.
const PEOPLE: usize = 12;

/// A slow call.
#[derive(Serialize)]
pub struct Slow<'a> {
    rank: usize,
    group: u32,
    name: &'a str,
    thread: String,
    start: u64,
    duration: i64,
    median: i64,
    usual: Option<String>,
    path: Vec<&'a str>,
    from: &'a str,
    args: String,
    waited: Option<String>,
    kind: Option<&'a str>,
    below: i64,
    idle: bool,
}

impl<'a> Slow<'a> {
    /// Those most beyond the usual, longest first, and how many are left out.
    pub fn all(profile: &'a Profile, names: Lookup<'a>) -> (Vec<Self>, usize) {
        let mut calls: Vec<&SlowCall> = profile.slow_calls.iter().collect();
        calls.sort_by(|a, b| excess_ns(b).total_cmp(&excess_ns(a)));
        let cut = calls.len().saturating_sub(SLOW_CALLS);
        calls.truncate(SLOW_CALLS);
        let rows = calls.into_iter().enumerate();
        (rows.map(|(rank, call)| Self::new(profile, names, rank, call)).collect(), cut)
    }

    fn new(profile: &'a Profile, names: Lookup<'a>, rank: usize, call: &'a SlowCall) -> Self {
        let steps = call.path.iter().map(|site| names.site(*site));
        let first = call.path.first().copied().unwrap_or(call.site);
        Self {
            rank,
            group: call.group.0,
            name: names.site(call.site),
            thread: call.thread.map_or_else(
                || format!("an ended thread of {}", names.group(call.group)),
                |id| names.thread(id),
            ),
            start: call.start_ns,
            duration: whole(call.duration_ns),
            median: whole(call.median_ns.unwrap_or(0.0)),
            usual: usual(call),
            path: std::iter::once(names.site_caller(first)).chain(steps).collect(),
            from: &call.called_from,
            args: arguments(names, call),
            waited: waited(profile, names, call),
            kind: call.wait_kind.as_deref().filter(|_| call.wait_ns > 0.5 * call.duration_ns),
            below: whole(call.below_ns),
            idle: is_idle(call),
        }
    }
}

/// Something waited for.
#[derive(Serialize)]
pub struct Object<'a> {
    kind: &'a str,
    what: String,
    lock: bool,
    waits: u64,
    wait: i64,
    max: i64,
    at: u64,
    sites: Vec<&'a str>,
    waiters: Vec<(String, u64, i64)>,
    waiters_all: usize,
    holders: Vec<(String, u64, i64)>,
    holders_all: usize,
}

impl<'a> Object<'a> {
    /// Those waited for longest, and how many are left out.
    pub fn all(profile: &'a Profile, names: Lookup<'a>) -> (Vec<Self>, usize) {
        let objects = &profile.wait_objects;
        let rows = objects.iter().take(OBJECTS).map(|object| Self::new(names, object)).collect();
        (rows, objects.len().saturating_sub(OBJECTS))
    }

    fn new(names: Lookup<'a>, object: &'a WaitObject) -> Self {
        let mut sites: Vec<&str> = Vec::new();
        for part in &object.sites {
            let name = names.site(part.site);
            if !sites.contains(&name) {
                sites.push(name);
            }
        }
        let waiters = object.waiters.iter().take(PEOPLE).map(|waiter| {
            let ended = || format!("ended threads of {}", names.group(waiter.group));
            let name = waiter.thread.map_or_else(ended, |id| names.thread(id));
            (name, waiter.waits, whole(waiter.wait_ns))
        });
        let holders = object.holders.iter().take(PEOPLE).map(|holder| {
            (names.holder(holder.thread, holder.tid), holder.waits, whole(holder.wait_ns))
        });
        Self {
            kind: &object.kind,
            what: names.object(object),
            lock: is_lock(object),
            waits: object.waits,
            wait: whole(object.wait_ns),
            max: whole(object.max_ns),
            at: object.max_at_ns,
            sites,
            waiters: waiters.collect(),
            waiters_all: object.waiters.len(),
            holders: holders.collect(),
            holders_all: object.holders.len(),
        }
    }
}
