//! The call tree of each group: which call was made inside which.

use super::groups::wanted_groups;
use super::Page;
use crate::model::{CallNode, GroupId, NodeId, ThreadGroup};
use crate::report::style::Tone;
use crate::report::table::{Column, Field, Table};
use crate::report::units::{count_or_estimate, share, time};
use std::collections::HashMap;

/// Share below which a node is left out when no other is asked for.
const LEAST_SHARE: f64 = 0.001;

type Children = HashMap<Option<NodeId>, Vec<NodeId>>;

pub(super) fn draw(page: &mut Page) {
    if page.profile.call_nodes.is_empty() {
        return;
    }
    page.section(
        "CALL TREE",
        "Library calls made inside library calls. total%: of the group's thread time; ~ marks counts \
         estimated from timed calls; paths that take less than the least share are left out.",
    );
    let mut table = Table::new(vec![
        Column::number("total%", 0),
        Column::number("total", 0),
        Column::number("self", 1),
        Column::number("wait", 3),
        Column::number("calls", 2),
        Column::function("path", 0, 20),
        Column::name("from", 4, 10),
    ]);
    let groups: Vec<(GroupId, &ThreadGroup)> = wanted_groups(page).collect();
    for (id, group) in groups {
        let children = children(page.profile.call_nodes.as_slice(), id);
        if children.is_empty() {
            continue;
        }
        let name = Field::toned(page.names.group(id), Tone::Strong);
        table.across(name);
        rows(page, &children, group, &mut table);
    }
    page.table(&table);
}

fn children(nodes: &[CallNode], group: GroupId) -> Children {
    let mut children = Children::new();
    for (at, node) in nodes.iter().enumerate().filter(|(_, node)| node.group == group) {
        // A path that was never timed has no time by which to place it; what is below it has.
        let above = |id: &NodeId| nodes.get(id.index()).and_then(|node| node.parent);
        let parent = std::iter::successors(node.parent, above)
            .find(|id| nodes.get(id.index()).is_some_and(|node| node.timed != 0));
        children.entry(parent).or_default().push(NodeId(at as u32));
    }
    for list in children.values_mut() {
        let total = |id: &NodeId| nodes[id.index()].total.value_ns;
        list.sort_by(|a, b| total(b).total_cmp(&total(a)).then(a.cmp(b)));
    }
    children
}

/// Depth first without recursion: a path may be as deep as the program's.
fn rows(page: &Page, children: &Children, group: &ThreadGroup, table: &mut Table) {
    let whole = group.lifetime_ns.max(1.0);
    let least = page.options.min_share.max(LEAST_SHARE) * whole;
    let kept = |parent: Option<NodeId>| {
        let list = children.get(&parent).map_or(&[][..], Vec::as_slice);
        let nodes = &page.profile.call_nodes;
        list.iter().rev().copied().filter(move |id| nodes[id.index()].total.value_ns >= least)
    };
    let mut open: Vec<(NodeId, usize)> = kept(None).map(|id| (id, 0)).collect();
    while let Some((id, depth)) = open.pop() {
        let node = &page.profile.call_nodes[id.index()];
        let part = node.total.value_ns / whole;
        let more = if node.collapsed { " (deeper calls folded in)" } else { "" };
        table.row(vec![
            Field::toned(share(part), Tone::of_share(part)),
            time(node.total.value_ns).into(),
            time(node.self_ns).into(),
            if node.wait_ns > 0.0 { time(node.wait_ns) } else { String::new() }.into(),
            count_or_estimate(node.count, !node.scaled).into(),
            format!("{}{}{more}", "  ".repeat(depth), page.names.site(node.site)).into(),
            page.names.site_caller(node.site).into(),
        ]);
        open.extend(kept(Some(id)).map(|child| (child, depth + 1)));
    }
}
