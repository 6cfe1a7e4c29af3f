//! Which call sites the user wants: globs on components and APIs.
//!
//! An empty include list includes everything. Nothing is excluded unless asked for.

use alloc::vec::Vec;

use super::elf::file_name;
use perfvisor_format::glob;

/// Include and exclude globs, as the settings name them.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    include_components: Vec<Vec<u8>>,
    exclude_components: Vec<Vec<u8>>,
    include_apis: Vec<Vec<u8>>,
    exclude_apis: Vec<Vec<u8>>,
}

fn globs(list: &[u8]) -> Vec<Vec<u8>> {
    list.split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|glob| !glob.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}

fn any(globs: &[Vec<u8>], name: &[u8]) -> bool {
    globs.iter().any(|pattern| glob::matches(pattern, name))
}

impl Filter {
    /// No filter: everything is wanted.
    pub const NONE: Self = Self {
        include_components: Vec::new(),
        exclude_components: Vec::new(),
        include_apis: Vec::new(),
        exclude_apis: Vec::new(),
    };

    /// Filters from comma-separated globs (`PERFVISOR_INCLUDE_COMPONENT` and its kin); an empty
    /// list is no filter.
    pub fn new(
        include_components: &[u8],
        exclude_components: &[u8],
        include_apis: &[u8],
        exclude_apis: &[u8],
    ) -> Self {
        Self {
            include_components: globs(include_components),
            exclude_components: globs(exclude_components),
            include_apis: globs(include_apis),
            exclude_apis: globs(exclude_apis),
        }
    }

    /// A filter on components alone, by one list of globs; a `!` in front of one excludes.
    pub fn of_components(list: &[u8]) -> Self {
        let (mut filter, all) = (Self::NONE, globs(list));
        for glob in all {
            match glob.strip_prefix(b"!") {
                Some(excluded) => filter.exclude_components.push(excluded.to_vec()),
                None => filter.include_components.push(glob),
            }
        }
        filter
    }

    /// Whether the component with path `path` is wanted for itself.
    pub fn allows_component(&self, path: &[u8]) -> bool {
        self.allows(path, path, b"")
    }

    /// Whether calls of `api` from the component with path `caller` to the one with path `target`
    /// are wanted. A component glob matches a call site by its caller's or its target's file name.
    pub fn allows(&self, caller: &[u8], target: &[u8], api: &[u8]) -> bool {
        let component =
            |globs: &[Vec<u8>]| any(globs, file_name(caller)) || any(globs, file_name(target));
        (self.include_components.is_empty() || component(&self.include_components))
            && (self.include_apis.is_empty() || any(&self.include_apis, api))
            && !component(&self.exclude_components)
            && !any(&self.exclude_apis, api)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: &[u8] = b"/usr/bin/redis-server";
    const TARGET: &[u8] = b"/lib/x86_64-linux-gnu/libc.so.6";

    #[test]
    fn nothing_is_excluded_by_default() {
        assert!(Filter::default().allows(CALLER, TARGET, b"read"));
        assert!(Filter::new(b"", b" , ", b"", b"").allows(CALLER, b"", b"read"));
    }

    #[test]
    fn one_list_may_include_and_exclude() {
        let by = |list: &[u8]| Filter::of_components(list).allows_component(TARGET);
        assert!(by(b"") && by(b"libc.so*") && by(b"!libm*") && by(b"lib*,!libm*"));
        assert!(!by(b"!libc.so*") && !by(b"libm*") && !by(b"lib*,!libc*"));
    }

    #[test]
    fn component_globs_match_either_side_by_file_name() {
        let by = |include: &[u8], exclude: &[u8]| {
            Filter::new(include, exclude, b"", b"").allows(CALLER, TARGET, b"read")
        };
        assert!(by(b"redis-*", b""));
        assert!(by(b"libm.so*, libc.so*", b""));
        assert!(!by(b"libm.so*", b""));
        assert!(!by(b"", b"libc.so.?"));
        assert!(!by(b"redis-*", b"libc*"));
        assert!(!by(b"/usr/bin/*", b""));
    }

    #[test]
    fn api_globs_match_the_symbol_and_exclusion_wins() {
        let by = |include: &[u8], exclude: &[u8], api: &[u8]| {
            Filter::new(b"", b"", include, exclude).allows(CALLER, TARGET, api)
        };
        assert!(by(b"pthread_*", b"", b"pthread_mutex_lock"));
        assert!(!by(b"pthread_*", b"", b"malloc"));
        assert!(!by(b"pthread_*", b"*lock", b"pthread_mutex_lock"));
        assert!(by(b"", b"mem*", b"strlen"));
        assert!(!by(b"", b"malloc,free", b"free"));
    }
}
