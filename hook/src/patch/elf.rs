//! What is loaded: one [`Component`] per object in the loader's list, read from memory only.
//!
//! Nothing here trusts the object. Every address that comes out of a header is checked against the
//! component's own readable PT_LOAD segments before it is read; what does not fit is taken as
//! absent, and the component is then only named, not patched.
//!
//! A component may be read while it stays mapped. The loader's list lock (held by
//! `dl_iterate_phdr`) sees to that, see `got.rs`.

use alloc::vec::Vec;
use core::ffi::{c_int, c_void, CStr};

use goblin::elf64::program_header::{
    PF_R, PF_X, PT_DYNAMIC, PT_GNU_EH_FRAME, PT_GNU_RELRO, PT_LOAD, PT_NOTE,
};

use super::symbols::Tables;
use crate::files;

/// [`Component::flags`]: the executable.
pub const FLAG_EXECUTABLE: u32 = 1;
/// [`Component::flags`]: the kernel's vdso.
pub const FLAG_VDSO: u32 = 2;
/// [`Component::flags`]: the dynamic loader.
pub const FLAG_LOADER: u32 = 4;
/// [`Component::flags`]: the C library.
pub const FLAG_LIBC: u32 = 8;
/// [`Component::flags`]: this library.
pub const FLAG_HOOK: u32 = 16;

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// A PT_LOAD segment as mapped.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// First byte.
    pub low: usize,
    /// One past the last byte.
    pub high: usize,
    /// `PF_*` bits.
    pub flags: u32,
}

/// A range of memory that was found readable: `count` values of `T` at `address`.
#[derive(Debug)]
pub struct View<T> {
    address: usize,
    count: usize,
    kind: core::marker::PhantomData<T>,
}

impl<T> Clone for View<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for View<T> {}

impl<T> Default for View<T> {
    fn default() -> Self {
        Self { address: 0, count: 0, kind: core::marker::PhantomData }
    }
}

/// Types every bit pattern of which is a value.
///
/// # Safety
/// The implementor holds integers only.
pub unsafe trait Plain: Copy {}
// SAFETY: integers, or structures of integers only.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for u16 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: as above.
unsafe impl Plain for goblin::elf64::sym::Sym {}
// SAFETY: as above.
unsafe impl Plain for goblin::elf64::reloc::Rela {}
// SAFETY: as above.
unsafe impl Plain for goblin::elf64::dynamic::Dyn {}

impl<T: Plain> View<T> {
    /// Value `index`; `None` behind the end.
    pub fn get(&self, index: usize) -> Option<T> {
        if index >= self.count {
            return None;
        }
        let address = self.address + index * size_of::<T>();
        // SAFETY: the view was cut from a readable segment of a component that is still mapped
        // (module rule), the index was checked, and read_unaligned asks for no alignment.
        Some(unsafe { core::ptr::read_unaligned(address as *const T) })
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether the table is absent.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl View<u8> {
    /// The bytes from `offset` up to the next NUL; `None` when there is none.
    pub fn c_str(&self, offset: usize) -> Option<&[u8]> {
        let bytes = self.bytes().get(offset..)?;
        let end = bytes.iter().position(|&byte| byte == 0)?;
        bytes.get(..end)
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        if self.count == 0 {
            return &[];
        }
        // SAFETY: as in `get`; string tables and code lie in segments nobody writes to.
        unsafe { core::slice::from_raw_parts(self.address as *const u8, self.count) }
    }
}

/// One loaded object.
#[derive(Debug)]
pub struct Component {
    /// Number under which the trace knows it.
    pub id: u32,
    /// `FLAG_*` bits.
    pub flags: u32,
    /// File it was loaded from, absolute where that can be told.
    pub path: Vec<u8>,
    /// Raw bytes of the GNU build id; empty when there is none.
    pub build_id: Vec<u8>,
    /// Load bias.
    pub base: usize,
    /// First mapped byte.
    pub low: usize,
    /// One past the last mapped byte.
    pub high: usize,
    /// PT_LOAD segments, by address.
    pub segments: Vec<Segment>,
    /// Whole pages that the loader made read-only after relocation.
    pub relro: Option<(usize, usize)>,
    /// Address of the dynamic section, which also names the object to the loader; 0 = none.
    pub dynamic: usize,
    /// Address of the table that unwinders search (`.eh_frame_hdr`); 0 = none.
    pub unwind: usize,
    /// Symbols and relocations.
    pub tables: Tables,
    /// `DT_SONAME`; empty when there is none.
    pub soname: Vec<u8>,
    /// `DT_NEEDED`, in order.
    pub needed: Vec<Vec<u8>>,
}

impl Component {
    /// The file name, without directories.
    pub fn file_name(&self) -> &[u8] {
        file_name(&self.path)
    }

    /// Whether all of `flags` are set.
    pub fn is(&self, flags: u32) -> bool {
        self.flags & flags == flags
    }

    /// The segment that holds `address`.
    pub fn segment_at(&self, address: usize) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.low <= address && address < segment.high)
    }

    /// Whether `address` lies in an executable segment.
    pub fn is_code(&self, address: usize) -> bool {
        self.segment_at(address).is_some_and(|segment| segment.flags & PF_X != 0)
    }

    /// `count` values at `address`, if all of them lie in one readable segment.
    pub fn view<T: Plain>(&self, address: usize, count: usize) -> Option<View<T>> {
        let bytes = count.checked_mul(size_of::<T>())?;
        let end = address.checked_add(bytes)?;
        let segment = self.segment_at(address)?;
        if segment.flags & PF_R == 0 || end > segment.high {
            return None;
        }
        Some(View { address, count, kind: core::marker::PhantomData })
    }

    /// As many values from `address` as its segment has room for.
    pub fn view_to_end<T: Plain>(&self, address: usize) -> Option<View<T>> {
        let segment = self.segment_at(address)?;
        self.view(address, (segment.high - address) / size_of::<T>())
    }

    /// One value at `address`.
    pub fn read<T: Plain>(&self, address: usize) -> Option<T> {
        self.view(address, 1)?.get(0)
    }

    /// Whether a DT_NEEDED entry `name` means this component.
    pub fn answers_to(&self, name: &[u8]) -> bool {
        if self.soname.is_empty() {
            self.file_name() == file_name(name)
        } else {
            self.soname == name || self.path == name
        }
    }
}

/// What stands behind the last slash.
pub fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// What one object of the loader's list is known by, cheap enough to look at on every scan.
#[derive(Clone, Copy)]
pub struct Listed<'a> {
    /// Load bias.
    pub base: usize,
    /// Address of the dynamic section; 0 = none.
    pub dynamic: usize,
    /// Name as the loader has it; empty for the executable.
    pub name: &'a [u8],
    headers: &'a [libc::Elf64_Phdr],
    first: bool,
}

impl Listed<'_> {
    /// Whether `address` lies in a segment of the object.
    pub fn holds(&self, address: usize) -> bool {
        self.headers.iter().filter(|header| header.p_type == PT_LOAD).any(|header| {
            let low = self.base.wrapping_add(header.p_vaddr as usize);
            address.checked_sub(low).is_some_and(|inside| inside < header.p_memsz as usize)
        })
    }

    /// Reads the object's headers. `None` when nothing of it is mapped.
    pub fn describe(&self) -> Option<Component> {
        let mut segments = Vec::with_capacity(4);
        let (mut relro, mut unwind) = (None, 0);
        for header in self.headers {
            let low = self.base.wrapping_add(header.p_vaddr as usize);
            let Some(high) = low.checked_add(header.p_memsz as usize) else { continue };
            match header.p_type {
                PT_LOAD if high > low => {
                    segments.push(Segment { low, high, flags: header.p_flags })
                }
                PT_GNU_EH_FRAME => unwind = low,
                // The loader rounds both ends down to whole pages.
                PT_GNU_RELRO => relro = Some((low & !(PAGE - 1), high & !(PAGE - 1))),
                _ => {}
            }
        }
        segments.sort_by_key(|segment| segment.low);
        let low = segments.first()?.low;
        let high = segments.iter().map(|segment| segment.high).max()?;
        let mut component = Component {
            id: u32::MAX,
            flags: 0,
            path: Vec::new(),
            build_id: Vec::new(),
            base: self.base,
            low,
            high,
            segments,
            relro,
            dynamic: self.dynamic,
            unwind,
            tables: Tables::default(),
            soname: Vec::new(),
            needed: Vec::new(),
        };
        component.build_id = self.build_id(&component);
        component.path = self.path();
        component.flags = self.flags(&component);
        // The vdso's dynamic section is not relocated and nobody's slots are in it.
        if !component.is(FLAG_VDSO) {
            component.tables = Tables::read(&component);
            component.soname = component.tables.soname().to_vec();
            component.needed = component.tables.needed();
            if component.soname.starts_with(b"ld-linux") || component.soname.starts_with(b"ld-musl")
            {
                component.flags |= FLAG_LOADER;
            }
            if component.soname == b"libc.so.6" || component.soname.starts_with(b"libc.musl") {
                component.flags |= FLAG_LIBC;
            }
        }
        Some(component)
    }

    fn build_id(&self, component: &Component) -> Vec<u8> {
        for header in self.headers.iter().filter(|header| header.p_type == PT_NOTE) {
            let address = self.base.wrapping_add(header.p_vaddr as usize);
            let Some(notes) = component.view::<u8>(address, header.p_memsz as usize) else {
                continue;
            };
            if let Some(id) = build_id_of(notes.bytes(), header.p_align as usize) {
                return id.to_vec();
            }
        }
        Vec::new()
    }

    fn path(&self) -> Vec<u8> {
        if self.first {
            if let Ok(path) = files::read_link(c"/proc/self/exe") {
                return path;
            }
        }
        // A relative name was relative to the directory at load time, which is this one mostly.
        if self.name.first() != Some(&b'/') && self.name.contains(&b'/') {
            if let Ok(path) = files::c_path(self.name).and_then(|name| files::canonical(&name)) {
                return path;
            }
        }
        self.name.to_vec()
    }

    fn flags(&self, component: &Component) -> u32 {
        let mut flags = 0;
        let inside =
            |address: usize| address != 0 && component.low <= address && address < component.high;
        if self.first {
            flags |= FLAG_EXECUTABLE;
        }
        // SAFETY: getauxval reads the auxiliary vector and has no precondition.
        let (vdso, loader) =
            unsafe { (libc::getauxval(libc::AT_SYSINFO_EHDR), libc::getauxval(libc::AT_BASE)) };
        if inside(vdso as usize) {
            flags |= FLAG_VDSO;
        }
        if inside(loader as usize) {
            flags |= FLAG_LOADER;
        }
        if !cfg!(test) && inside(list as *const () as usize) {
            flags |= FLAG_HOOK;
        }
        flags
    }
}

/// The GNU build id among `notes`, whose entries are padded to `align` (4 or 8) bytes.
fn build_id_of(notes: &[u8], align: usize) -> Option<&[u8]> {
    const NT_GNU_BUILD_ID: u32 = 3;
    let align = if align == 8 { 8 } else { 4 };
    let word = |at: usize| -> Option<usize> {
        let bytes = notes.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    };
    let padded = |size: usize| size.checked_add(align - 1).map(|size| size & !(align - 1));
    let mut at = 0usize;
    loop {
        let (name_bytes, id_bytes, kind) = (word(at)?, word(at + 4)?, word(at + 8)?);
        let name = at + 12;
        let body = padded(name.checked_add(name_bytes)?)?;
        let end = body.checked_add(id_bytes)?;
        if kind as u32 == NT_GNU_BUILD_ID && notes.get(name..name + name_bytes) == Some(b"GNU\0") {
            return notes.get(body..end);
        }
        at = padded(end)?;
    }
}

/// How often the loader added and removed objects since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Objects ever added.
    pub added: u64,
    /// Objects ever removed.
    pub removed: u64,
}

type Visit<'a> = &'a mut dyn FnMut(&Listed<'_>, Changes);

/// Calls `visit` for every object of the loader's list, in its order, under the list's lock.
pub fn list(visit: &mut dyn FnMut(&Listed<'_>, Changes)) {
    unsafe extern "C" fn each(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        data: *mut c_void,
    ) -> c_int {
        // SAFETY: `data` is the state `list` passes below, borrowed for the call.
        let (visit, first) = unsafe { &mut *data.cast::<(Visit<'_>, bool)>() };
        // SAFETY: the loader passes a complete structure that lives as long as this call.
        let info = unsafe { &*info };
        let headers = if info.dlpi_phdr.is_null() {
            &[]
        } else {
            // SAFETY: the loader's pointer and count of the object's program headers.
            unsafe { core::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum as usize) }
        };
        let name = if info.dlpi_name.is_null() {
            &[]
        } else {
            // SAFETY: the loader's NUL-terminated name of the object.
            unsafe { CStr::from_ptr(info.dlpi_name) }.to_bytes()
        };
        let base = info.dlpi_addr as usize;
        let dynamic = headers
            .iter()
            .find(|header| header.p_type == PT_DYNAMIC)
            .map_or(0, |header| base.wrapping_add(header.p_vaddr as usize));
        let listed = Listed { base, dynamic, name, headers, first: *first };
        *first = false;
        visit(&listed, Changes { added: info.dlpi_adds, removed: info.dlpi_subs });
        0
    }
    let mut state: (Visit<'_>, bool) = (visit, true);
    // SAFETY: `each` matches the callback's type and `state` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(each), (&raw mut state).cast()) };
}

/// How often the list has changed.
pub fn changes() -> Changes {
    unsafe extern "C" fn first(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        data: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader passes a complete structure and `data` is the caller's variable.
        unsafe {
            let info = &*info;
            *data.cast::<Changes>() = Changes { added: info.dlpi_adds, removed: info.dlpi_subs };
        }
        1
    }
    let mut changes = Changes::default();
    // SAFETY: `first` matches the callback's type and `changes` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut changes).cast()) };
    changes
}

/// Runs `body` while the loader's list lock is held: no object can be unmapped meanwhile.
///
/// The lock is recursive, so `body` may call [`list`]. It must not call dlopen, dlsym or dlclose:
/// those take the loader's other lock first.
pub fn while_listed(body: &mut dyn FnMut()) {
    unsafe extern "C" fn once(
        _info: *mut libc::dl_phdr_info,
        _size: usize,
        data: *mut c_void,
    ) -> c_int {
        // SAFETY: `data` is the closure `while_listed` passes below, borrowed for the call.
        let body = unsafe { &mut *data.cast::<&mut dyn FnMut()>() };
        body();
        1
    }
    let mut state: &mut dyn FnMut() = body;
    // SAFETY: `once` matches the callback's type and `state` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(once), (&raw mut state).cast()) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn the_executable_comes_first_and_libc_is_known() {
        let mut components = Vec::new();
        list(&mut |listed, _| components.extend(listed.describe()));
        let exe = std::env::current_exe().expect("an executable");
        assert_eq!(components[0].path, exe.as_os_str().as_bytes());
        assert!(components[0].is(FLAG_EXECUTABLE));
        assert!(components[0].needed.iter().any(|name| name == b"libc.so.6"));
        assert_eq!(components.iter().filter(|c| c.is(FLAG_LIBC)).count(), 1);
        assert_eq!(components.iter().filter(|c| c.is(FLAG_LOADER)).count(), 1);
        assert_eq!(components.iter().filter(|c| c.is(FLAG_VDSO)).count(), 1);
    }

    #[test]
    fn a_build_id_is_found_behind_other_notes() {
        let mut notes = Vec::new();
        for (kind, id) in [(1u32, &[9u8; 16][..]), (3, &[7u8; 20])] {
            notes.extend(4u32.to_le_bytes());
            notes.extend((id.len() as u32).to_le_bytes());
            notes.extend(kind.to_le_bytes());
            notes.extend(b"GNU\0");
            notes.extend(id);
        }
        assert_eq!(build_id_of(&notes, 4), Some(&[7u8; 20][..]));
        assert_eq!(build_id_of(&notes[..notes.len() - 1], 4), None);
        assert_eq!(build_id_of(&[0xff; 64], 4), None);
    }

    #[test]
    fn a_view_stays_inside_one_readable_segment() {
        let component = Component {
            id: 0,
            flags: 0,
            path: b"/usr/lib/libx.so".to_vec(),
            build_id: Vec::new(),
            base: 0,
            low: 0x1000,
            high: 0x3000,
            segments: vec![
                Segment { low: 0x1000, high: 0x2000, flags: PF_R },
                Segment { low: 0x2000, high: 0x3000, flags: PF_X },
            ],
            relro: None,
            dynamic: 0,
            unwind: 0,
            tables: Tables::default(),
            soname: Vec::new(),
            needed: Vec::new(),
        };
        assert!(component.view::<u64>(0x1ff8, 1).is_some());
        assert!(component.view::<u64>(0x1ff9, 1).is_none());
        assert!(component.view::<u8>(0x2000, 1).is_none());
        assert!(component.view::<u64>(0x1000, usize::MAX / 4).is_none());
        assert!(component.is_code(0x2fff) && !component.is_code(0x1fff));
        assert!(component.answers_to(b"libx.so") && !component.answers_to(b"liby.so"));
    }
}
