//! The directory of a trace: which images and files there are, and `run.json`.

use super::ReadError;
use serde::Deserialize;
use std::fs;
use std::path::Path;

/// Largest `run.json` that is read.
const RUN_JSON_MAX_BYTES: u64 = 16 << 20;

/// One process image's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageFolder {
    /// Process id.
    pub pid: u32,
    /// Images of this pid before it.
    pub generation: u32,
    /// Folder name (`p<PID>.<GEN>`).
    pub name: String,
    /// Numbers of its `e<INDEX>.pv`, ascending.
    pub event_files: Vec<u32>,
    /// Numbers of its `g<N>.pv`, ascending.
    pub group_files: Vec<u32>,
    /// Numbers of its `t<N>.pv`, ascending.
    pub thread_files: Vec<u32>,
    /// There is a `late.pv`.
    pub has_late: bool,
    /// There is a `syscalls.pv`.
    pub has_syscalls: bool,
}

/// What `perfvisor run` left about the run. Every field may be missing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RunFile {
    /// Command and arguments.
    pub command: Vec<String>,
    /// Wall clock at the start, ns since 1970.
    pub start_realtime_ns: Option<u64>,
    /// Duration of the run, ns.
    pub wall_ns: Option<u64>,
    /// Exit status.
    pub exit_code: Option<i32>,
    /// Signal that ended the command.
    pub signal: Option<i32>,
    /// User CPU time, ns.
    pub user_ns: Option<u64>,
    /// System CPU time, ns.
    pub system_ns: Option<u64>,
    /// Largest resident set, KiB.
    pub max_rss_kib: Option<u64>,
}

/// The folders of all images in `root`, by pid and generation.
///
/// # Errors
/// When `root` cannot be listed.
pub fn image_folders(root: &Path) -> Result<Vec<ImageFolder>, ReadError> {
    let mut folders: Vec<ImageFolder> = names(root)?
        .into_iter()
        .filter_map(|name| {
            let (pid, generation) = name.strip_prefix('p')?.split_once('.')?;
            let (pid, generation) = (pid.parse().ok()?, generation.parse().ok()?);
            Some(ImageFolder { pid, generation, name, ..ImageFolder::default() })
        })
        .filter(|folder| root.join(&folder.name).is_dir())
        .collect();
    folders.sort();
    for folder in &mut folders {
        for name in names(&root.join(&folder.name))? {
            let Some(stem) = name.strip_suffix(".pv") else { continue };
            if stem == "late" {
                folder.has_late = true;
            }
            if stem == "syscalls" {
                folder.has_syscalls = true;
            }
            if !stem.is_char_boundary(1) || stem.is_empty() {
                continue;
            }
            let (letter, number) = stem.split_at(1);
            let Ok(number) = number.parse::<u32>() else { continue };
            match letter {
                "e" => folder.event_files.push(number),
                "g" => folder.group_files.push(number),
                "t" => folder.thread_files.push(number),
                _ => {}
            }
        }
        folder.event_files.sort_unstable();
        folder.group_files.sort_unstable();
        folder.thread_files.sort_unstable();
    }
    Ok(folders)
}

/// Reads `root/run.json`; `None` when there is none.
///
/// # Errors
/// When it is there but cannot be read or is no such JSON.
pub fn read_run_file(root: &Path) -> Result<Option<RunFile>, ReadError> {
    let path = root.join("run.json");
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ReadError::Io { path, source }),
    };
    if !metadata.is_file() || metadata.len() > RUN_JSON_MAX_BYTES {
        return Err(ReadError::Damaged {
            path,
            offset: 0,
            expected: format!("a file of at most {RUN_JSON_MAX_BYTES} bytes"),
            found: format!("{} bytes", metadata.len()),
        });
    }
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(source) => return Err(ReadError::Io { path, source }),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| ReadError::Damaged {
        path,
        offset: line_offset(&text, error.line(), error.column()),
        expected: "the JSON that perfvisor run writes".into(),
        found: error.to_string(),
    })
}

/// Byte offset of a line and column, both counted from 1.
fn line_offset(text: &[u8], line: usize, column: usize) -> u64 {
    let before: usize =
        text.split_inclusive(|&b| b == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    (before + column.saturating_sub(1)) as u64
}

fn names(directory: &Path) -> Result<Vec<String>, ReadError> {
    let io = |source: std::io::Error| {
        let path = directory.to_path_buf();
        match source.kind() {
            std::io::ErrorKind::NotADirectory => ReadError::NotADirectory { path },
            _ => ReadError::Io { path, source },
        }
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(io)? {
        // A name that is no UTF-8 is none of ours.
        if let Ok(name) = entry.map_err(io)?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}
