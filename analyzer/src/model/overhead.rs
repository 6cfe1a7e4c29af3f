//! What recording cost, from the costs the hook measured at load and the calls it saw.

use super::gather::Gathered;
use super::ids::ImageId;
use super::profile::{Overhead, Profile};

/// Fills [`Profile::overhead`].
pub fn describe(profile: &mut Profile, gathered: &Gathered) {
    let mut overhead = Overhead::default();
    let mut timed_calls = vec![0u64; profile.images.len()];
    for thread in &profile.threads {
        let sum = &mut timed_calls[thread.image.index()];
        *sum = sum.saturating_add(thread.timed);
    }
    for (at, image) in profile.images.iter().enumerate() {
        let header = &gathered.images[at].process.header;
        let ns = |sixteenths: u32| f64::from(sixteenths) / 16.0 / image.tsc_per_ns;
        let timed = timed_calls[at].min(image.calls) as f64;
        let timed_ns = timed * ns(header.timed_cost_16);
        let counted_ns = (image.calls as f64 - timed) * ns(header.counted_cost_16);
        overhead.timed_ns += timed_ns;
        overhead.counted_ns += counted_ns;
        overhead.load_ns += image.load_ns as f64;
        overhead.cpu_ns += (image.user_ns.saturating_add(image.system_ns)) as f64;
        overhead.per_image.push((ImageId(at as u32), timed_ns + counted_ns + image.load_ns as f64));
    }
    if let (Some(user), Some(system)) = (profile.run.user_ns, profile.run.system_ns) {
        overhead.cpu_ns = user.saturating_add(system) as f64;
    }
    let syscalls = profile.syscalls.overhead;
    let probes_ns =
        overhead.timed_ns + overhead.counted_ns + syscalls.timed_ns + syscalls.counted_ns;
    overhead.share = share(probes_ns, overhead.cpu_ns);
    profile.overhead = overhead;
}

/// The probes' part of the CPU time that was measured, in which it is contained. A cost above all
/// that was measured is no measurement: the machine was slower while the hook measured itself, or
/// part of the CPU time is missing.
fn share(probes_ns: f64, cpu_ns: f64) -> Option<f64> {
    (cpu_ns > 0.0 && probes_ns <= cpu_ns).then(|| probes_ns / cpu_ns)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_share_is_of_the_cpu_time_measured_and_never_above_all_of_it() {
        assert_eq!(super::share(1.0, 4.0), Some(0.25));
        assert_eq!(super::share(4.0, 4.0), Some(1.0));
        assert_eq!(super::share(4.1, 4.0), None);
        assert_eq!(super::share(1.0, 0.0), None);
    }
}
