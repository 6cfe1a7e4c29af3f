//! Compiles testapps. What a testapp needs stands in its first comment:
//!
//! * `needs: NAME …`: shared libraries `libNAME.{c,cpp,rs}` to link with;
//! * `loads: NAME …`: libraries that must be there but are not linked (dlopen);
//! * `build: FLAG …`: flags of the compiler; `link: FLAG …`: flags at the end of the command;
//! * `place: DIRECTORY`: where a library goes, below the executable's directory.
//!
//! Each testapp lives with its libraries in a directory named after a hash of all their sources,
//! so that nothing is compiled twice and nothing stale is used.

use crate::process::run;
use crate::scratch::{target_tmp, workspace};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

/// A compiled testapp.
#[derive(Clone, Debug)]
pub struct Testapp {
    /// Name of the executable, which is its caller component in reports.
    pub name: String,
    path: PathBuf,
}

/// What the first comment of a source asks for.
struct Source {
    name: String,
    file: PathBuf,
    text: String,
    needs: Vec<String>,
    loads: Vec<String>,
    build: Vec<String>,
    link: Vec<String>,
    place: String,
}

impl Testapp {
    /// The testapp of `testapps/NAME.*`, compiled if it is not yet.
    ///
    /// # Panics
    /// When it does not exist or does not compile.
    #[must_use]
    pub fn build(name: &str) -> Self {
        Self::variant(name, &[])
    }

    /// The same with more compiler flags (`-Wl,-z,now`, `-fno-plt`, …).
    ///
    /// # Panics
    /// When it does not exist or does not compile.
    #[must_use]
    pub fn variant(name: &str, flags: &[&str]) -> Self {
        type Built = Arc<OnceLock<Testapp>>;
        static BUILT: Mutex<BTreeMap<String, Built>> = Mutex::new(BTreeMap::new());
        let key = format!("{name} {flags:?}");
        let slot = BUILT.lock().expect("table of testapps").entry(key).or_default().clone();
        slot.get_or_init(|| compile(name, flags)).clone()
    }

    /// Where the executable is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn compile(name: &str, flags: &[&str]) -> Testapp {
    let app = Source::read(name);
    let mut libraries = Vec::new();
    for library in app.needs.iter().chain(&app.loads) {
        collect(library, &mut libraries);
    }
    let mut hasher = DefaultHasher::new();
    for header in ["truth.h", "raw.h", "asleep.h"] {
        std::fs::read(source_folder().join(header)).expect(header).hash(&mut hasher);
    }
    flags.hash(&mut hasher);
    // A change of the commands below makes another executable of the same source.
    include_str!("testapp.rs").hash(&mut hasher);
    for source in libraries.iter().chain([&app]) {
        source.text.hash(&mut hasher);
    }
    let directory = target_tmp().join("apps").join(format!("{name}-{:016x}", hasher.finish()));
    let testapp = Testapp { name: name.into(), path: directory.join(name) };
    if testapp.path.is_file() {
        return testapp;
    }
    let building = directory.with_extension(format!("building-{}", std::process::id()));
    std::fs::create_dir_all(&building).expect("build directory");
    for library in &libraries {
        library.compile(&building, true, &[]);
    }
    app.compile(&building, false, flags);
    if let Err(error) = std::fs::rename(&building, &directory) {
        // Another test process was faster; its result is the same.
        assert!(testapp.path.is_file(), "{}: {error}", directory.display());
        std::fs::remove_dir_all(&building).expect("own build directory");
    }
    testapp
}

/// Adds library `name` and what it needs, each once, what is needed first.
fn collect(name: &str, found: &mut Vec<Source>) {
    let file = format!("lib{name}");
    if found.iter().any(|library| library.name == file) {
        return;
    }
    let library = Source::read(&file);
    for needed in &library.needs {
        collect(needed, found);
    }
    found.push(library);
}

fn source_folder() -> PathBuf {
    workspace().join("testapps")
}

impl Source {
    fn read(name: &str) -> Self {
        let file = ["c", "cpp", "rs"]
            .iter()
            .map(|end| source_folder().join(format!("{name}.{end}")))
            .find(|file| file.is_file())
            .unwrap_or_else(|| panic!("no testapp {name} in {}", source_folder().display()));
        let text = std::fs::read_to_string(&file).expect("source of a testapp");
        let wish = |key: &str| -> Vec<String> {
            text.lines()
                .take(20)
                .filter_map(|line| line.trim_start_matches(['/', '*', ' ']).strip_prefix(key))
                .flat_map(|line| line.trim_end_matches("*/").split_whitespace())
                .map(str::to_owned)
                .collect()
        };
        Self {
            name: name.into(),
            needs: wish("needs:"),
            loads: wish("loads:"),
            build: wish("build:"),
            link: wish("link:"),
            place: wish("place:").concat(),
            file,
            text,
        }
    }

    fn compile(&self, directory: &Path, library: bool, flags: &[&str]) {
        let place = directory.join(&self.place);
        std::fs::create_dir_all(&place).expect("place of a library");
        let output =
            place.join(if library { format!("{}.so", self.name) } else { self.name.clone() });
        let mut command = if self.file.extension().is_some_and(|end| end == "rs") {
            self.rustc(directory, library)
        } else {
            self.cc(directory, library)
        };
        command.args(flags).arg("-o").arg(&output);
        // Paths in the sources (version scripts) are relative to the testapps.
        command.current_dir(source_folder());
        let outcome = run(&mut command);
        if !outcome.status.success() {
            // The build is broken anyway; a half-built directory only takes room.
            let _ = std::fs::remove_dir_all(directory);
        }
        assert!(outcome.status.success(), "{command:?}\n{}", outcome.stderr);
    }

    fn cc(&self, directory: &Path, library: bool) -> Command {
        let cxx = self.file.extension().is_some_and(|end| end == "cpp");
        let mut command = Command::new(if cxx { "c++" } else { "cc" });
        command.args(["-g", "-O1", "-Wall", "-Wextra", "-Werror"]);
        command.args(&self.build);
        if library {
            command.args(["-shared", "-fPIC"]);
            command.arg(format!("-Wl,-soname,{}.so", self.name));
        }
        command.arg(&self.file).arg("-L").arg(directory).arg("-Wl,-rpath,$ORIGIN");
        // Order in the list of needed libraries is order of symbol search: none may be left out.
        command.arg("-Wl,--no-as-needed");
        // Libraries of libraries are found through the executable's own list.
        command.arg(format!("-Wl,-rpath-link,{}", directory.display()));
        command.args(self.needs.iter().map(|name| format!("-l{name}"))).args(&self.link);
        command
    }

    fn rustc(&self, directory: &Path, library: bool) -> Command {
        let mut command = Command::new("rustc");
        command.args(["-g", "-O", "--edition", "2021", "-C", "link-arg=-Wl,-rpath,$ORIGIN"]);
        if library {
            command.args(["--crate-type", "cdylib"]);
        }
        command.arg("-L").arg(directory);
        for name in &self.needs {
            command.args(["-l", &format!("dylib={name}")]);
        }
        command.arg(&self.file);
        command
    }
}
