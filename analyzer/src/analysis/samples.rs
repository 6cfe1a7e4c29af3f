//! Small profiles for the analyses' tests.

use crate::model::{
    Api, ApiId, GroupId, Holder, Image, ImageId, Profile, Site, SiteId, SlowCall, Thread,
    ThreadGroup, ThreadId, WaitObject, WaitShare, Waiter,
};

/// One group `worker` of four threads (tid 100 …) with exec times in s; the run took 4 s.
pub fn four_workers(exec_s: [f64; 4]) -> Profile {
    let mut profile = Profile::default();
    profile.run.wall_ns = 4_000_000_000;
    profile.images.push(Image { name: "app".into(), calls: 1_000_000, ..Image::default() });
    profile.coverage.sites = 10;
    profile.coverage.sites_called = 5;
    profile.coverage.calls = 1_000_000;
    profile.coverage.slots_found = 10;
    profile.coverage.slots_patched = 10;
    let mut group =
        ThreadGroup { name: "worker".into(), image_name: "app".into(), ..Default::default() };
    for (at, s) in exec_s.into_iter().enumerate() {
        let exec_ns = s * 1e9;
        profile.threads.push(Thread { tid: 100 + at as u32, exec_ns, ..Thread::default() });
        group.threads.push(ThreadId(at as u32));
        group.exec_ns += exec_ns;
        group.lifetime_ns += 4e9;
    }
    let mean = group.exec_ns / 4.0;
    let longest = exec_s.iter().copied().fold(0.0, f64::max) * 1e9;
    group.straggler = exec_s.iter().position(|&s| s * 1e9 == longest).map(|at| ThreadId(at as u32));
    group.max_over_mean = longest / mean;
    group.compared_threads = 4;
    profile.groups.push(group);
    profile
}

/// The same with a site `fsync` and slow calls of it, longest first.
pub fn slow_calls(durations_ns: &[f64], median_ns: f64) -> Profile {
    let mut profile = four_workers([1.0; 4]);
    profile.run.wall_ns = 1_000_000_000;
    profile.apis.push(Api { name: "fsync".into(), blocking: true, ..Api::default() });
    profile.sites.push(Site { api: Some(ApiId(0)), count: 100, ..Site::default() });
    for &duration_ns in durations_ns {
        profile.slow_calls.push(SlowCall {
            image: ImageId(0),
            thread: Some(ThreadId(1)),
            group: GroupId(0),
            site: SiteId(0),
            path: vec![SiteId(0)],
            node: None,
            start_ns: 1_000,
            duration_ns,
            threshold_ns: 1_000.0,
            median_ns: Some(median_ns),
            args: [0; 6],
            result: 0,
            called_from: "flush+0x10 in app".into(),
            below_ns: 0.0,
            wait_ns: duration_ns,
            wait_kind: Some("disk sync".into()),
            wait_site: Some(SiteId(0)),
            object: 3,
            wait_object: None,
            holder_tid: None,
            holder: None,
        });
    }
    profile
}

/// The same with one waited-for object held by tid 100.
pub fn contended_mutex(kind: &str) -> Profile {
    let mut profile = slow_calls(&[], 0.0);
    profile.wait_objects.push(WaitObject {
        image: ImageId(0),
        kind: kind.into(),
        object: 0x5000,
        label: None,
        joined: None,
        waits: 500,
        wait_ns: 3e9,
        max_ns: 5e7,
        max_at_ns: 7,
        sites: vec![WaitShare { site: SiteId(0), waits: 500, wait_ns: 3e9 }],
        waiters: vec![Waiter {
            thread: Some(ThreadId(1)),
            group: GroupId(0),
            waits: 500,
            wait_ns: 3e9,
        }],
        holders: vec![Holder { tid: 100, thread: Some(ThreadId(0)), waits: 400, wait_ns: 2.5e9 }],
    });
    profile
}
