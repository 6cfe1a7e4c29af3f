//! Programs that a recorded one was replaced by: was anything of them recorded?

use super::gather::{Gathered, ImageData};
use super::profile::{Image, ImageEnd, Profile};
use crate::read::Record;

/// Notes for each image what it was replaced by, and whether that left an image.
pub fn describe_execs(profile: &mut Profile, gathered: &Gathered) {
    let seen: Vec<(u32, u32)> = gathered
        .images
        .iter()
        .map(|image| (image.process.file.pid, image.process.file.generation))
        .collect();
    for (image, data) in profile.images.iter_mut().zip(&gathered.images) {
        if image.end != ImageEnd::Exec {
            continue;
        }
        image.exec_path = last_exec(data);
        let followed = !is_left_alone(image);
        let later =
            |&(pid, generation): &(u32, u32)| pid == image.pid && generation > image.generation;
        image.exec_unrecorded = followed && !seen.iter().any(later);
    }
}

/// What the last exec asked for, as it was given; `None` if that is unknown (fexecve).
fn last_exec(image: &ImageData) -> Option<String> {
    let records = image.process.records.iter().rev();
    let path = records.filter_map(|(_, record)| match record {
        Record::Exec(_, path) => Some(path),
        _ => None,
    });
    path.take(1).find(|path| !path.is_empty()).cloned()
}

/// With `--no-follow` nothing is to be recorded there.
fn is_left_alone(image: &Image) -> bool {
    let off = |value: &str| matches!(value, "0" | "false" | "no" | "off" | "");
    image.settings.iter().any(|(key, value)| key == "PERFVISOR_FOLLOW" && off(value))
}
