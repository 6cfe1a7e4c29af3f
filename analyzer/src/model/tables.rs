//! One table of components, APIs and sites for all images, and each image's way into it.

use super::demangle;
use super::gather::ImageData;
use super::ids::{ApiId, ComponentId, SiteId};
use super::profile::SkipRow;
use super::program::{Api, Component, Site};
use super::symbols::{hex, ObjectFile};
use crate::read::{ComponentRecord, Record, SiteRecord};
use perfvisor_format::WaitKind;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Names of skipped slots that are shown.
const SKIP_EXAMPLES: usize = 5;

/// Functions that can put a thread to sleep. Where a slot of one is skipped, time goes by unseen.
const WAITING: [&str; 36] = [
    "accept",
    "accept4",
    "clock_nanosleep",
    "connect",
    "epoll_pwait",
    "epoll_wait",
    "fdatasync",
    "flock",
    "fsync",
    "nanosleep",
    "pause",
    "poll",
    "ppoll",
    "pselect",
    "pthread_barrier_wait",
    "pthread_cond_timedwait",
    "pthread_cond_wait",
    "pthread_join",
    "pthread_mutex_lock",
    "pthread_rwlock_rdlock",
    "pthread_rwlock_wrlock",
    "read",
    "readv",
    "recv",
    "recvfrom",
    "recvmsg",
    "select",
    "sem_timedwait",
    "sem_wait",
    "sigwaitinfo",
    "sleep",
    "syscall",
    "usleep",
    "wait",
    "wait4",
    "waitpid",
];

/// A component where an image loaded it.
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    /// The component.
    pub component: ComponentId,
    /// Load bias.
    pub base: u64,
    /// Mapped range.
    pub low: u64,
    /// End of the range.
    pub high: u64,
}

/// What an image calls a site.
#[derive(Clone, Copy, Debug)]
pub struct LocalSite {
    /// The run's site.
    pub site: SiteId,
    /// What it may wait for.
    pub wait: WaitKind,
}

/// An image's way into the tables.
#[derive(Clone, Debug, Default)]
pub struct ImageMap {
    sites: HashMap<u32, LocalSite>,
    /// Ids of known sites, ascending.
    pub known: Vec<u32>,
    loaded: Vec<Loaded>,
    components: HashMap<u32, ComponentId>,
    unknown: SiteId,
}

impl ImageMap {
    /// The run's site for the image's site `id`.
    pub fn site(&self, id: u32) -> LocalSite {
        let unknown = LocalSite { site: self.unknown, wait: WaitKind::None };
        self.sites.get(&id).copied().unwrap_or(unknown)
    }

    /// The run's component for the image's component `id`.
    pub fn component(&self, id: u32) -> Option<ComponentId> {
        self.components.get(&id).copied()
    }

    /// Where `address` lies, and what is left of it without the load bias.
    pub fn component_of(&self, address: u64) -> Option<(ComponentId, u64)> {
        // The newest first: an address may have been used by an unloaded component before.
        let found = self.loaded.iter().rev().find(|l| (l.low..l.high).contains(&address))?;
        Some((found.component, address.wrapping_sub(found.base)))
    }
}

/// The tables while they grow.
#[derive(Default)]
pub struct Tables {
    /// Components.
    pub components: Vec<Component>,
    /// APIs.
    pub apis: Vec<Api>,
    /// Sites; the last one stands for sites whose record is lost.
    pub sites: Vec<Site>,
    /// Skipped slots.
    pub skips: Vec<SkipRow>,
    /// All names of skipped slots.
    pub skipped_names: BTreeSet<String>,
    /// One map per image, in the order of images.
    pub maps: Vec<ImageMap>,
    component_ids: HashMap<(String, String), ComponentId>,
    api_ids: HashMap<(String, String, Option<ComponentId>), ApiId>,
    site_ids: HashMap<(Option<ComponentId>, ApiId), SiteId>,
}

impl Tables {
    /// The tables of `images`, which are called `names`.
    pub fn new(images: &[ImageData], names: &[String]) -> Self {
        let mut tables = Self::default();
        let mut started: BTreeMap<ComponentId, BTreeSet<&str>> = BTreeMap::new();
        for (image, name) in images.iter().zip(names) {
            let map = tables.add_image(image);
            let executable = map.loaded.iter().map(|loaded| loaded.component);
            for id in executable.filter(|id| tables.components[id.index()].executable) {
                // Without a better name an image is called by its folder.
                if *name != image.folder.name {
                    started.entry(id).or_default().insert(name);
                }
            }
            tables.maps.push(map);
        }
        // A file with several names is called by the one it was started as, if that is one.
        for (id, names) in started {
            if let (1, Some(name)) = (names.len(), names.first()) {
                tables.components[id.index()].name = (*name).to_owned();
            }
        }
        let unknown = SiteId(tables.sites.len() as u32);
        tables.sites.push(Site::default());
        for map in &mut tables.maps {
            map.unknown = unknown;
        }
        tables.skips.sort_by(|a, b| {
            (b.slots, a.component, &a.reason).cmp(&(a.slots, b.component, &b.reason))
        });
        tables
    }

    /// What the symboliser needs of a component.
    pub fn object_file(&self, id: ComponentId) -> Option<ObjectFile<'_>> {
        let component = self.components.get(id.index())?;
        Some(ObjectFile {
            component: id.0,
            path: &component.path,
            name: &component.name,
            build_id: &component.build_id,
        })
    }

    fn add_image(&mut self, image: &ImageData) -> ImageMap {
        let mut map = ImageMap::default();
        let mut local = HashMap::new();
        let mut skips: HashMap<(ComponentId, String), usize> = self
            .skips
            .iter()
            .enumerate()
            .map(|(at, s)| ((s.component, s.reason.clone()), at))
            .collect();
        let exe = setting(image, "exe").unwrap_or_default();
        for (_, record) in &image.process.records {
            if let Record::Component(record) = record {
                let id = self.component(record, &exe);
                local.insert(record.id, id);
                let (base, low, high) = (record.base, record.low, record.high);
                map.loaded.push(Loaded { component: id, base, low, high });
            }
        }
        for (_, record) in &image.process.records {
            match record {
                Record::Site(record) => {
                    let site = self.site(record, &local);
                    map.sites.insert(record.id, LocalSite { site, wait: record.wait });
                }
                Record::Skip(caller, reason, name) => {
                    let Some(&component) = local.get(caller) else { continue };
                    let reason = match reason {
                        Ok(reason) => reason.text().to_owned(),
                        Err(raw) => format!("reason {raw}"),
                    };
                    self.skipped_names.insert(name.clone());
                    let skips_len = self.skips.len();
                    let at = *skips.entry((component, reason.clone())).or_insert(skips_len);
                    if at == skips_len {
                        self.skips.push(SkipRow { component, reason, ..SkipRow::default() });
                    }
                    let row = &mut self.skips[at];
                    row.slots += 1;
                    if row.examples.len() < SKIP_EXAMPLES && !row.examples.contains(name) {
                        row.examples.push(name.clone());
                    }
                    if WAITING.contains(&name.as_str()) && !row.waiting.contains(name) {
                        row.waiting.push(name.clone());
                    }
                }
                _ => {}
            }
        }
        map.components = local;
        map.known = map.sites.keys().copied().collect();
        map.known.sort_unstable();
        map
    }

    fn component(&mut self, record: &ComponentRecord, exe: &str) -> ComponentId {
        // The executable may be recorded without a path.
        let executable = record.flags & 1 != 0;
        let path = if record.path.is_empty() && executable { exe } else { &record.path };
        let build_id = hex(&record.build_id);
        let key = (path.to_owned(), build_id.clone());
        let components = &mut self.components;
        let id = *self.component_ids.entry(key).or_insert_with(|| {
            let name = match path.rsplit('/').next() {
                Some(name) if !name.is_empty() => name.to_owned(),
                _ => "[unknown]".to_owned(),
            };
            components.push(Component {
                name,
                path: path.to_owned(),
                build_id,
                ..Component::default()
            });
            ComponentId(components.len() as u32 - 1)
        });
        let component = &mut self.components[id.index()];
        component.executable |= executable;
        component.loader |= record.flags & 4 != 0;
        component.libc |= record.flags & 8 != 0;
        component.hook |= record.flags & 16 != 0;
        id
    }

    fn site(&mut self, record: &SiteRecord, local: &HashMap<u32, ComponentId>) -> SiteId {
        let caller = local.get(&record.caller).copied();
        let target = local.get(&record.target_component).copied();
        let key = (record.name.clone(), record.version.clone(), target);
        let apis = &mut self.apis;
        let api = *self.api_ids.entry(key).or_insert_with(|| {
            apis.push(Api {
                symbol: record.name.clone(),
                name: demangle::short_name(&record.name),
                signature: demangle::signature(&record.name),
                version: record.version.clone(),
                component: target,
                wait_kind: WaitKind::None.text().to_owned(),
                blocking: false,
            });
            ApiId(apis.len() as u32 - 1)
        });
        if record.wait != WaitKind::None {
            let api = &mut self.apis[api.index()];
            api.blocking = true;
            record.wait.text().clone_into(&mut api.wait_kind);
        }
        let sites = &mut self.sites;
        let id = *self.site_ids.entry((caller, api)).or_insert_with(|| {
            sites.push(Site { caller, api: Some(api), ..Site::default() });
            SiteId(sites.len() as u32 - 1)
        });
        let site = &mut self.sites[id.index()];
        site.counted_only |= record.counted_only;
        let how = record.how.map_or("unknown", |how| how.text());
        if !site.how.iter().any(|known| known == how) {
            site.how.push(how.to_owned());
        }
        id
    }
}

/// The image's setting `key`, the last one given.
pub fn setting(image: &ImageData, key: &str) -> Option<String> {
    image.process.records.iter().rev().find_map(|(_, record)| match record {
        Record::Setting(k, value) if k == key => Some(value.clone()),
        _ => None,
    })
}
