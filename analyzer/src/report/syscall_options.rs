//! What a reader can ask of `perfvisor syscalls`.

use super::filter::Filter;
use super::names::quoted;
use super::options::{passes, TextOptions};
use crate::analysis::{SyscallSort, SyscallsBy};
use crate::model::{
    category_text, syscall_category, syscall_name, ApiId, GroupId, Profile, SyscallRow,
};

/// What a row of the table is about besides the system call, with the words a command line knows.
pub const SYSCALLS_BY: [(&str, SyscallsBy); 6] = [
    ("api", SyscallsBy::Api),
    ("syscall", SyscallsBy::Syscall),
    ("process", SyscallsBy::Process),
    ("group", SyscallsBy::Group),
    ("thread", SyscallsBy::Thread),
    ("fd", SyscallsBy::Target),
];

/// Orders of the rows with the words a command line knows.
pub const SYSCALL_SORTS: [(&str, SyscallSort); 7] = [
    ("time", SyscallSort::Time),
    ("wait", SyscallSort::Wait),
    ("calls", SyscallSort::Calls),
    ("errors", SyscallSort::Errors),
    ("bytes", SyscallSort::Bytes),
    ("max", SyscallSort::Max),
    ("name", SyscallSort::Name),
];

/// How the tables of system calls are drawn and what they leave out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SyscallOptions {
    /// Width, colour, rows, and the filters of groups, APIs and components: of the APIs that a
    /// call was made below, one must pass.
    pub text: TextOptions,
    /// What a row is about.
    pub by: SyscallsBy,
    /// Order of the rows.
    pub sort: SyscallSort,
    /// Only system calls whose name or category matches.
    pub syscall_filter: Vec<String>,
}

impl SyscallOptions {
    /// Whether the row passes all filters.
    pub fn wants(&self, profile: &Profile, row: &SyscallRow) -> bool {
        self.wants_number(row.number) && Filter::new(profile, &self.text).syscall(row)
    }

    /// Whether the API itself passes.
    pub fn wants_api(&self, profile: &Profile, api: ApiId) -> bool {
        Filter::new(profile, &self.text).api(Some(api))
    }

    /// Whether the thread group passes.
    pub fn wants_group(&self, profile: &Profile, group: GroupId) -> bool {
        Filter::new(profile, &self.text).group(group)
    }

    /// Whether the system call passes, by its name or category.
    pub fn wants_number(&self, number: u32) -> bool {
        let category = category_text(syscall_category(number));
        passes(&self.syscall_filter, &[&syscall_name(number), category])
    }

    /// Whether anything is filtered by name.
    pub(crate) fn filtered(&self) -> bool {
        self.text.filtered() || !self.syscall_filter.is_empty()
    }

    /// The filters as a user would write them.
    pub(crate) fn written(&self, profile: &Profile) -> String {
        let mut words = vec![Filter::new(profile, &self.text).written()];
        let own = self.syscall_filter.iter().map(|p| format!("--syscall {}", quoted(p)));
        words.extend(own);
        words.retain(|word| !word.is_empty());
        words.join(" ")
    }

    /// Words for a heading.
    pub(crate) fn sort_text(&self) -> &'static str {
        match self.sort {
            SyscallSort::Time => "time",
            SyscallSort::Wait => "wait time",
            SyscallSort::Calls => "calls",
            SyscallSort::Errors => "errors",
            SyscallSort::Bytes => "bytes",
            SyscallSort::Max => "longest call",
            SyscallSort::Name => "name",
        }
    }
}
