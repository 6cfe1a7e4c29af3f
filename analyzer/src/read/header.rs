//! The head every file of a trace begins with.

use super::{Mapped, ReadError};
use perfvisor_format::{FileHeader, FileKind, ENDIAN_TAG, MAGIC, VERSION_MAJOR};

/// Reads and checks the head of `file`, which should be of `kind`.
///
/// # Errors
/// When the file is too short, foreign, damaged, of another byte order, kind or newer format.
pub fn read_header(file: &Mapped, kind: FileKind) -> Result<FileHeader, ReadError> {
    let bytes = file.copy(0, FileHeader::BYTES).ok_or_else(|| {
        file.error(
            0,
            format!("a file head of {} bytes", FileHeader::BYTES),
            format!("{} bytes", file.size_bytes()),
        )
    })?;
    let header =
        FileHeader::read(&bytes, 0).ok_or_else(|| file.error(0, "a file head", "too few bytes"))?;
    if header.magic != MAGIC {
        return Err(file.error(0, "\"PERFVSR\\0\"", format!("{:?}", printable(&header.magic))));
    }
    if header.endian_tag != ENDIAN_TAG {
        return Err(file.error(
            16,
            format!("byte order tag {ENDIAN_TAG:#010x}"),
            format!("{:#010x}", header.endian_tag),
        ));
    }
    if header.version_major > VERSION_MAJOR {
        return Err(
            file.newer(8, format!("version {}.{}", header.version_major, header.version_minor))
        );
    }
    if header.version_major != VERSION_MAJOR {
        return Err(file.error(
            8,
            format!("format version {VERSION_MAJOR}.x"),
            format!("version {}.{}", header.version_major, header.version_minor),
        ));
    }
    let crc = header.expected_crc();
    if header.crc != crc {
        return Err(file.error(
            40,
            format!("checksum {crc:#010x} of the file head"),
            format!("{:#010x}", header.crc),
        ));
    }
    if header.kind != kind as u16 {
        return Err(file.error(
            12,
            format!("file kind {} ({kind:?})", kind as u16),
            match FileKind::from_raw(header.kind) {
                Some(other) => format!("{} ({other:?})", header.kind),
                None => header.kind.to_string(),
            },
        ));
    }
    Ok(header)
}

/// Which process image a file must belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageIdentity {
    /// Process id.
    pub pid: u32,
    /// Images of this pid before.
    pub generation: u32,
    /// Random number shared by all files of the image.
    pub image_id: u64,
}

/// Reads the head of a file that must belong to image `identity`.
///
/// # Errors
/// As [`read_header`], and when the file is of another image.
pub fn read_member_header(
    file: &Mapped,
    kind: FileKind,
    identity: ImageIdentity,
) -> Result<FileHeader, ReadError> {
    let header = read_header(file, kind)?;
    if header.image_id != identity.image_id {
        return Err(file.error(
            32,
            format!("image id {:#x}, as in process.pv", identity.image_id),
            format!("{:#x}", header.image_id),
        ));
    }
    Ok(header)
}

/// Bytes as text for an error: what is not printable shows as a dot.
fn printable(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| if (0x20..0x7f).contains(&b) { b as char } else { '.' }).collect()
}
