//! The only clock of the hot path: the time stamp counter.

/// The time stamp counter, in cycles. Not serialising: a few cycles of blur cost less than a fence.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: rdtsc has no preconditions on x86-64 (CR4.TSD is never set on Linux by default; a
    // process that asked for PR_TSC_SIGSEGV is refused at load).
    unsafe { core::arch::x86_64::_rdtsc() }
}
