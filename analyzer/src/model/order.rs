//! Puts groups in the order of a reader's interest, and all that names them.

use super::ids::{GroupId, NodeId};
use super::profile::Profile;

/// Sorts groups by exec time, then renumbers every mention of one.
pub fn order_groups(profile: &mut Profile) {
    let mut order: Vec<u32> = (0..profile.groups.len() as u32).collect();
    order.sort_by(|&a, &b| {
        let (ga, gb) = (&profile.groups[a as usize], &profile.groups[b as usize]);
        gb.exec_ns.total_cmp(&ga.exec_ns).then(gb.calls.cmp(&ga.calls)).then(a.cmp(&b))
    });
    let mut place = vec![GroupId(0); order.len()];
    for (new, &old) in order.iter().enumerate() {
        place[old as usize] = GroupId(new as u32);
    }
    let renumber = |group: &mut GroupId| *group = place[group.index()];
    let groups = std::mem::take(&mut profile.groups);
    let mut numbered: Vec<_> = groups.into_iter().zip(&place).collect();
    numbered.sort_by_key(|(_, id)| **id);
    profile.groups = numbered.into_iter().map(|(group, _)| group).collect();

    profile.threads.iter_mut().for_each(|thread| renumber(&mut thread.group));
    profile.api_rows.iter_mut().for_each(|row| renumber(&mut row.group));
    // Stable, so rows of one group keep their order.
    profile.api_rows.sort_by_key(|row| row.group);
    profile.slow_calls.iter_mut().for_each(|slow| renumber(&mut slow.group));
    profile.events.rows.iter_mut().for_each(|row| renumber(&mut row.group));
    for object in &mut profile.wait_objects {
        object.waiters.iter_mut().for_each(|waiter| renumber(&mut waiter.group));
    }
    let syscalls = &mut profile.syscalls;
    syscalls.rows.iter_mut().for_each(|row| renumber(&mut row.group));
    syscalls.uses.iter_mut().for_each(|row| renumber(&mut row.group));
    syscalls.slow.iter_mut().for_each(|slow| renumber(&mut slow.group));
    profile.call_nodes.iter_mut().for_each(|node| renumber(&mut node.group));
    order_nodes(profile);
}

/// Nodes by group; parents stay before their children because the sort is stable.
fn order_nodes(profile: &mut Profile) {
    let mut order: Vec<u32> = (0..profile.call_nodes.len() as u32).collect();
    order.sort_by_key(|&at| profile.call_nodes[at as usize].group);
    let mut place = vec![NodeId(0); order.len()];
    for (new, &old) in order.iter().enumerate() {
        place[old as usize] = NodeId(new as u32);
    }
    let nodes = std::mem::take(&mut profile.call_nodes);
    let mut numbered: Vec<_> = nodes.into_iter().zip(&place).collect();
    numbered.sort_by_key(|(_, id)| **id);
    profile.call_nodes = numbered.into_iter().map(|(node, _)| node).collect();
    for node in &mut profile.call_nodes {
        node.parent = node.parent.map(|parent| place[parent.index()]);
    }
    for slow in &mut profile.slow_calls {
        slow.node = slow.node.map(|node| place[node.index()]);
    }
    for row in &mut profile.syscalls.rows {
        row.node = row.node.map(|node| place[node.index()]);
    }
    for slow in &mut profile.syscalls.slow {
        slow.node = slow.node.map(|node| place[node.index()]);
    }
    profile
        .syscalls
        .rows
        .sort_by_key(|row| (row.image, row.group, row.thread, row.node, row.number));
}
