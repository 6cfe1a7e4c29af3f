//! What our output goes to: colours, width, and readers that leave early.

use std::io::IsTerminal;

use clap::ValueEnum;

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always, also into a pipe.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether to colour what goes to `stream`.
    pub fn wanted(self, stream: &impl IsTerminal) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
                if set("NO_COLOR") || std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
                    return false;
                }
                set("CLICOLOR_FORCE") || stream.is_terminal()
            }
        }
    }
}

/// Columns of the terminal behind descriptor `fd`; `None` when it is none.
pub fn width(fd: i32) -> Option<usize> {
    let columns = std::env::var("COLUMNS").ok().and_then(|value| value.parse().ok());
    // SAFETY: TIOCGWINSZ writes one winsize into the local; a zeroed one is a valid value.
    let asked = unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        (libc::ioctl(fd, libc::TIOCGWINSZ, &mut size) == 0 && size.ws_col > 0)
            .then_some(usize::from(size.ws_col))
    };
    asked.map(|found| columns.unwrap_or(found))
}

/// Lets a reader that closes our pipe (`head`) end us quietly, as it ends any other command.
pub fn die_on_broken_pipe() {
    // SAFETY: sets a disposition of this process to the default; no handler of ours exists.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}
