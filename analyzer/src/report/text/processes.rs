//! The processes of a run that has several.

use super::Page;
use crate::model::{Image, ImageId};
use crate::report::facts::image_end;
use crate::report::names::command_line;
use crate::report::style::Tone;
use crate::report::table::{Column, Field, Table};
use crate::report::units::{count, time};

pub(super) fn draw(page: &mut Page) {
    let images = &page.profile.images;
    if images.len() < 2 {
        return;
    }
    page.section(
        "PROCESSES",
        "Each program that ran, in order of start: a fork begins a process, an exec begins another \
         program in it.",
    );
    let mut table = Table::new(vec![
        Column::number("pid", 0),
        Column::name("program", 0, 12),
        Column::number("parent", 3),
        Column::number("began", 2),
        Column::number("lived", 0),
        Column::number("user", 1),
        Column::number("system", 1),
        Column::number("threads", 1),
        Column::number("calls", 0),
        Column::word("end", 2),
        Column::name("command", 4, 16),
    ]);
    let wanted: Vec<&Image> = images
        .iter()
        .enumerate()
        .filter(|(at, _)| page.filter.image(ImageId(*at as u32)))
        .map(|(_, image)| image)
        .collect();
    let shown = page.options.rows(wanted.len());
    for image in wanted.iter().take(shown) {
        let command = if image.forked { String::new() } else { command_line(&image.argv) };
        table.row(vec![
            image.pid.to_string().into(),
            Field::toned(image.name.as_str(), Tone::Strong),
            image.parent_pid.to_string().into(),
            time(image.start_ns as f64).into(),
            time(image.end_ns.saturating_sub(image.start_ns) as f64).into(),
            time(image.user_ns as f64).into(),
            time(image.system_ns as f64).into(),
            count(image.threads).into(),
            count(image.calls).into(),
            image_end(image).into(),
            command.into(),
        ]);
    }
    page.table(&table);
    page.rest(wanted.len() - shown, "program");
}
