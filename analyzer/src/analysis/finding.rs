//! [`Finding`]: a measured fact with its evidence and its place.

use crate::model::{ApiId, GroupId, ImageId, SiteId, SlowCallId, ThreadId, WaitObjectId};
use serde::Serialize;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// The recording itself is not what it should be: read everything else with this in mind.
    Recording,
    /// A large part of the run's time hangs on it.
    Major,
    /// Worth a look.
    Minor,
    /// Good to know.
    Note,
}

/// Which analysis found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Something is missing or damaged.
    Loss,
    /// Part of the program is not seen.
    Coverage,
    /// Nothing or very little was recorded.
    ThinRecording,
    /// Threads of one group worked unequally long.
    Imbalance,
    /// Single calls took far longer than their like.
    TailOutlier,
    /// Threads waited for one lock.
    LockContention,
    /// Threads were neither on a CPU nor in a wait that was seen.
    OffCpu,
}

/// One measured number behind a finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// What was measured.
    pub name: String,
    /// The number.
    pub value: f64,
    /// Its unit: `ns`, `calls`, `ratio`, `threads`, ….
    pub unit: String,
}

impl Evidence {
    /// A number with its name and unit.
    pub fn new(name: impl Into<String>, value: f64, unit: impl Into<String>) -> Self {
        Self { name: name.into(), value, unit: unit.into() }
    }
}

/// Where in the profile a finding lies; all that applies is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Place {
    /// The process image.
    pub image: Option<ImageId>,
    /// The thread group.
    pub group: Option<GroupId>,
    /// The thread.
    pub thread: Option<ThreadId>,
    /// The API.
    pub api: Option<ApiId>,
    /// The call path, root first.
    pub path: Vec<SiteId>,
    /// The slow call shown as the exemplar.
    pub slow_call: Option<SlowCallId>,
    /// The lock or other object.
    pub wait_object: Option<WaitObjectId>,
}

/// A measured fact with evidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub grade: Grade,
    /// Which analysis found it.
    pub kind: FindingKind,
    /// One line.
    pub title: String,
    /// A few sentences: what was seen and what to look at next.
    pub text: String,
    /// The numbers behind it.
    pub evidence: Vec<Evidence>,
    /// Where it lies.
    pub place: Place,
    /// Time at stake, ns, for sorting; 0 when it is not a matter of time.
    pub weight_ns: f64,
}
