//! `perfvisor syscalls` and `footprint`.

use std::io;
use std::path::Path;

use perfvisor::analysis::{footprints, SyscallsBy};
use perfvisor::model::{self, Profile};
use perfvisor::report::{self, SyscallOptions, TextOptions};

use super::args::{FootprintArgs, OnlyArgs, SyscallsArgs};
use super::terminal::Color;
use super::view::{unreadable, width, write_to, STANDARD_OUTPUT};
use super::Failure;

/// `perfvisor syscalls`.
pub fn syscalls(args: &SyscallsArgs) -> Result<(), Failure> {
    let by_path = !(args.only.api.is_empty() && args.only.component.is_empty());
    if args.by == SyscallsBy::Target && by_path {
        return Err(Failure::new("--by fd knows no --api and no --component")
            .advise("what was done to a file is kept by thread and system call, not by API")
            .with_code(2));
    }
    let profile = recorded(&args.directory)?;
    let options = SyscallOptions {
        text: text_options(&args.only, args.top, args.width, args.color),
        by: args.by,
        sort: args.sort,
        syscall_filter: args.syscall.clone(),
    };
    if let Some((what, names)) = report::unmatched(&profile, &options.text) {
        return Err(Failure::new(what).advise(names));
    }
    write_to(Path::new(STANDARD_OUTPUT), |out| match args.json {
        true => report::syscalls_json(&profile, &options, out),
        false => out.write_all(report::syscalls(&profile, &options).as_bytes()),
    })
}

/// `perfvisor footprint`.
pub fn footprint(args: &FootprintArgs) -> Result<(), Failure> {
    let profile = recorded(&args.directory)?;
    let only = OnlyArgs { group: args.group.clone(), api: args.api.clone(), component: Vec::new() };
    let options = SyscallOptions {
        text: text_options(&only, args.top, args.width, args.color),
        ..SyscallOptions::default()
    };
    if let Some((what, names)) = report::unmatched(&profile, &options.text) {
        return Err(Failure::new(what).advise(names));
    }
    let found = footprints(
        &profile,
        !args.api.is_empty(),
        |api| options.wants_api(&profile, api),
        |group| options.wants_group(&profile, group),
    );
    if let Some(path) = &args.html {
        write_to(path, |out| out.write_all(report::footprint_html(&profile, &found).as_bytes()))?;
    }
    if args.json {
        let out = Path::new(STANDARD_OUTPUT);
        write_to(out, |out| report::footprint_json(&profile, &found, out))?;
    }
    if args.html.is_some() || args.json {
        return Ok(());
    }
    write_to(Path::new(STANDARD_OUTPUT), |out| {
        out.write_all(report::footprint(&profile, &found, &options).as_bytes())
    })
}

/// The profile of a recording that has system calls.
pub(super) fn recorded(directory: &Path) -> Result<Profile, Failure> {
    let profile = model::load(directory).map_err(unreadable)?;
    if profile.syscalls.is_empty() {
        let failure = format!("{} holds no system calls", directory.display());
        return Err(Failure::new(failure).advise(
            "it was recorded with --only apis, by an older perfvisor, or no code that makes system \
             calls could be changed: `perfvisor report DIR` says more",
        ));
    }
    Ok(profile)
}

pub(super) fn text_options(
    only: &OnlyArgs,
    top: usize,
    columns: Option<usize>,
    color: Color,
) -> TextOptions {
    TextOptions {
        width: columns.unwrap_or_else(|| width(libc::STDOUT_FILENO)),
        color: color.wanted(&io::stdout()),
        top,
        group_filter: only.group.clone(),
        api_filter: only.api.clone(),
        component_filter: only.component.clone(),
        ..TextOptions::default()
    }
}
