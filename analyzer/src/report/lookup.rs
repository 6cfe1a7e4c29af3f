//! From ids to words. An id that points nowhere is said to be unknown; drawing never panics.

use crate::model::{ApiId, ComponentId, GroupId, Profile, SiteId, ThreadId, WaitObject};

/// What stands for a name that is not known.
pub const UNKNOWN: &str = "(unknown)";

/// Names of a profile's things.
#[derive(Clone, Copy)]
pub struct Lookup<'a> {
    profile: &'a Profile,
    /// Groups of more than one program: their names need the program's beside them.
    several_programs: bool,
}

impl<'a> Lookup<'a> {
    /// Names of the things of `profile`.
    pub fn new(profile: &'a Profile) -> Self {
        let first = profile.groups.first().map(|group| group.image_name.as_str());
        let several_programs =
            profile.groups.iter().any(|group| Some(group.image_name.as_str()) != first);
        Self { profile, several_programs }
    }

    /// The function's name.
    pub fn api(self, id: Option<ApiId>) -> &'a str {
        let api = id.and_then(|id| self.profile.apis.get(id.index()));
        match api {
            Some(api) if !api.name.is_empty() => &api.name,
            Some(api) if !api.symbol.is_empty() => &api.symbol,
            _ => UNKNOWN,
        }
    }

    /// Where the function is defined.
    pub fn api_component(self, id: Option<ApiId>) -> &'a str {
        let api = id.and_then(|id| self.profile.apis.get(id.index()));
        self.component(api.and_then(|api| api.component))
    }

    /// The component's file name.
    pub fn component(self, id: Option<ComponentId>) -> &'a str {
        let component = id.and_then(|id| self.profile.components.get(id.index()));
        component.map_or(UNKNOWN, |component| &component.name)
    }

    /// The API of a call site.
    pub fn site_api(self, id: SiteId) -> Option<ApiId> {
        self.profile.sites.get(id.index()).and_then(|site| site.api)
    }

    /// The name of the function a call site calls.
    pub fn site(self, id: SiteId) -> &'a str {
        self.api(self.site_api(id))
    }

    /// The component a call site calls from.
    pub fn site_caller(self, id: SiteId) -> &'a str {
        self.component(self.profile.sites.get(id.index()).and_then(|site| site.caller))
    }

    /// The group's name, with its program where the profile has several.
    pub fn group(self, id: GroupId) -> String {
        let Some(group) = self.profile.groups.get(id.index()) else {
            return UNKNOWN.into();
        };
        let name = if group.name.is_empty() { UNKNOWN } else { &group.name };
        if self.several_programs {
            format!("{name} [{}]", group.image_name)
        } else {
            name.to_owned()
        }
    }

    /// A thread by its group and its number in it.
    pub fn member(self, id: ThreadId) -> String {
        let Some(thread) = self.profile.threads.get(id.index()) else {
            return UNKNOWN.into();
        };
        let members = self.profile.groups.get(thread.group.index()).map(|group| &group.threads);
        let ordinal = members.and_then(|members| members.binary_search(&id).ok());
        match (members.map(Vec::len), ordinal) {
            (Some(all), Some(at)) if all > 1 => format!("{} #{}", self.group(thread.group), at + 1),
            _ => self.group(thread.group),
        }
    }

    /// A thread as one finds it again: its number in its group, its id and its own name.
    pub fn thread(self, id: ThreadId) -> String {
        let Some(thread) = self.profile.threads.get(id.index()) else {
            return UNKNOWN.into();
        };
        let member = self.member(id);
        if thread.name.is_empty() || member.contains(&thread.name) {
            format!("{member} (tid {})", thread.tid)
        } else {
            format!("{member} (tid {}, \"{}\")", thread.tid, thread.name)
        }
    }

    /// A holder: the thread where it is known, else the bare kernel id.
    pub fn holder(self, thread: Option<ThreadId>, tid: u32) -> String {
        thread.map_or_else(|| format!("tid {tid}"), |id| self.thread(id))
    }

    /// What was waited for, without its kind.
    pub fn object(self, object: &WaitObject) -> String {
        if let Some(thread) = object.joined {
            return self.thread(thread);
        }
        match &object.label {
            Some(label) => label.clone(),
            None => object_text(&object.kind, object.object),
        }
    }
}

/// An object's address or number in the notation its kind asks for; empty when it has none.
pub fn object_text(kind: &str, object: u64) -> String {
    match kind {
        _ if object == 0 && !matches!(kind, "file" | "network") => String::new(),
        "network" | "file" | "disk sync" | "poll" => format!("fd {}", object as i64 as i32),
        "process" => format!("pid {}", object as i64 as i32),
        _ => format!("{object:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_point_nowhere_are_unknown() {
        let profile = Profile::default();
        let names = Lookup::new(&profile);
        assert_eq!(names.api(Some(ApiId(7))), UNKNOWN);
        assert_eq!(names.site(SiteId(7)), UNKNOWN);
        assert_eq!(names.thread(ThreadId(7)), UNKNOWN);
        assert_eq!(names.group(GroupId(7)), UNKNOWN);
        assert_eq!(names.holder(None, 12), "tid 12");
    }

    #[test]
    fn objects_are_written_as_their_kind_asks() {
        assert_eq!(object_text("mutex", 0x7f00), "0x7f00");
        assert_eq!(object_text("file", 0), "fd 0");
        assert_eq!(object_text("sleep", 0), "");
        assert_eq!(object_text("network", u64::MAX), "fd -1");
    }
}
