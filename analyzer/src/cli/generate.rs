//! Completion scripts and the manual pages, made from the grammar of the command line.

use std::io::{self, Write};

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{args, print, Failure};

/// Prints the completion script for `shell`.
pub fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::Args::command(), "perfvisor", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Prints the manual page of the command called `name`, else one page of all commands.
pub fn man(name: Option<&str>) -> Result<(), Failure> {
    let mut command = args::Args::command();
    command.build();
    let page = match name {
        None => whole(command),
        Some(name) => match command.find_subcommand(name) {
            Some(part) => single(part.clone()),
            None => return Err(Failure::new(format!("there is no command {name}"))),
        },
    };
    let page = page.map_err(|error| Failure::new(format!("cannot make the page: {error}")))?;
    print(&String::from_utf8_lossy(&page))
}

/// Everything on one page: it refers to no other.
fn whole(mut command: Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let parts: Vec<Command> =
        command.get_subcommands().filter(|part| part.get_name() != "help").cloned().collect();
    command = with_usage(command);
    let head = Man::new(command.clone());
    head.render_title(&mut page)?;
    head.render_name_section(&mut page)?;
    head.render_synopsis_section(&mut page)?;
    head.render_description_section(&mut page)?;
    head.render_options_section(&mut page)?;
    for part in parts {
        writeln!(page, ".SH \"perfvisor {}\"", part.get_name())?;
        let mut sections = Vec::new();
        let with_notes = part.get_after_help().is_some();
        let part = Man::new(with_usage(part));
        part.render_description_section(&mut sections)?;
        part.render_synopsis_section(&mut sections)?;
        part.render_options_section(&mut sections)?;
        if with_notes {
            part.render_extra_section(&mut sections)?;
        }
        // Sections of a part are subsections of the whole.
        page.extend(String::from_utf8_lossy(&sections).replace(".SH ", ".SS ").into_bytes());
    }
    head.render_version_section(&mut page)?;
    Ok(page)
}

fn single(part: Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(with_usage(part)).render(&mut page)?;
    Ok(page)
}

/// The same with the synopsis of `--help`: the one that would be made for the page forgets that an
/// argument can be repeated, and lists every option.
fn with_usage(mut command: Command) -> Command {
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim().to_owned();
    command.override_usage(usage)
}
