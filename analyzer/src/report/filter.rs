//! What the filters of a text report let pass: the same answer for every section of it.

use super::lookup::Lookup;
use super::names::clean;
use super::options::{passes, TextOptions};
use crate::analysis::Finding;
use crate::model::{
    ApiId, ApiRow, CallerShare, ComponentId, FlowEdge, GroupId, ImageId, Profile, SiteId,
    SyscallRow,
};
use std::collections::{BTreeMap, BTreeSet};

/// Names listed where a pattern matches none.
const NEAR_NAMES: usize = 8;

/// The filters of a report on a profile.
#[derive(Clone, Copy)]
pub(crate) struct Filter<'a> {
    profile: &'a Profile,
    names: Lookup<'a>,
    options: &'a TextOptions,
}

impl<'a> Filter<'a> {
    /// The filters of `options` on `profile`.
    pub fn new(profile: &'a Profile, options: &'a TextOptions) -> Self {
        Self { profile, names: Lookup::new(profile), options }
    }

    /// Whether the thread group passes, by its name or that of its executable.
    pub fn group(&self, id: GroupId) -> bool {
        let program = self.profile.groups.get(id.index()).map_or("", |group| &group.image_name);
        passes(&self.options.group_filter, &[&self.names.group(id), program])
    }

    /// Whether the API passes, by its name or symbol.
    pub fn api(&self, id: Option<ApiId>) -> bool {
        let api = id.and_then(|id| self.profile.apis.get(id.index()));
        let symbol = api.map_or("", |api| &api.symbol);
        passes(&self.options.api_filter, &[self.names.api(id), symbol])
    }

    /// Whether a call between these two components passes.
    pub fn components(&self, caller: Option<ComponentId>, callee: Option<ComponentId>) -> bool {
        let ends = [self.names.component(caller), self.names.component(callee)];
        passes(&self.options.component_filter, &ends)
    }

    /// Whether calls of a site pass, whatever their group.
    pub fn site(&self, id: SiteId) -> bool {
        let site = self.profile.sites.get(id.index());
        let api = site.and_then(|site| site.api);
        self.api(api) && self.components(site.and_then(|site| site.caller), self.callee(api))
    }

    fn callee(&self, api: Option<ApiId>) -> Option<ComponentId> {
        self.profile.apis.get(api?.index())?.component
    }

    /// Whether a row of APIs passes with at least one of its callers.
    pub fn row(&self, row: &ApiRow) -> bool {
        let caller =
            |caller: &CallerShare| self.components(caller.component, self.callee(Some(row.api)));
        let none = row.callers.is_empty() && self.components(None, self.callee(Some(row.api)));
        self.group(row.group) && self.api(Some(row.api)) && (none || row.callers.iter().any(caller))
    }

    /// Whether a system call passes: made below an API that does.
    pub fn syscall(&self, row: &SyscallRow) -> bool {
        let by_path =
            !(self.options.api_filter.is_empty() && self.options.component_filter.is_empty());
        let sites = || {
            let nodes = self.profile.path_above(row.node);
            nodes.filter_map(|id| Some(self.profile.call_nodes.get(id.index())?.site))
        };
        self.group(row.group) && (!by_path || sites().any(|site| self.site(site)))
    }

    /// Whether a finding passes: what it names must, what it does not name may be anything.
    pub fn finding(&self, finding: &Finding) -> bool {
        let place = &finding.place;
        let path = || place.path.iter().any(|site| self.site(*site));
        place.group.is_none_or(|group| self.group(group))
            && place.api.is_none_or(|api| self.api(Some(api)))
            && (place.path.is_empty() || self.options.component_filter.is_empty() || path())
    }

    /// Whether a process image passes: with a thread of a group that does.
    pub fn image(&self, id: ImageId) -> bool {
        self.options.group_filter.is_empty()
            || self.profile.threads.iter().any(|t| t.image == id && self.group(t.group))
    }

    /// The flow between components of the calls that pass.
    pub fn flow(&self) -> Vec<FlowEdge> {
        let by_call = !(self.options.group_filter.is_empty() && self.options.api_filter.is_empty());
        let mut edges = if by_call { self.flow_of_rows() } else { self.profile.flow.clone() };
        edges.retain(|edge| edge.count > 0 && self.components(edge.caller, edge.callee));
        edges
    }

    fn flow_of_rows(&self) -> Vec<FlowEdge> {
        let mut edges: BTreeMap<(Option<ComponentId>, Option<ComponentId>), FlowEdge> =
            BTreeMap::new();
        let rows = self.profile.api_rows.iter();
        for row in rows.filter(|row| self.group(row.group) && self.api(Some(row.api))) {
            let callee = self.callee(Some(row.api));
            for part in &row.callers {
                let caller = part.component;
                let edge = edges
                    .entry((caller, callee))
                    .or_insert_with(|| FlowEdge::between(caller, callee));
                edge.count = edge.count.saturating_add(part.count);
                edge.total_ns += part.total_ns;
                edge.self_ns += part.self_ns;
            }
        }
        edges.into_values().collect()
    }

    /// The filters as a user would write them.
    pub fn written(&self) -> String {
        let kinds = [
            ("--group", &self.options.group_filter),
            ("--api", &self.options.api_filter),
            ("--component", &self.options.component_filter),
        ];
        let flags =
            kinds.iter().flat_map(|(flag, patterns)| patterns.iter().map(move |p| (flag, p)));
        let words: Vec<String> =
            flags.flat_map(|(flag, p)| [(*flag).to_owned(), super::names::quoted(p)]).collect();
        words.join(" ")
    }
}

/// What to say of a filter that no name of the profile passes: what does not match, and the names
/// nearest to it. `None` when every kind of filter lets something pass.
pub fn unmatched(profile: &Profile, options: &TextOptions) -> Option<(String, String)> {
    let names = Lookup::new(profile);
    let mut groups = BTreeSet::new();
    for (at, group) in profile.groups.iter().enumerate() {
        groups.insert(names.group(GroupId(at as u32)));
        groups.insert(group.image_name.clone());
    }
    let apis: BTreeSet<String> =
        profile.apis.iter().flat_map(|api| [api.name.clone(), api.symbol.clone()]).collect();
    let components = profile.components.iter().map(|component| component.name.clone()).collect();
    [
        ("thread group", &options.group_filter, groups),
        ("API", &options.api_filter, apis),
        ("component", &options.component_filter, components),
    ]
    .into_iter()
    .find_map(|(what, patterns, known)| {
        let matched = known.is_empty() || known.iter().any(|name| passes(patterns, &[name]));
        (!matched).then(|| {
            let said = format!("no {what} of the recording matches {}", patterns.join(" or "));
            (said, near(patterns, known))
        })
    })
}

fn near(patterns: &[String], known: BTreeSet<String>) -> String {
    let all = known.len();
    let likeness = |name: &String| {
        let each = patterns.iter().map(|pattern| alike(pattern, name));
        each.fold(0.0, f64::max)
    };
    let mut known: Vec<String> = known.into_iter().filter(|name| !name.is_empty()).collect();
    known.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)));
    known.truncate(NEAR_NAMES);
    let list = known.iter().map(|name| clean(name)).collect::<Vec<_>>().join(", ");
    match all > NEAR_NAMES {
        true => format!("the nearest names are {list}"),
        false => format!("there are {list}"),
    }
}

/// Share of letter pairs that two names have in common (Dice's coefficient), 0 … 1.
fn alike(a: &str, b: &str) -> f64 {
    let pairs = |text: &str| -> Vec<(char, char)> {
        let letters: Vec<char> = text.to_lowercase().chars().filter(|c| *c != '*').collect();
        letters.windows(2).map(|pair| (pair[0], pair[1])).collect()
    };
    let (a, mut b) = (pairs(a), pairs(b));
    let all = (a.len() + b.len()).max(1) as f64;
    let mut common = 0.0;
    for pair in a {
        if let Some(at) = b.iter().position(|other| *other == pair) {
            b.swap_remove(at);
            common += 2.0;
        }
    }
    common / all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{sample, text};

    fn drawn(options: &TextOptions) -> String {
        text(&sample::profile(), &sample::findings(), options)
    }

    fn section<'a>(drawn: &'a str, title: &str, next: &str) -> &'a str {
        let from = drawn.split(title).nth(1).unwrap_or_default();
        from.split(next).next().unwrap_or_default()
    }

    #[test]
    fn every_section_holds_to_the_group() {
        let options =
            TextOptions { group_filter: vec!["main".into()], top: 0, ..TextOptions::default() };
        let drawn = drawn(&options);
        assert!(drawn.contains("Only: --group main"), "{drawn}");
        let findings = section(&drawn, "\nFINDINGS", "\nTHREAD GROUPS");
        assert!(!findings.contains("queue for one mutex"), "{findings}");
        assert!(findings.contains("1 finding on other places"), "{findings}");
        let flow = section(&drawn, "\nFLOW", "\nSLOW CALLS");
        assert!(flow.contains("libpthread.so.0") && !flow.contains("41.2 k"), "{flow}");
        let locks = section(&drawn, "\nLOCKS", "\nOTHER WAITS");
        assert!(locks.contains("None passes the filters."), "{locks}");
    }

    #[test]
    fn flow_holds_to_the_api() {
        let options = TextOptions { api_filter: vec!["re?d".into()], ..TextOptions::default() };
        let drawn = drawn(&options);
        let flow = section(&drawn, "\nFLOW", "\nSLOW CALLS");
        assert!(flow.contains("libc.so.6") && !flow.contains("libpthread"), "{flow}");
        let waits = section(&drawn, "\nOTHER WAITS", "\nEND");
        assert!(waits.contains("fd 3") && !waits.contains("join"), "{waits}");
        let mutex = TextOptions { api_filter: vec!["*_lock".into()], ..TextOptions::default() };
        let drawn = text(&sample::profile(), &sample::findings(), &mutex);
        let waits = section(&drawn, "\nOTHER WAITS", "\nEND");
        assert!(waits.contains("None passes the filters."), "{waits}");
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_told_with_near_names() {
        let profile = sample::profile();
        let with = |group: &str| TextOptions {
            group_filter: vec![group.into()],
            ..TextOptions::default()
        };
        assert_eq!(unmatched(&profile, &with("compress*")), None);
        assert_eq!(unmatched(&profile, &with("packer")), None);
        let (what, names) = unmatched(&profile, &with("compres_worker")).expect("no match");
        assert_eq!(what, "no thread group of the recording matches compres_worker");
        assert!(names.starts_with("there are compress_worker, "), "{names}");
        assert_eq!(unmatched(&Profile::default(), &with("x")), None);
        let drawn = text(&profile, &[], &with("nosuch"));
        assert!(drawn.contains("No thread group passes the filters."), "{drawn}");
    }
}
