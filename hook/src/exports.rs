//! What the library exports for others to look at. Functions that the trampoline and the stand-ins call
//! by name are exported too, where they stand (`tests/tests/artifact.rs` lists all). Everything begins `perfvisor_`: an export of another name would
//! replace the host's own function of that name.

/// Version of the hook library, for tools that look at a mapped one.
#[no_mangle]
pub static perfvisor_hook_version: [u8; 16] = version();

const fn version() -> [u8; 16] {
    let text = env!("CARGO_PKG_VERSION").as_bytes();
    let mut out = [0; 16];
    let mut at = 0;
    while at < text.len() && at < 15 {
        out[at] = text[at];
        at += 1;
    }
    out
}
