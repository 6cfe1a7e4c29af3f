//! What ran, what is missing, how much was seen and what it cost; then the first findings.

use super::Page;
use crate::analysis::{Finding, Grade};
use crate::report::facts::{coverage, empty_because, losses, overhead, summary};
use crate::report::names::{clean, command_line, cut};
use crate::report::style::Tone;
use crate::report::syscall_facts;
use crate::report::units::{plural, time};

/// Findings shown when there is a limit at all.
const FINDINGS_SHOWN: usize = 8;

pub(super) fn draw(page: &mut Page, findings: &[Finding]) {
    let run = &page.profile.run;
    let command =
        if run.command.is_empty() { run.directory.clone() } else { command_line(&run.command) };
    // A compiler's or linker's command line can be longer than the rest of the report.
    let title = cut(&clean(&format!("perfvisor: {command}")), 4 * page.options.width);
    page.paragraph(Tone::Strong, 0, &title);
    let summary = summary(page.profile).join(" · ");
    page.paragraph(Tone::Plain, 2, &summary);
    if page.options.filtered() {
        let text = format!(
            "Only: {}. What stands here and under INCOMPLETE and RECORDING is of the whole run.",
            page.filter.written()
        );
        page.paragraph(Tone::Notice, 2, &text);
    }
    let losses = losses(page.profile);
    if !losses.is_empty() {
        page.section(
            "INCOMPLETE",
            "What this recording does not have. Read all below with it in mind.",
        );
        for loss in losses {
            page.bullet(Tone::Alarm, &loss);
        }
    }
    recording(page);
    if let Some(reason) = empty_because(page.profile, findings) {
        page.section("NOTHING TO SHOW", "No call from one component to another was recorded.");
        page.paragraph(Tone::Plain, 2, &reason);
    }
    draw_findings(page, findings);
}

/// How much was seen, and what seeing it cost.
fn recording(page: &mut Page) {
    page.section("RECORDING", "How much of the program was seen, and what seeing it cost.");
    for fact in coverage(page.profile) {
        page.bullet(Tone::Plain, &fact);
    }
    for fact in syscall_facts::coverage(page.profile) {
        page.bullet(Tone::Plain, &fact);
    }
    for fact in overhead(page.profile).iter().chain(&syscall_facts::overhead(page.profile)) {
        page.bullet(Tone::Plain, fact);
    }
    for (at_ns, text) in page.profile.images.iter().flat_map(|image| &image.messages).take(8) {
        page.bullet(Tone::Notice, &format!("At {}: {text}", time(*at_ns as f64)));
    }
}

fn draw_findings(page: &mut Page, findings: &[Finding]) {
    if findings.is_empty() {
        return;
    }
    page.section("FINDINGS", "What stands out, most important first, with what to look at next.");
    let all = findings.len();
    let filter = page.filter;
    let findings: Vec<&Finding> = findings.iter().filter(|found| filter.finding(found)).collect();
    let shown =
        if page.options.top == 0 { findings.len() } else { FINDINGS_SHOWN.min(findings.len()) };
    for (at, finding) in findings.iter().take(shown).enumerate() {
        let (word, tone) = grade(finding.grade);
        let title = format!("{}. {} [{word}]", at + 1, finding.title);
        page.paragraph(tone, 2, &title);
        page.paragraph(Tone::Plain, 5, &finding.text);
    }
    page.rest(findings.len() - shown, "finding");
    let others = all - findings.len();
    if others > 0 {
        let text = format!("Left out: {} on other places.", plural(others as u64, "finding"));
        page.paragraph(Tone::Faint, 2, &text);
    }
}

/// The word and the tone of a grade.
fn grade(grade: Grade) -> (&'static str, Tone) {
    match grade {
        Grade::Recording => ("recording", Tone::Alarm),
        Grade::Major => ("major", Tone::Alarm),
        Grade::Minor => ("minor", Tone::Notice),
        Grade::Note => ("note", Tone::Strong),
    }
}
