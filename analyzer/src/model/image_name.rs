//! What process images are called.
//!
//! A reader knows a program by the name it was started as (`sh`, not `dash`; `redis-server`, not
//! the `redis-check-rdb` it is a link to). But a program may write over its arguments, as nginx
//! does, so that name is believed only where something else agrees with it.

use super::gather::ImageData;
use super::tables::setting;
use std::fs;
use std::path::{Path, PathBuf};

/// `ThreadRecord::origin` of an image's first thread.
const MAIN: u32 = 1;
/// Bytes of a name that the kernel keeps.
const COMM_BYTES: usize = 15;

/// The names of `images` (oldest first). A fork child that became no other program is called as
/// its parent: its arguments in memory are whatever the parent left there.
pub fn image_names(images: &[ImageData]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(images.len());
    for (at, image) in images.iter().enumerate() {
        let inherited = parent(images, at).map(|parent| names[parent].clone());
        names.push(inherited.unwrap_or_else(|| own_name(image)));
    }
    names
}

/// The image that `images[at]` was forked from, where it is recorded and runs the same program.
fn parent(images: &[ImageData], at: usize) -> Option<usize> {
    let child = &images[at];
    if child.process.header.forked == 0 {
        return None;
    }
    let pid = child.process.header.parent_pid;
    let same = |image: &ImageData, key| {
        let (own, other) = (setting(child, key), setting(image, key));
        own.is_none() || other.is_none() || own == other
    };
    let is_parent = |image: &ImageData| image.process.file.pid == pid;
    images[..at].iter().rposition(|i| is_parent(i) && same(i, "hostname") && same(i, "exe"))
}

fn own_name(image: &ImageData) -> String {
    let started = setting(image, "argv0").unwrap_or_default();
    let exe = setting(image, "exe").unwrap_or_default();
    let main = image.threads.iter().find(|thread| thread.record.origin == MAIN);
    let comm = main.map(|thread| super::threads::thread_name(&thread.record.name));
    let cwd = setting(image, "cwd").unwrap_or_default();
    let name = choose(&started, &exe, &comm.unwrap_or_default(), |started| {
        leads_to(started, Path::new(&exe), Path::new(&cwd))
    });
    if name.is_empty() {
        image.folder.name.clone()
    } else {
        name
    }
}

/// The file name in `started` where it is the executable's, the kernel's name of the process (which
/// is that of the link, where a link was executed), or `leads` to the executable; else the
/// executable's.
fn choose(started: &str, exe: &str, comm: &str, leads: impl Fn(&str) -> bool) -> String {
    // A login shell's name begins with a dash.
    let started = started.trim_start_matches('-');
    let (name, file) = (last(started), last(exe));
    let kept = &name.as_bytes()[..name.len().min(COMM_BYTES)];
    let believed = file.is_empty()
        || name == file
        || (!name.is_empty() && (kept == comm.as_bytes() || leads(started)));
    if believed { name } else { file }.to_owned()
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// Whether `started`, a path or a name to be searched for, is the executable or a link to it.
fn leads_to(started: &str, exe: &Path, cwd: &Path) -> bool {
    let is_exe = |path: PathBuf| fs::canonicalize(path).is_ok_and(|found| found == exe);
    if started.contains('/') {
        return is_exe(cwd.join(started));
    }
    let search = std::env::var_os("PATH").unwrap_or_default();
    let beside = exe.parent().map(Path::to_path_buf);
    beside.into_iter().chain(std::env::split_paths(&search)).any(|d| is_exe(d.join(started)))
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn arguments_written_over_are_not_believed() {
        let never = |_: &str| false;
        assert_eq!(choose(" -c n.conf", "/usr/sbin/nginx", "nginx", never), "nginx");
        assert_eq!(choose("nginx: worker process", "/usr/sbin/nginx", "nginx", never), "nginx");
        assert_eq!(choose("-bash", "/usr/bin/bash", "bash", never), "bash");
        assert_eq!(choose("", "/usr/bin/bash", "", never), "bash");
        assert_eq!(choose("app", "", "", never), "app");
    }

    #[test]
    fn links_keep_the_name_they_were_started_by() {
        let never = |_: &str| false;
        let long = "a-program-of-many-letters";
        assert_eq!(choose("/bin/ls", "/bin/busybox", "ls", never), "ls");
        assert_eq!(choose(long, "/bin/busybox", "a-program-of-ma", never), long);
        let found = choose("redis-server", "/usr/bin/redis-check-rdb", "main", |path| {
            path == "redis-server"
        });
        assert_eq!(found, "redis-server");
    }
}
