//! A component's dynamic section, its symbols, their versions and their hash tables.
//!
//! [`Tables::find`] repeats the loader's own match rule (glibc `do_lookup_x`, `check_match`), so
//! that a lazy slot can be bound to what the loader would bind it to without asking dlsym: dlsym
//! takes the loader's lock, and dlvsym rejects the unversioned definitions of preloaded
//! allocators that the loader accepts.

use alloc::vec::Vec;

use goblin::elf64::dynamic::{
    Dyn, DF_SYMBOLIC, DT_FLAGS, DT_GNU_HASH, DT_HASH, DT_JMPREL, DT_NEEDED, DT_NULL, DT_PLTREL,
    DT_PLTRELSZ, DT_RELA, DT_RELASZ, DT_SONAME, DT_STRSZ, DT_STRTAB, DT_SYMBOLIC, DT_SYMTAB,
    DT_VERDEF, DT_VERDEFNUM, DT_VERNEED, DT_VERNEEDNUM, DT_VERSYM,
};
use goblin::elf64::reloc::Rela;
use goblin::elf64::sym::{
    Sym, STB_GLOBAL, STB_GNU_UNIQUE, STB_WEAK, STT_COMMON, STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE,
    STT_OBJECT, STT_TLS,
};

use super::elf::{Component, View};

/// Versions or needed objects beyond this many are not read: no real object has them.
const MOST_VERSIONS: usize = 8192;
/// Low bits of a version index; bit 15 hides the definition from unversioned references.
const VERSION_MASK: u16 = 0x7fff;
const VERSION_HIDDEN: u16 = 0x8000;

/// A version that the object defines or asks for.
#[derive(Clone, Copy, Debug)]
struct Version {
    index: u16,
    hidden: bool,
    hash: u32,
    name: u32,
}

/// The tables of one component. All default to empty.
#[derive(Debug, Default)]
pub struct Tables {
    symbols: View<Sym>,
    strings: View<u8>,
    version_indices: View<u16>,
    versions: Vec<Version>,
    gnu_hash: Option<GnuHash>,
    sysv_buckets: View<u32>,
    sysv_chains: View<u32>,
    soname: Option<usize>,
    needed: Vec<usize>,
    /// Relocations of the procedure linkage table.
    pub plt_relocations: View<Rela>,
    /// All other relocations.
    pub relocations: View<Rela>,
    /// DF_SYMBOLIC: the component's own definitions come first.
    pub symbolic: bool,
}

#[derive(Debug)]
struct GnuHash {
    first: u32,
    shift: u32,
    bloom: View<u64>,
    buckets: View<u32>,
    chains: View<u32>,
}

/// A name with both its hashes and the version asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Symbol name.
    pub name: &'a [u8],
    /// Version name and whether only that very version will do; `None` = any.
    pub version: Option<WantedVersion<'a>>,
    hash: u32,
}

/// The version a reference asks for.
#[derive(Clone, Copy, Debug)]
pub struct WantedVersion<'a> {
    /// Its name.
    pub name: &'a [u8],
    hash: u32,
    hidden: bool,
}

impl<'a> Wanted<'a> {
    /// A request for `name` in `version`.
    pub fn new(name: &'a [u8], version: Option<WantedVersion<'a>>) -> Self {
        let hash =
            name.iter().fold(5381u32, |h, &byte| h.wrapping_mul(33).wrapping_add(byte.into()));
        Self { name, version, hash }
    }
}

/// Where the next entry of a chain of version records is; `None` behind the last (step 0).
fn further(at: usize, step: u32) -> Option<usize> {
    at.checked_add(step as usize).filter(|_| step != 0)
}

/// The hash of DT_HASH and of version records.
fn sysv_hash(name: &[u8]) -> u32 {
    name.iter().fold(0u32, |hash, &byte| {
        let hash = (hash << 4).wrapping_add(byte.into());
        let high = hash & 0xf000_0000;
        (hash ^ (high >> 24)) & !high
    })
}

impl Tables {
    /// Reads the dynamic section of `component`. What does not fit its segments stays empty.
    pub fn read(component: &Component) -> Self {
        let mut tables = Self::default();
        let Some(entries) = component.view_to_end::<Dyn>(component.dynamic) else { return tables };
        let entry = |tag: u64| {
            (0..entries.len())
                .map_while(|index| entries.get(index).filter(|entry| entry.d_tag != DT_NULL))
                .filter(move |entry| entry.d_tag == tag)
                .map(|entry| entry.d_val as usize)
        };
        // glibc relocates these pointers in place, other loaders do not.
        let pointer = |tag: u64| {
            let value = entry(tag).next()?;
            let inside = component.low <= value && value < component.high;
            Some(if inside { value } else { component.base.wrapping_add(value) })
        };
        let table = |tag: u64, size: u64| {
            let count = entry(size).next()? / size_of::<Rela>();
            component.view::<Rela>(pointer(tag)?, count)
        };
        tables.strings = pointer(DT_STRTAB)
            .and_then(|address| component.view(address, entry(DT_STRSZ).next()?))
            .unwrap_or_default();
        tables.symbols =
            pointer(DT_SYMTAB).and_then(|at| component.view_to_end(at)).unwrap_or_default();
        tables.version_indices =
            pointer(DT_VERSYM).and_then(|at| component.view_to_end(at)).unwrap_or_default();
        tables.relocations = table(DT_RELA, DT_RELASZ).unwrap_or_default();
        if entry(DT_PLTREL).next() == Some(DT_RELA as usize) {
            tables.plt_relocations = table(DT_JMPREL, DT_PLTRELSZ).unwrap_or_default();
        }
        tables.symbolic = entry(DT_SYMBOLIC).next().is_some()
            || entry(DT_FLAGS).any(|flags| flags as u64 & DF_SYMBOLIC != 0);
        tables.soname = entry(DT_SONAME).next();
        tables.needed = entry(DT_NEEDED).take(MOST_VERSIONS).collect();
        if let Some(at) = pointer(DT_VERDEF) {
            tables.read_defined(component, at, entry(DT_VERDEFNUM).next().unwrap_or(0));
        }
        if let Some(at) = pointer(DT_VERNEED) {
            tables.read_needed(component, at, entry(DT_VERNEEDNUM).next().unwrap_or(0));
        }
        tables.gnu_hash = pointer(DT_GNU_HASH).and_then(|at| GnuHash::read(component, at));
        if let Some(at) = pointer(DT_HASH) {
            tables.read_sysv_hash(component, at);
        }
        tables
    }

    fn read_defined(&mut self, component: &Component, mut at: usize, count: usize) -> Option<()> {
        const BASE: u16 = 1;
        for _ in 0..count.min(MOST_VERSIONS) {
            let head = component.view::<u16>(at, 10)?;
            let (flags, index) = (head.get(1)?, head.get(2)?);
            let words = component.view::<u32>(at, 5)?;
            let hash = words.get(2)?;
            let names = further(at, words.get(3)?)?;
            // The base definition names the file, not a version: the loader skips it too.
            if flags & BASE == 0 {
                let name = component.read::<u32>(names)?;
                self.versions.push(Version { index, hidden: false, hash, name });
            }
            at = further(at, words.get(4)?)?;
        }
        Some(())
    }

    fn read_needed(&mut self, component: &Component, mut at: usize, count: usize) -> Option<()> {
        for _ in 0..count.min(MOST_VERSIONS) {
            let names = component.view::<u16>(at, 2)?.get(1)?;
            let words = component.view::<u32>(at, 4)?;
            let mut name_at = further(at, words.get(2)?)?;
            for _ in 0..names {
                let name = component.view::<u32>(name_at, 4)?;
                let other = component.view::<u16>(name_at, 4)?.get(3)?;
                self.versions.push(Version {
                    index: other & VERSION_MASK,
                    hidden: other & VERSION_HIDDEN != 0,
                    hash: name.get(0)?,
                    name: name.get(2)?,
                });
                match further(name_at, name.get(3)?) {
                    Some(next) if self.versions.len() < MOST_VERSIONS => name_at = next,
                    _ => break,
                }
            }
            at = further(at, words.get(3)?)?;
        }
        Some(())
    }

    fn read_sysv_hash(&mut self, component: &Component, at: usize) -> Option<()> {
        let head = component.view::<u32>(at, 2)?;
        let (buckets, chains) = (head.get(0)? as usize, head.get(1)? as usize);
        let first = at.checked_add(8)?;
        self.sysv_buckets = component.view(first, buckets)?;
        self.sysv_chains = component.view(first.checked_add(buckets * 4)?, chains)?;
        Some(())
    }

    /// `DT_SONAME`; empty when there is none.
    pub fn soname(&self) -> &[u8] {
        self.soname.and_then(|offset| self.strings.c_str(offset)).unwrap_or(b"")
    }

    /// `DT_NEEDED`, in order.
    pub fn needed(&self) -> Vec<Vec<u8>> {
        self.needed.iter().filter_map(|&at| Some(self.strings.c_str(at)?.to_vec())).collect()
    }

    /// Symbol `index` of the dynamic symbol table.
    pub fn symbol(&self, index: usize) -> Option<Sym> {
        self.symbols.get(index)
    }

    /// Name of `symbol`.
    pub fn name(&self, symbol: &Sym) -> Option<&[u8]> {
        self.strings.c_str(symbol.st_name as usize)
    }

    /// The version that symbol `index` asks for (or has, when it is defined here).
    pub fn version(&self, index: usize) -> Option<WantedVersion<'_>> {
        let wanted = self.version_indices.get(index)? & VERSION_MASK;
        let version = self.versions.iter().find(|version| version.index == wanted)?;
        Some(WantedVersion {
            name: self.strings.c_str(version.name as usize)?,
            hash: version.hash,
            hidden: version.hidden,
        })
    }

    /// The definition the loader would take from this component, if it has one.
    pub fn find(&self, wanted: &Wanted<'_>) -> Option<Sym> {
        let mut loose = Loose::default();
        let found = match &self.gnu_hash {
            Some(table) => table.walk(wanted.hash, |index| self.accept(index, wanted, &mut loose)),
            None => self.walk_sysv(wanted, &mut loose),
        };
        // Without a version asked for, a single versioned definition will do.
        found.or(if loose.seen == 1 { loose.first } else { None })
    }

    /// Whether this component defines `wanted` and says that it is a function.
    pub fn is_function(&self, wanted: &Wanted<'_>) -> bool {
        self.find(wanted).is_some_and(|found| {
            let kind = found.st_info & 0xf;
            kind == STT_FUNC || kind == STT_GNU_IFUNC
        })
    }

    fn walk_sysv(&self, wanted: &Wanted<'_>, loose: &mut Loose) -> Option<Sym> {
        let buckets = self.sysv_buckets.len();
        if buckets == 0 {
            return None;
        }
        let mut index = self.sysv_buckets.get(sysv_hash(wanted.name) as usize % buckets)? as usize;
        for _ in 0..self.sysv_chains.len() {
            if index == 0 {
                return None;
            }
            if let Some(symbol) = self.accept(index, wanted, loose) {
                return Some(symbol);
            }
            index = self.sysv_chains.get(index)? as usize;
        }
        None
    }

    fn accept(&self, index: usize, wanted: &Wanted<'_>, loose: &mut Loose) -> Option<Sym> {
        let symbol = self.symbols.get(index)?;
        let kind = symbol.st_info & 0xf;
        let binding = symbol.st_info >> 4;
        // Hidden and internal symbols bind locally; undefined ones define nothing.
        let visible = matches!(symbol.st_other & 3, 0 | 3);
        let defined = symbol.st_shndx != 0 && (symbol.st_value != 0 || kind == STT_TLS);
        let kinds = [STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_COMMON, STT_TLS, STT_GNU_IFUNC];
        let bindings = [STB_GLOBAL, STB_WEAK, STB_GNU_UNIQUE];
        if !visible || !defined || !kinds.contains(&kind) || !bindings.contains(&binding) {
            return None;
        }
        if self.name(&symbol)? != wanted.name {
            return None;
        }
        if self.version_indices.is_empty() {
            return Some(symbol);
        }
        let raw = self.version_indices.get(index)?;
        let own = self.versions.iter().find(|version| version.index == raw & VERSION_MASK);
        let Some(asked) = &wanted.version else {
            // Indices 0 to 2 are local, global and the first version defined.
            if raw & VERSION_MASK < 3 {
                return Some(symbol);
            }
            if raw & VERSION_HIDDEN == 0 {
                loose.seen += 1;
                loose.first.get_or_insert(symbol);
            }
            return None;
        };
        let same = own.is_some_and(|own| {
            own.hash == asked.hash && self.strings.c_str(own.name as usize) == Some(asked.name)
        });
        let open = !asked.hidden && own.is_none() && raw & VERSION_HIDDEN == 0;
        (same || open).then_some(symbol)
    }

    /// Whether `address` is the procedure linkage entry that stands for a function of another
    /// component (an executable that is not position independent has such addresses).
    pub fn is_canonical_plt(&self, address: usize, base: usize) -> bool {
        let undefined = match &self.gnu_hash {
            Some(table) => table.first as usize,
            None => self.sysv_chains.len(),
        };
        (1..undefined.min(self.symbols.len())).any(|index| {
            self.symbols.get(index).is_some_and(|symbol| {
                symbol.st_shndx == 0
                    && symbol.st_value != 0
                    && base.wrapping_add(symbol.st_value as usize) == address
            })
        })
    }
}

/// Versioned definitions met by a reference without a version.
#[derive(Default)]
struct Loose {
    seen: u32,
    first: Option<Sym>,
}

impl GnuHash {
    fn read(component: &Component, at: usize) -> Option<Self> {
        let head = component.view::<u32>(at, 4)?;
        let buckets = head.get(0)? as usize;
        let words = head.get(2)? as usize;
        let bloom_at = at.checked_add(16)?;
        let buckets_at = bloom_at.checked_add(words.checked_mul(8)?)?;
        let chains_at = buckets_at.checked_add(buckets.checked_mul(4)?)?;
        if !words.is_power_of_two() || buckets == 0 {
            return None;
        }
        Some(Self {
            first: head.get(1)?,
            shift: head.get(3)? & 31,
            bloom: component.view(bloom_at, words)?,
            buckets: component.view(buckets_at, buckets)?,
            chains: component.view_to_end(chains_at).unwrap_or_default(),
        })
    }

    fn walk(&self, hash: u32, mut accept: impl FnMut(usize) -> Option<Sym>) -> Option<Sym> {
        let word = self.bloom.get((hash as usize / 64) & (self.bloom.len() - 1))?;
        if (word >> (hash % 64)) & (word >> ((hash >> self.shift) % 64)) & 1 == 0 {
            return None;
        }
        let mut index = self.buckets.get(hash as usize % self.buckets.len())?;
        loop {
            // A bucket that is 0 is empty: defined symbols begin at `first`.
            let link = self.chains.get(index.checked_sub(self.first)? as usize)?;
            if link | 1 == hash | 1 {
                if let Some(symbol) = accept(index as usize) {
                    return Some(symbol);
                }
            }
            if link & 1 != 0 {
                return None;
            }
            index = index.checked_add(1)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::elf::{list, FLAG_LIBC};

    fn libc_component() -> Component {
        let mut found = None;
        list(&mut |listed, _| {
            if let Some(component) = listed.describe().filter(|c| c.is(FLAG_LIBC)) {
                found = Some(component);
            }
        });
        found.expect("libc is loaded")
    }

    fn address_by_dlsym(name: &std::ffi::CStr) -> usize {
        // SAFETY: a valid name, searched in the global scope.
        unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) as usize }
    }

    #[test]
    fn the_hash_tables_give_what_dlsym_gives() {
        let component = libc_component();
        for name in [c"getpid", c"qsort", c"fopen"] {
            let symbol = component.tables.find(&Wanted::new(name.to_bytes(), None));
            let symbol = symbol.expect("defined in libc");
            assert_eq!(component.base + symbol.st_value as usize, address_by_dlsym(name));
        }
        assert!(component.tables.find(&Wanted::new(b"no_such_function", None)).is_none());
        assert_eq!(component.soname, b"libc.so.6");
    }

    #[test]
    fn an_old_version_is_told_from_the_default_one() {
        let component = libc_component();
        for version in [c"GLIBC_2.2.5", c"GLIBC_2.3.2"] {
            let name = version.to_bytes();
            let asked = WantedVersion { name, hash: sysv_hash(name), hidden: true };
            let symbol = component.tables.find(&Wanted::new(b"pthread_cond_wait", Some(asked)));
            let symbol = symbol.expect("both versions are defined");
            // SAFETY: valid names, searched in the global scope.
            let oracle = unsafe {
                libc::dlvsym(libc::RTLD_DEFAULT, c"pthread_cond_wait".as_ptr(), version.as_ptr())
            };
            assert_eq!(component.base + symbol.st_value as usize, oracle as usize);
        }
    }

    #[test]
    fn the_hash_of_version_names_is_the_published_one() {
        assert_eq!(sysv_hash(b"GLIBC_2.2.5"), 0x0969_1a75);
    }
}
