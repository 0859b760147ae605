//! What the kernel counts: CPU time of processes and of the whole machine, memory of a process. Reads `/proc`, starts
//! and stops nothing.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

/// Clock ticks a second of `/proc/*/stat`: 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;
/// Less foreign CPU than this, in cores, counts as a calm machine.
pub(crate) const CALM_CORES: f64 = 0.15;

/// CPU seconds since some start.
pub(crate) type Seconds = f64;

/// One row of `/proc/<pid>/stat`.
#[derive(Debug, Clone, Copy)]
struct Stat {
    parent: u32,
    own: Seconds,
    reaped: Seconds,
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name stands in parentheses and may hold spaces and parentheses itself.
    let (_, rest) = text.rsplit_once(") ")?;
    let field: Vec<&str> = rest.split(' ').collect();
    let ticks = |index: usize| field.get(index)?.parse::<f64>().ok();
    Some(Stat {
        parent: field.get(1)?.parse().ok()?,
        own: (ticks(11)? + ticks(12)?) / TICKS_PER_SECOND,
        reaped: (ticks(13)? + ticks(14)?) / TICKS_PER_SECOND,
    })
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// CPU seconds of a process, of all its living descendants, and of those that it has already reaped.
///
/// PostgreSQL's backends are such descendants: those that end between two readings are in the postmaster's sum.
pub(crate) fn cpu_of_tree(root: u32) -> Seconds {
    let mut rows = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        rows.extend(stat(pid).map(|row| (pid, row)));
    }
    let belongs = |mut pid: u32| loop {
        if pid == root {
            return true;
        }
        match rows.get(&pid) {
            Some(row) if row.parent != 0 && row.parent != pid => pid = row.parent,
            _ => return false,
        }
    };
    rows.iter().filter(|(pid, _)| belongs(**pid)).map(|(_, row)| row.own + row.reaped).sum()
}

/// CPU seconds of this process itself, and of the children it has reaped.
pub(crate) fn cpu_of_self() -> (Seconds, Seconds) {
    stat(std::process::id()).map_or((0.0, 0.0), |row| (row.own, row.reaped))
}

/// CPU seconds that all processes of the machine used, stolen time included, interrupts left out: those of our own
/// packets are charged to nobody.
pub(crate) fn cpu_of_machine() -> Seconds {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<f64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|f| f.parse().ok())
        .collect();
    // user, nice, system, idle, iowait, irq, softirq, steal
    [0, 1, 2, 7].iter().filter_map(|index| fields.get(*index)).sum::<f64>() / TICKS_PER_SECOND
}

/// Cores of this machine that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Waits until nobody else uses the machine, but no longer than `patience`.
pub(crate) async fn wait_for_calm(patience: Duration) {
    const WINDOW: Duration = Duration::from_millis(300);
    let began = Instant::now();
    while began.elapsed() < patience {
        let (before, at) = (cpu_of_machine(), Instant::now());
        tokio::time::sleep(WINDOW).await;
        if (cpu_of_machine() - before) / at.elapsed().as_secs_f64() < CALM_CORES {
            return;
        }
    }
}

/// Memory of a process in kB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Memory {
    /// Resident, pages shared with others counted whole.
    pub(crate) rss_kb: u64,
    /// Resident, shared pages counted by their share.
    pub(crate) pss_kb: u64,
}

/// Memory of a process and its descendants.
pub(crate) fn memory_of_tree(root: u32) -> Result<Memory> {
    let mut sum = memory(root)?;
    let children = fs::read_to_string(format!("/proc/{root}/task/{root}/children")).unwrap_or_default();
    for child in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
        let more = memory_of_tree(child)?;
        sum = Memory { rss_kb: sum.rss_kb + more.rss_kb, pss_kb: sum.pss_kb + more.pss_kb };
    }
    Ok(sum)
}

fn memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
            .with_context(|| format!("{path}: no {name}"))
    };
    Ok(Memory { rss_kb: field("Rss:")?, pss_kb: field("Pss:")? })
}

/// The machine as the report names it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
}

impl Machine {
    pub(crate) fn read() -> Self {
        let field = |file: &str, name: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':'))
                .map_or_else(String::new, |(_, value)| value.trim().to_owned())
        };
        let kb: u64 =
            field("/proc/meminfo", "MemTotal").split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        Self {
            cpu: field("/proc/cpuinfo", "model name"),
            cores: cores(),
            memory_gib: kb.div_ceil(1 << 20),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let row =
            parse_stat("7 (a) b (c) S 5 7 7 0 -1 4194560 1 2 3 4 150 50 30 70 20 0 1 0 99 0 0").unwrap();
        assert_eq!((row.parent, row.own, row.reaped), (5, 2.0, 1.0));
    }

    #[test]
    fn work_of_this_process_is_counted_in_its_tree() {
        let before = cpu_of_tree(std::process::id());
        let began = Instant::now();
        let mut sum = 0_u64;
        while began.elapsed() < Duration::from_millis(120) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let used = cpu_of_tree(std::process::id()) - before;
        assert!(used > 0.01, "{used} s");
    }

    #[test]
    fn the_memory_of_this_process_is_more_than_nothing() {
        let seen = memory_of_tree(std::process::id()).unwrap();
        assert!(seen.rss_kb > 500 && seen.pss_kb <= seen.rss_kb, "{seen:?}");
    }
}
