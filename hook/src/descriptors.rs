//! Learns what a descriptor leads to, and names objects for the trace.
//!
//! Learnt at the first system call that uses it (see `probe/descriptors.rs`), by asking the kernel:
//! `fstat` for its kind, the link in `/proc/self/fd` for a file's path, `getpeername` and
//! `getsockname` for a socket's address. An object is a (kind, name): a file opened twice is one, and so
//! are all connections that one host makes to one port of ours, whose own ports say nothing.

use crate::files;
use crate::store::lock::Cold;
use crate::store::process;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use perfvisor_format::ObjectKind;
use perfvisor_probe::descriptors::{learn, Descriptor};

/// Objects told apart in one process image; later ones have no name.
const MOST: usize = 1 << 15;
/// Bytes of a name that are kept.
const NAME_BYTES: usize = 512;

/// Ids by (kind, name). Guarded by the cold lock.
static mut IDS: BTreeMap<(u8, Vec<u8>), u32> = BTreeMap::new();

/// What `probe::cold` calls: the word of a descriptor.
pub extern "C" fn descriptor(_: u64, descriptor: u64, _: u64) -> u64 {
    // A vfork child has descriptors of its own and its parent's memory.
    if crate::interpose::restricted() || crate::interpose::process::is_vfork_child() {
        return 0;
    }
    let _cold = Cold::enter();
    let Some((kind, name)) = ask(descriptor as i32) else { return 0 };
    let word = Descriptor::new(id_of(kind, &name), kind);
    learn(descriptor, word);
    u64::from(word.0)
}

/// A forked child's own image begins without objects.
pub fn restart() {
    // SAFETY: under the cold lock. What the parent learnt holds for the child's descriptors, but its ids
    // are not in the child's file.
    unsafe { IDS = BTreeMap::new() };
    perfvisor_probe::descriptors::forget(0, u64::MAX);
    perfvisor_probe::descriptors::forget_names();
}

fn id_of(kind: ObjectKind, name: &[u8]) -> u32 {
    // SAFETY: under the cold lock.
    let ids = unsafe {
        let ids: *mut BTreeMap<(u8, Vec<u8>), u32> = &raw mut IDS;
        &mut *ids
    };
    let key = (kind as u8, name.get(..NAME_BYTES).unwrap_or(name).to_vec());
    if let Some(&id) = ids.get(&key) {
        return id;
    }
    if ids.len() >= MOST {
        return 0;
    }
    let id = ids.len() as u32 + 1;
    process::write_object(id, kind, &key.1);
    ids.insert(key, id);
    id
}

fn ask(descriptor: i32) -> Option<(ObjectKind, Vec<u8>)> {
    // SAFETY: fstat fills the struct.
    let (mode, device) = unsafe {
        let mut stat: libc::stat = core::mem::zeroed();
        if libc::fstat(descriptor, &mut stat) != 0 {
            return None;
        }
        (stat.st_mode, stat.st_rdev)
    };
    if mode & libc::S_IFMT == libc::S_IFSOCK {
        return Some((ObjectKind::Socket, socket_name(descriptor).into_bytes()));
    }
    let path = files::c_path(format!("/proc/self/fd/{descriptor}")).ok()?;
    let name = files::read_link(&path).unwrap_or_default();
    let kind = match mode & libc::S_IFMT {
        libc::S_IFREG if name.starts_with(b"/memfd:") => ObjectKind::MemFd,
        libc::S_IFREG => ObjectKind::File,
        libc::S_IFDIR => ObjectKind::Directory,
        libc::S_IFIFO => {
            // A FIFO has a path; a pipe's number says nothing to anybody but lsof.
            return Some((ObjectKind::Pipe, name));
        }
        libc::S_IFCHR if is_terminal(device) => ObjectKind::Tty,
        libc::S_IFCHR | libc::S_IFBLK => ObjectKind::Device,
        _ => return Some(anonymous(&name)),
    };
    Some((kind, name))
}

/// Majors of terminals: 4 and 5 (consoles, /dev/tty), 136 to 143 (pseudo terminals).
fn is_terminal(device: u64) -> bool {
    let major = libc::major(device);
    matches!(major, 4 | 136..=143) || (major == 5 && libc::minor(device) <= 1)
}

/// An inode without a type: `anon_inode:[eventfd]` and its like.
fn anonymous(name: &[u8]) -> (ObjectKind, Vec<u8>) {
    let inner = name.strip_prefix(b"anon_inode:").unwrap_or(name);
    let inner = inner.strip_prefix(b"[").and_then(|name| name.strip_suffix(b"]")).unwrap_or(inner);
    let kind = match inner {
        b"eventfd" => ObjectKind::EventFd,
        b"eventpoll" => return (ObjectKind::Epoll, Vec::new()),
        b"timerfd" => ObjectKind::TimerFd,
        b"signalfd" => ObjectKind::SignalFd,
        b"inotify" | b"fanotify" => ObjectKind::Notify,
        _ => return (ObjectKind::Anonymous, inner.to_vec()),
    };
    (kind, Vec::new())
}

/// Bytes of the largest address.
const ADDRESS_BYTES: usize = core::mem::size_of::<libc::sockaddr_storage>();
type Ask = unsafe extern "C" fn(i32, *mut libc::sockaddr, *mut libc::socklen_t) -> i32;

fn address(descriptor: i32, ask: Ask) -> Option<Vec<u8>> {
    let mut bytes = [0u8; ADDRESS_BYTES];
    let mut length = ADDRESS_BYTES as libc::socklen_t;
    // SAFETY: at most ADDRESS_BYTES are written; a byte array has no less room than the struct and the
    // kernel asks for no alignment.
    let done = unsafe { ask(descriptor, bytes.as_mut_ptr().cast(), &mut length) } == 0;
    done.then(|| bytes.get(..length as usize).unwrap_or(&bytes).to_vec())
}

fn option(descriptor: i32, name: i32) -> i32 {
    let mut value = 0i32;
    let mut length = 4;
    // SAFETY: at most four bytes are written.
    unsafe {
        libc::getsockopt(descriptor, libc::SOL_SOCKET, name, (&raw mut value).cast(), &mut length);
    }
    value
}

/// `tcp 10.0.0.7 → :6379` of a connection made to us, `tcp 10.0.0.7:80` of one we made, `tcp listening
/// :80`, `unix /run/x`, ….
fn socket_name(descriptor: i32) -> String {
    let own = address(descriptor, libc::getsockname).unwrap_or_default();
    let family = own.get(..2).map_or(0, |f| i32::from(u16::from_le_bytes([f[0], f[1]])));
    let kind = option(descriptor, libc::SO_TYPE);
    let protocol = match (family, kind) {
        (libc::AF_UNIX, _) => "unix",
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_STREAM) => "tcp",
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_DGRAM) => "udp",
        (libc::AF_INET | libc::AF_INET6, _) => "ip",
        (libc::AF_NETLINK, _) => return "netlink".into(),
        _ => return format!("family {family}"),
    };
    if option(descriptor, libc::SO_ACCEPTCONN) != 0 {
        return format!("{protocol} listening {}", Address(&own));
    }
    match address(descriptor, libc::getpeername) {
        Some(peer) if family == libc::AF_UNIX => {
            let (own, peer) = (format!("{}", Address(&own)), format!("{}", Address(&peer)));
            if peer.is_empty() {
                return if own.is_empty() { "unix pair".into() } else { format!("unix → {own}") };
            }
            format!("unix {peer}")
        }
        Some(peer) => connection(protocol, &own, &peer),
        None => format!("{protocol} unconnected {}", Address(&own)).trim_end().into(),
    }
}

/// Which side made a connection cannot be asked. The one whose port lies in the range that the kernel
/// gives out (32768 and up by default) did; its port says nothing about what it talks to.
fn connection(protocol: &str, own: &[u8], peer: &[u8]) -> String {
    const GIVEN_OUT: u16 = 32768;
    if port(peer) >= GIVEN_OUT && port(own) < GIVEN_OUT {
        return format!("{protocol} {} → :{}", Host(peer), port(own));
    }
    format!("{protocol} {}", Address(peer))
}

fn port(address: &[u8]) -> u16 {
    address.get(2..4).map_or(0, |port| u16::from_be_bytes([port[0], port[1]]))
}

/// The host part of an internet address.
struct Host<'a>(&'a [u8]);
/// A whole address; a path for AF_UNIX.
struct Address<'a>(&'a [u8]);

impl core::fmt::Display for Host<'_> {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let bytes = |from: usize, count: usize| self.0.get(from..from + count).unwrap_or_default();
        if let &[a, b, c, d] = bytes(4, 4) {
            if self.0.len() <= 16 {
                return write!(out, "{a}.{b}.{c}.{d}");
            }
        }
        let mut six = [0u8; 16];
        six.iter_mut().zip(bytes(8, 16)).for_each(|(to, from)| *to = *from);
        match core::net::Ipv6Addr::from(six).to_ipv4_mapped() {
            Some(four) => write!(out, "{four}"),
            None => write!(out, "[{}]", core::net::Ipv6Addr::from(six)),
        }
    }
}

impl core::fmt::Display for Address<'_> {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let family = self.0.get(..2).map_or(0, |f| i32::from(u16::from_le_bytes([f[0], f[1]])));
        if family != libc::AF_UNIX {
            return write!(out, "{}:{}", Host(self.0), port(self.0));
        }
        let path = self.0.get(2..).unwrap_or_default();
        let (mark, path) = match path {
            // The abstract name space, which begins with a NUL.
            [0, rest @ ..] if !rest.is_empty() => ("@", rest),
            _ => ("", path.split(|&byte| byte == 0).next().unwrap_or_default()),
        };
        write!(out, "{mark}{}", String::from_utf8_lossy(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_people_write_them() {
        let four = [2, 0, 0x1f, 0x90, 10, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(format!("{}", Address(&four)), "10.0.0.7:8080");
        let mut six = vec![10, 0, 0, 80, 0, 0, 0, 0];
        six.extend(core::net::Ipv6Addr::LOCALHOST.octets());
        six.extend([0; 4]);
        assert_eq!(format!("{}", Address(&six)), "[::1]:80");
        let mut path = vec![1, 0];
        path.extend(b"/run/x\0");
        assert_eq!(format!("{}", Address(&path)), "/run/x");
        assert_eq!(format!("{}", Address(&[1, 0, 0, b'a'])), "@a");
        let peer = [2, 0, 0xc0, 0, 10, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(connection("tcp", &four, &peer), "tcp 10.0.0.9 → :8080");
        assert_eq!(connection("tcp", &peer, &four), "tcp 10.0.0.7:8080");
    }

    #[test]
    fn anonymous_inodes_are_told_by_their_names() {
        assert_eq!(anonymous(b"anon_inode:[eventfd]").0, ObjectKind::EventFd);
        assert_eq!(anonymous(b"anon_inode:[eventpoll]").0, ObjectKind::Epoll);
        assert_eq!(anonymous(b"anon_inode:inotify").0, ObjectKind::Notify);
        assert_eq!(
            anonymous(b"anon_inode:[io_uring]"),
            (ObjectKind::Anonymous, b"io_uring".to_vec())
        );
    }

    #[test]
    fn a_descriptor_of_this_process_is_learnt_with_its_kind() {
        let kind = |fd: i32| ask(fd).expect("open").0;
        let mut pipe = [0; 2];
        // SAFETY: two descriptors are written; all are this test's own.
        let (event, pair, listener) = unsafe {
            assert_eq!(libc::pipe(pipe.as_mut_ptr()), 0);
            let mut pair = [0; 2];
            assert_eq!(libc::socketpair(1, 1, 0, pair.as_mut_ptr()), 0);
            (libc::eventfd(0, 0), pair, libc::socket(2, 1, 0))
        };
        assert_eq!((kind(pipe[0]), kind(event)), (ObjectKind::Pipe, ObjectKind::EventFd));
        assert_eq!(ask(pair[0]), Some((ObjectKind::Socket, b"unix pair".to_vec())));
        // SAFETY: a socket of this test's own.
        unsafe { libc::listen(listener, 1) };
        let name = ask(listener).expect("open").1;
        assert!(
            name.starts_with(b"tcp listening 0.0.0.0:"),
            "{:?}",
            String::from_utf8_lossy(&name)
        );
        assert_eq!(ask(1 << 20), None);
    }
}
