//! Names for addresses: `.symtab`, else `.dynsym`, of the file a component was loaded from.
//!
//! A component's table is made when its first address is asked for. A file that is missing,
//! damaged or not the one that ran is reported once and its addresses stay offsets.

use super::demangle;
use crate::read::plain;
use goblin::elf::{sym, Elf};
use memmap2::Mmap;
use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

/// One symbol of a component; addresses are relative to its load bias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Address, bytes.
    pub address: u64,
    /// Size, bytes; 0 = up to the next symbol.
    pub size: u64,
    /// Name as it stands in the file.
    pub name: String,
}

/// A component's file and its symbols.
pub struct Object {
    map: Mmap,
    symbols: Vec<Symbol>,
    /// (address, file offset, bytes) of loadable pieces.
    pieces: Vec<(u64, u64, u64)>,
    /// Why names are missing, if they are.
    pub problem: Option<String>,
}

impl Object {
    /// Opens `path`, whose build id should be `build_id` (hexadecimal; empty = unknown).
    ///
    /// # Errors
    /// Why none of its names can be used.
    pub fn open(path: &str, build_id: &str) -> Result<Self, String> {
        // Asked before it is opened: a trace may name a pipe, which opens when someone writes to it.
        if !std::fs::metadata(path).map_err(|error| plain(&error))?.is_file() {
            return Err("not a regular file".to_owned());
        }
        let file = File::open(path).map_err(|error| plain(&error))?;
        // SAFETY: the file is an executable or library; a writer that truncates it while it is
        // mapped breaks the programs that run it as well.
        let map = unsafe { Mmap::map(&file) }.map_err(|error| plain(&error))?;
        let elf = Elf::parse(&map).map_err(|error| format!("not a readable ELF file: {error}"))?;
        if let Some(found) = note_build_id(&elf, &map) {
            if !build_id.is_empty() && found != build_id {
                return Err(format!(
                    "the file has changed since: build id {found}, recorded {build_id}"
                ));
            }
        }
        let mut symbols = table(&elf, false);
        let mut problem = None;
        if symbols.is_empty() {
            symbols = table(&elf, true);
            problem = Some("stripped: only exported functions have names".to_owned());
        }
        let pieces = elf
            .program_headers
            .iter()
            .filter(|p| p.p_type == goblin::elf::program_header::PT_LOAD)
            .map(|p| (p.p_vaddr, p.p_offset, p.p_filesz))
            .collect();
        symbols.sort_by(|a, b| (a.address, b.size, &a.name).cmp(&(b.address, a.size, &b.name)));
        symbols.dedup_by_key(|symbol| symbol.address);
        Ok(Self { map, symbols, pieces, problem })
    }

    /// The symbol that `address` (without load bias) lies in.
    pub fn find(&self, address: u64) -> Option<&Symbol> {
        let after = self.symbols.partition_point(|symbol| symbol.address <= address);
        let symbol = self.symbols.get(after.checked_sub(1)?)?;
        let inside = address - symbol.address;
        // A symbol without size (assembly) reaches to the next one, but not arbitrarily far.
        let size = if symbol.size == 0 { 4096 } else { symbol.size };
        (inside < size).then_some(symbol)
    }

    /// Places whose word is the address `target` once the object is loaded.
    pub fn pointers_to(&self, target: u64) -> Vec<u64> {
        self.words(|_, value| value == target).map(|(place, _)| place).collect()
    }

    /// The address that stands at `place` once the object is loaded.
    pub fn pointer_at(&self, place: u64) -> Option<u64> {
        self.words(|at, _| at == place).next().map(|(_, value)| value)
    }

    /// (place, value) of relocated words, as the loader would write them at bias 0.
    fn words(&self, wanted: impl Fn(u64, u64) -> bool) -> impl Iterator<Item = (u64, u64)> {
        let elf = Elf::parse(&self.map);
        let words: Vec<(u64, u64)> = elf.map_or_else(
            |_| Vec::new(),
            |elf| {
                let relative = goblin::elf::reloc::R_X86_64_RELATIVE;
                let rows = elf.dynrelas.iter().filter(|row| row.r_type == relative);
                let words = rows.filter_map(|row| Some((row.r_offset, row.r_addend? as u64)));
                words.filter(|&(place, value)| wanted(place, value)).collect()
            },
        );
        words.into_iter()
    }

    /// The bytes of the file that are loaded at `address`, at most `len`.
    pub fn bytes(&self, address: u64, len: u64) -> &[u8] {
        let found = self.pieces.iter().find_map(|&(start, offset, size)| {
            let inside = address.checked_sub(start).filter(|&inside| inside < size)?;
            let from = usize::try_from(offset.checked_add(inside)?).ok()?;
            let to = from.checked_add(usize::try_from(len.min(size - inside)).ok()?)?;
            self.map.get(from..to)
        });
        found.unwrap_or(&[])
    }
}

fn table(elf: &Elf<'_>, dynamic: bool) -> Vec<Symbol> {
    let (symbols, names) =
        if dynamic { (&elf.dynsyms, &elf.dynstrtab) } else { (&elf.syms, &elf.strtab) };
    symbols
        .iter()
        .filter(|s| {
            let kind = s.st_type();
            let named =
                kind == sym::STT_FUNC || kind == sym::STT_OBJECT || kind == sym::STT_GNU_IFUNC;
            named && s.st_shndx != 0 && s.st_value != 0
        })
        .filter_map(|s| {
            let name = names.get_at(s.st_name).filter(|name| !name.is_empty())?;
            // `name@@VERSION` of older linkers.
            let name = name.split('@').next().unwrap_or(name).to_owned();
            Some(Symbol { address: s.st_value, size: s.st_size, name })
        })
        .collect()
}

fn note_build_id(elf: &Elf<'_>, bytes: &[u8]) -> Option<String> {
    let notes = elf.iter_note_headers(bytes)?;
    notes.flatten().find(|note| note.name == "GNU" && note.n_type == 3).map(|note| hex(note.desc))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The objects of a run, opened when first needed.
#[derive(Default)]
pub struct Symbols {
    objects: HashMap<u32, Result<Arc<Object>, String>>,
    /// Components that were asked for, with why their names are missing.
    pub problems: Vec<(u32, String)>,
}

/// A component as the symboliser needs it.
#[derive(Clone, Copy, Debug)]
pub struct ObjectFile<'a> {
    /// Its number in the profile.
    pub component: u32,
    /// Path.
    pub path: &'a str,
    /// File name.
    pub name: &'a str,
    /// Build id, hexadecimal.
    pub build_id: &'a str,
}

impl Symbols {
    /// The component's object, if it can be used.
    pub fn object(&mut self, file: ObjectFile<'_>) -> Option<Arc<Object>> {
        let problems = &mut self.problems;
        let entry = self.objects.entry(file.component).or_insert_with(|| {
            let object = Object::open(file.path, file.build_id);
            match &object {
                Ok(object) => {
                    if let Some(problem) = &object.problem {
                        problems.push((file.component, problem.clone()));
                    }
                }
                Err(problem) => problems.push((file.component, problem.clone())),
            }
            object.map(Arc::new)
        });
        entry.as_ref().ok().cloned()
    }

    /// `function+0xoffset`, or `component+0xoffset` when it has no name there.
    pub fn place(&mut self, file: ObjectFile<'_>, address: u64) -> String {
        let object = self.object(file);
        match object.as_ref().and_then(|object| object.find(address)) {
            Some(symbol) => {
                let name = demangle::short_name(&symbol.name);
                match address - symbol.address {
                    0 => format!("{name} in {}", file.name),
                    offset => format!("{name}+{offset:#x} in {}", file.name),
                }
            }
            None => format!("{}+{address:#x}", file.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_that_is_a_pipe_is_not_waited_for() {
        let name = format!("perfvisor-pipe-{}", std::process::id());
        let path = std::env::temp_dir().join(name).display().to_string();
        let raw = std::ffi::CString::new(path.clone()).expect("a path without zeros");
        // SAFETY: `raw` is a string that ends in a zero.
        assert_eq!(unsafe { libc::mkfifo(raw.as_ptr(), 0o600) }, 0);
        let problem = Object::open(&path, "").err();
        std::fs::remove_file(&path).expect("the pipe can be removed");
        assert_eq!(problem.as_deref(), Some("not a regular file"));
    }
}
