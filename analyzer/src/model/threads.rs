//! Threads and their groups: who they are before any segment is read.

use super::clock::Clock;
use super::gather::ImageData;
use super::ids::{ComponentId, GroupId, ImageId, ThreadId};
use super::program::{Thread, ThreadEnd, ThreadGroup, ThreadOrigin};
use super::start_routine;
use super::symbols::Symbols;
use super::tables::Tables;
use crate::read::ThreadEntry;
use perfvisor_format::{ThreadRecord, ThreadState};
use std::collections::HashMap;

/// Name of the group of an image's first thread.
const MAIN: &str = "main";
/// Name of a group whose start routine nobody told.
const UNKNOWN: &str = "(unknown start routine)";

/// All threads and groups, and the ways to find them.
#[derive(Default)]
pub struct Cast {
    /// Threads, by image, then by record.
    pub threads: Vec<Thread>,
    /// Groups in order of first appearance.
    pub groups: Vec<ThreadGroup>,
    /// (image, record index) → thread.
    pub by_record: HashMap<(ImageId, u32), ThreadId>,
    /// (image, number of `g<N>.pv`) → group.
    pub by_group_file: HashMap<(ImageId, u32), GroupId>,
    group_ids: HashMap<GroupKey, GroupId>,
    routines: HashMap<(ImageId, u64), (GroupKey, String)>,
    places: HashMap<(ImageId, u64), String>,
}

/// What threads of one group share: the image's name, the routine's component and offset.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct GroupKey {
    image_name: String,
    component: Option<ComponentId>,
    address: u64,
    main: bool,
}

/// What naming a thread needs.
pub struct Naming<'a> {
    /// Components and maps.
    pub tables: &'a Tables,
    /// Names of addresses.
    pub symbols: &'a mut Symbols,
}

impl Naming<'_> {
    /// `function+0xoffset in component`, or the bare address.
    pub fn place(&mut self, image: ImageId, address: u64) -> String {
        let found = self.tables.maps[image.index()].component_of(address);
        match found.and_then(|(id, offset)| Some((self.tables.object_file(id)?, offset))) {
            Some((file, offset)) => self.symbols.place(file, offset),
            None => format!("{address:#x}"),
        }
    }
}

impl Cast {
    /// Adds the threads of `image`, whose executable is called `image_name`.
    pub fn add_image(
        &mut self,
        id: ImageId,
        image: &ImageData,
        image_name: &str,
        clock: &Clock,
        naming: &mut Naming<'_>,
    ) {
        for entry in &image.threads {
            let thread = self.thread(id, entry, image_name, clock, naming);
            let thread_id = ThreadId(self.threads.len() as u32);
            if entry.record.group != u32::MAX {
                self.by_group_file.entry((id, entry.record.group)).or_insert(thread.group);
            }
            self.by_record.insert((id, entry.index), thread_id);
            self.groups[thread.group.index()].threads.push(thread_id);
            self.threads.push(thread);
        }
        for entry in &image.threads {
            let creator = self.by_record.get(&(id, entry.record.creator)).copied();
            if let Some(&thread) = self.by_record.get(&(id, entry.index)) {
                self.threads[thread.index()].creator = creator;
            }
        }
    }

    /// The group of folded threads of file `g<number>.pv`; made if no member is known.
    pub fn group_of_file(&mut self, image: ImageId, number: u32, image_name: &str) -> GroupId {
        if let Some(&group) = self.by_group_file.get(&(image, number)) {
            return group;
        }
        let key = GroupKey {
            image_name: image_name.to_owned(),
            component: None,
            address: 0,
            main: false,
        };
        let group = self.group(key, UNKNOWN);
        self.by_group_file.insert((image, number), group);
        group
    }

    /// Gives groups of one program whose functions have the same name (static functions of two
    /// files, closures of one function) the place of the function as well.
    pub fn tell_apart(&mut self, tables: &Tables) {
        let mut seen: HashMap<(String, String), usize> = HashMap::new();
        for group in &self.groups {
            *seen.entry((group.image_name.clone(), group.name.clone())).or_default() += 1;
        }
        for group in &mut self.groups {
            let key = (group.image_name.clone(), group.name.clone());
            let component = group.component.and_then(|id| tables.components.get(id.index()));
            if let (Some(2..), Some(component)) = (seen.get(&key), component) {
                group.name += &format!(" ({}+{:#x})", component.name, group.start_offset);
            }
        }
    }

    fn thread(
        &mut self,
        image: ImageId,
        entry: &ThreadEntry,
        image_name: &str,
        clock: &Clock,
        naming: &mut Naming<'_>,
    ) -> Thread {
        let record = &entry.record;
        let origin = match record.origin {
            0 => ThreadOrigin::Created,
            1 => ThreadOrigin::Main,
            _ => ThreadOrigin::Met,
        };
        let routine =
            if record.start_inner != 0 { record.start_inner } else { record.start_routine };
        let (group, start_routine) = if origin == ThreadOrigin::Main {
            let key = GroupKey {
                image_name: image_name.to_owned(),
                component: None,
                address: 0,
                main: true,
            };
            (self.group(key, MAIN), MAIN.to_owned())
        } else {
            let mut found = self.routine(image, routine, image_name, naming);
            // A callable that is a plain function pointer is named by its type only; the pointer
            // that the hook found beside it names the function.
            if record.start_pointer != 0 && found.1.starts_with("std::thread::_State_impl<") {
                found = self.routine(image, record.start_pointer, image_name, naming);
            }
            (self.group(found.0, &found.1), found.1)
        };
        let outer_routine = match record.start_routine {
            0 => String::new(),
            address => self.place(image, address, naming),
        };
        let creator_site = match record.creator_site {
            0 => None,
            address => Some(self.place(image, address, naming)),
        };
        let ended = record.end_tsc != 0 || entry.state != ThreadState::Live;
        let start_ns = clock.moment_ns(record.start_tsc);
        let known = |value: u64| (value != u64::MAX).then_some(value);
        let (user_ns, system_ns) = watched_cpu(record);
        let end_ns = if record.end_tsc != 0 { clock.moment_ns(record.end_tsc) } else { 0 };
        Thread {
            image,
            record: entry.index,
            tid: record.tid,
            group,
            name: thread_name(&record.name),
            origin,
            end: if ended { ThreadEnd::Ended } else { ThreadEnd::WithProcess },
            folded: entry.state == ThreadState::Folded,
            start_routine,
            outer_routine,
            creator_site,
            start_ns,
            end_ns: end_ns.max(start_ns),
            user_ns,
            system_ns,
            voluntary_switches: known(record.voluntary_switches),
            involuntary_switches: known(record.involuntary_switches),
            calls: record.calls,
            wait_ns: clock.span_ns(record.wait_cycles as f64),
            ..Thread::default()
        }
    }

    fn place(&mut self, image: ImageId, address: u64, naming: &mut Naming<'_>) -> String {
        self.places.entry((image, address)).or_insert_with(|| naming.place(image, address)).clone()
    }

    /// What the group of the routine at `address` is known by, and its name.
    fn routine(
        &mut self,
        image: ImageId,
        address: u64,
        image_name: &str,
        naming: &mut Naming<'_>,
    ) -> (GroupKey, String) {
        if let Some(found) = self.routines.get(&(image, address)) {
            return found.clone();
        }
        let mut key =
            GroupKey { image_name: image_name.to_owned(), component: None, address, main: false };
        let mut name = if address == 0 { UNKNOWN.to_owned() } else { format!("{address:#x}") };
        let found = naming.tables.maps[image.index()].component_of(address);
        if let Some((component, offset)) = found {
            key.component = Some(component);
            key.address = offset;
            if let Some(file) = naming.tables.object_file(component) {
                name = format!("{}+{offset:#x}", file.name);
                if let Some(object) = naming.symbols.object(file) {
                    let routine = start_routine::resolve(&object, offset);
                    key.address = routine.address;
                    if start_routine::is_bare_shim(&routine.name) {
                        name = format!("Rust closure at {}+{:#x}", file.name, routine.address);
                    } else if !routine.name.is_empty() {
                        name = routine.name;
                    }
                }
            }
        }
        self.routines.insert((image, address), (key.clone(), name.clone()));
        (key, name)
    }

    fn group(&mut self, key: GroupKey, name: &str) -> GroupId {
        let groups = &mut self.groups;
        *self.group_ids.entry(key).or_insert_with_key(|key| {
            groups.push(ThreadGroup {
                name: name.to_owned(),
                image_name: key.image_name.clone(),
                component: key.component,
                start_offset: if key.component.is_some() { key.address } else { 0 },
                ..ThreadGroup::default()
            });
            GroupId(groups.len() as u32 - 1)
        })
    }
}

/// CPU time (user, system) since the thread was watched; unknown when it was killed.
fn watched_cpu(record: &ThreadRecord) -> (Option<u64>, Option<u64>) {
    let known = |value: u64| (value != u64::MAX).then_some(value);
    match (known(record.user_ns), known(record.system_ns)) {
        (Some(user), Some(system)) => {
            let (user, system) = cpu_since((user, system), record.cpu_before_ns);
            (Some(user), Some(system))
        }
        // Of one part nobody can say how much of what was used before is in it.
        part => part,
    }
}

/// CPU time (user, system) without what was used before. That is known as a sum only, and is taken
/// off both in the proportion of the whole.
pub fn cpu_since((user, system): (u64, u64), before_ns: u64) -> (u64, u64) {
    let whole = u128::from(user) + u128::from(system);
    // Two factors of 64 bits: a damaged trace may hold any.
    let before = u128::from(before_ns).min(whole);
    let part = |ns: u64| match whole {
        0 => 0,
        _ => ns - (u128::from(ns) * before / whole) as u64,
    };
    (part(user), part(system))
}

/// A name as the kernel and the trace keep it: up to the first zero byte.
pub fn thread_name(raw: &[u8; 16]) -> String {
    let end = raw.iter().position(|&b| b == 0).unwrap_or(raw.len());
    String::from_utf8_lossy(&raw[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::cpu_since;

    #[test]
    fn what_was_used_before_is_taken_off_both_parts() {
        assert_eq!(cpu_since((30, 10), 0), (30, 10));
        assert_eq!(cpu_since((30, 10), 20), (15, 5));
        assert_eq!(cpu_since((30, 10), 50), (0, 0));
        assert_eq!(cpu_since((0, 0), 5), (0, 0));
        assert_eq!(cpu_since((u64::MAX, u64::MAX), 0), (u64::MAX, u64::MAX));
    }
}
