//! Completion scripts and the manual page, made from the grammar of the command line.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{args, print, Failure};

/// Prints the completion script for `shell`.
pub fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::Args::command(), "perfvisor", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Prints the manual page of all commands.
pub fn man() -> Result<(), Failure> {
    let mut page = Vec::new();
    let mut command = args::Args::command();
    command.build();
    let failed = |error| Failure::new(format!("cannot write the manual page: {error}"));
    let whole = clap_mangen::Man::new(command.clone());
    whole.render(&mut page).map_err(failed)?;
    for part in command.get_subcommands().filter(|part| part.get_name() != "help") {
        let heading = format!(".SH \"perfvisor {}\"\n", part.get_name());
        page.extend_from_slice(heading.as_bytes());
        let part = clap_mangen::Man::new(part.clone());
        part.render_description_section(&mut page).map_err(failed)?;
        part.render_synopsis_section(&mut page).map_err(failed)?;
        part.render_options_section(&mut page).map_err(failed)?;
    }
    print(&String::from_utf8_lossy(&page))
}
