//! What the head of an ELF file says about who loads it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::header::{EI_CLASS, EI_DATA, ELFCLASS32, ELFDATA2LSB, EM_X86_64};
use goblin::elf::program_header::{ProgramHeader, PT_INTERP};
use goblin::elf::{header, Elf};

use super::Obstacle;

/// Bytes of an ELF header.
const HEADER_BYTES: usize = 64;
/// Longest path of a loader that is believed.
const LOADER_MAX_BYTES: u64 = 4096;

/// The few fields that matter.
#[derive(Debug)]
pub struct ElfFile {
    class: u8,
    machine: u16,
    loader: Option<PathBuf>,
}

/// How much of a file's functions can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symbols {
    /// It has a full symbol table.
    Full,
    /// Stripped, but a debug file with its build id is installed.
    DebugFile,
    /// Stripped: exported functions only.
    DynamicOnly,
}

impl ElfFile {
    /// Reads the head of `path`; says what is wrong with it otherwise.
    pub fn open(path: &Path) -> Result<Self, String> {
        let file = fs::File::open(path).map_err(|error| error.to_string())?;
        let mut bytes = [0u8; HEADER_BYTES];
        file.read_exact_at(&mut bytes, 0).map_err(|error| format!("a cut ELF header: {error}"))?;
        if bytes[EI_DATA] != ELFDATA2LSB {
            let machine = u16::from_be_bytes([bytes[18], bytes[19]]);
            return Ok(Self { class: bytes[EI_CLASS], machine, loader: None });
        }
        let machine = u16::from_le_bytes([bytes[18], bytes[19]]);
        if bytes[EI_CLASS] == ELFCLASS32 {
            return Ok(Self { class: ELFCLASS32, machine, loader: None });
        }
        let head =
            Elf::parse_header(&bytes).map_err(|error| format!("a bad ELF header: {error}"))?;
        let table_bytes = usize::from(head.e_phnum) * usize::from(head.e_phentsize);
        let mut table = vec![0u8; table_bytes];
        file.read_exact_at(&mut table, head.e_phoff)
            .map_err(|error| format!("cut program headers at offset {}: {error}", head.e_phoff))?;
        let context = Ctx::new(Container::Big, Endian::Little);
        let headers = ProgramHeader::parse(&table, 0, usize::from(head.e_phnum), context)
            .map_err(|error| format!("bad program headers: {error}"))?;
        let mut loader = None;
        if let Some(header) = headers.iter().find(|header| header.p_type == PT_INTERP) {
            if header.p_filesz > LOADER_MAX_BYTES {
                return Err(format!("the path of its loader is {} bytes long", header.p_filesz));
            }
            let mut text = vec![0u8; header.p_filesz as usize];
            file.read_exact_at(&mut text, header.p_offset)
                .map_err(|error| format!("cut path of the loader: {error}"))?;
            let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
            loader = Some(PathBuf::from(OsStr::from_bytes(&text[..end])));
        }
        Ok(Self { class: bytes[EI_CLASS], machine, loader })
    }

    /// The path of its loader.
    pub fn loader(&self) -> Option<&Path> {
        self.loader.as_deref()
    }

    /// Why a library for x86-64 glibc cannot be preloaded into it, if it cannot.
    pub fn obstacle(&self, path: &Path) -> Option<Obstacle> {
        if self.class == ELFCLASS32 && matches!(self.machine, header::EM_386 | header::EM_X86_64) {
            return Some(Obstacle::Bits32);
        }
        if self.machine != EM_X86_64 {
            return Some(Obstacle::OtherMachine(machine_name(self.machine)));
        }
        match &self.loader {
            // The loader itself, given a program to run, has no loader of its own.
            None if is_glibc_loader(path) => None,
            None => Some(Obstacle::Static),
            Some(loader) if !is_glibc_loader(loader) => Some(Obstacle::OtherLibc(loader.clone())),
            Some(loader) if !loader.exists() => Some(Obstacle::NoLoader(loader.clone())),
            Some(_) => None,
        }
    }
}

/// glibc's loader for x86-64 is known by its name, wherever it lies (Nix, snaps, own builds).
fn is_glibc_loader(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.starts_with("ld-linux-x86-64.so") || name.starts_with("ld-2.")
}

fn machine_name(machine: u16) -> String {
    let name = header::machine_to_str(machine);
    if name.starts_with("EM_UNKNOWN") || name.contains("Unknown") {
        format!("machine number {machine}")
    } else {
        name.to_owned()
    }
}

impl Symbols {
    /// Looks into the symbol tables of `path` and for its debug file.
    pub fn of(path: &Path) -> Result<Self, String> {
        let file = fs::File::open(path).map_err(|error| error.to_string())?;
        // SAFETY: the map is read only; a file that shrinks while we read it would end us with
        // SIGBUS, as it would any program that maps libraries, and harms nothing else.
        let bytes = unsafe { memmap2::Mmap::map(&file) }.map_err(|error| error.to_string())?;
        let elf = Elf::parse(&bytes).map_err(|error| error.to_string())?;
        if elf.syms.iter().any(|symbol| symbol.is_function() && symbol.st_value != 0) {
            return Ok(Self::Full);
        }
        let notes = elf.iter_note_headers(&bytes).into_iter().flatten();
        let build_id = notes
            .filter_map(Result::ok)
            .find(|note| note.name == "GNU" && note.n_type == goblin::elf::note::NT_GNU_BUILD_ID)
            .map(|note| note.desc.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
            .filter(|id| id.len() > 2);
        let has_debug_file = build_id.is_some_and(|id| {
            let (first, rest) = id.split_at(2);
            Path::new("/usr/lib/debug/.build-id").join(first).join(format!("{rest}.debug")).exists()
        });
        Ok(if has_debug_file { Self::DebugFile } else { Self::DynamicOnly })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(class: u8, machine: u16, loader: Option<&str>) -> Option<Obstacle> {
        ElfFile { class, machine, loader: loader.map(PathBuf::from) }.obstacle(Path::new("/x/prog"))
    }

    #[test]
    fn only_glibc_on_x86_64_is_let_through() {
        let glibc = "/lib64/ld-linux-x86-64.so.2";
        assert_eq!(elf(2, EM_X86_64, Some(glibc)), None);
        assert_eq!(elf(2, EM_X86_64, None), Some(Obstacle::Static));
        let musl = "/lib/ld-musl-x86_64.so.1";
        assert_eq!(elf(2, EM_X86_64, Some(musl)), Some(Obstacle::OtherLibc(musl.into())));
        let gone = "/gone/ld-linux-x86-64.so.2";
        assert_eq!(elf(2, EM_X86_64, Some(gone)), Some(Obstacle::NoLoader(gone.into())));
        assert_eq!(elf(1, header::EM_386, Some("/lib/ld-linux.so.2")), Some(Obstacle::Bits32));
        let arm = elf(2, header::EM_AARCH64, Some("/lib/ld-linux-aarch64.so.1")).unwrap();
        assert!(arm.to_string().contains("AARCH64"), "{arm}");
    }

    #[test]
    fn our_own_test_binary_has_symbols_and_a_loader() {
        let path = std::env::current_exe().unwrap();
        let elf = ElfFile::open(&path).unwrap();
        assert!(elf.loader().is_some_and(is_glibc_loader));
        assert_eq!(Symbols::of(&path), Ok(Symbols::Full));
    }

    #[test]
    fn cut_files_are_told() {
        let path = std::env::temp_dir().join(format!("perfvisor-cut-{}", std::process::id()));
        fs::write(&path, b"\x7fELF\x02\x01\x01").unwrap();
        assert!(ElfFile::open(&path).unwrap_err().contains("cut ELF header"));
        fs::remove_file(&path).unwrap();
    }
}
