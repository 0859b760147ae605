//! GCRA in this process. Time is the machine's monotonic clock; what is forgotten at a restart is a few seconds of counts.
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Decision, Quota};

/// A power of two, several times the cores that may ask at once.
const SHARDS: usize = 16;

/// Keys of one shard before it drops some; an attacker's new keys are bounded by it too.
const SHARD_KEYS: usize = if cfg!(test) { 200 } else { 20_000 };

/// Theoretical arrival times by key, in nanoseconds since the start.
#[derive(Debug)]
pub(super) struct Local {
    start: Instant,
    hasher: RandomState,
    shards: [Mutex<HashMap<u128, u64>>; SHARDS],
}

impl Default for Local {
    fn default() -> Self {
        Local { start: Instant::now(), hasher: RandomState::new(), shards: Default::default() }
    }
}

impl Local {
    pub(super) fn check(&self, key: &str, quota: Quota) -> Decision {
        let now = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.check_at(key, quota, now)
    }

    fn check_at(&self, key: &str, quota: Quota, now: u64) -> Decision {
        // 128 keyed bits stand for the key: nobody can choose two that meet, and nothing personal is kept.
        let low = self.hasher.hash_one((quota.name, key));
        let high = self.hasher.hash_one((key, quota.name, low));
        let id = (u128::from(high) << 64) | u128::from(low);
        let shard = &self.shards[low as usize % SHARDS];
        let mut times = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if times.len() >= SHARD_KEYS && !times.contains_key(&id) {
            make_room(&mut times, now);
        }
        let arrival = times.entry(id).or_insert(now);
        let (decision, next) = gcra(*arrival, now, quota);
        *arrival = next;
        decision
    }
}

/// Drops the keys whose quota is full again, and then those nearest to it until half is left: who used most is
/// remembered longest, so that nobody gets a fresh quota by a flood of new keys. Half a shard of keys has to come
/// before this is done again, which pays for looking at all of them.
fn make_room(times: &mut HashMap<u128, u64>, now: u64) {
    times.retain(|_, arrival| *arrival > now);
    if times.len() <= SHARD_KEYS / 2 {
        return;
    }
    let mut arrivals: Vec<u64> = times.values().copied().collect();
    let (_, last_dropped, _) = arrivals.select_nth_unstable(times.len() - SHARD_KEYS / 2 - 1);
    times.retain(|_, arrival| *arrival > *last_dropped);
}

/// One step: the decision, and the arrival time to remember.
fn gcra(arrival: u64, now: u64, quota: Quota) -> (Decision, u64) {
    let interval = quota.interval_ns();
    let burst = interval.saturating_mul(u64::from(quota.burst.max(1)));
    let arrival = arrival.max(now);
    let next = arrival.saturating_add(interval);
    let earliest = next.saturating_sub(burst);
    let decision = |allowed, until: u64, retry_after| Decision {
        allowed,
        remaining: u32::try_from(burst.saturating_sub(until - now) / interval).unwrap_or(u32::MAX),
        reset: Duration::from_nanos(until - now),
        retry_after: Duration::from_nanos(retry_after),
    };
    if earliest > now {
        return (decision(false, arrival, earliest - now), arrival);
    }
    (decision(true, next, 0), next)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_passes_then_one_an_interval() {
        let (local, quota) = (Local::default(), Quota::new("test", 5, 10));
        let ask = |at| local.check_at("key", quota, at);
        let burst: Vec<_> = (0..6).map(|_| ask(SECOND)).collect();
        assert_eq!(
            burst.iter().map(|d| d.allowed).collect::<Vec<_>>(),
            [true, true, true, true, true, false]
        );
        assert_eq!(burst.iter().map(|d| d.remaining).collect::<Vec<_>>(), [4, 3, 2, 1, 0, 0]);
        assert_eq!(burst[5].retry_after, Duration::from_secs(2));
        assert_eq!(burst[4].reset, Duration::from_secs(10));
        assert!(!ask(3 * SECOND - 1).allowed);
        assert!(ask(3 * SECOND).allowed);
        assert!(!ask(3 * SECOND).allowed);
    }

    #[test]
    fn keys_and_quotas_do_not_touch_each_other() {
        let (local, one, other) = (Local::default(), Quota::new("one", 1, 60), Quota::new("other", 1, 60));
        assert!(local.check_at("a", one, 1).allowed);
        assert!(!local.check_at("a", one, 1).allowed);
        assert!(local.check_at("b", one, 1).allowed);
        assert!(local.check_at("a", other, 1).allowed);
    }

    #[test]
    fn a_flood_of_new_keys_gives_nobody_a_fresh_quota() {
        let (local, quota) = (Local::default(), Quota::new("test", 5, 10));
        let spent = (0..6).map(|_| local.check_at("spent", quota, SECOND)).last().unwrap();
        assert!(!spent.allowed);
        for key in 0..(SHARDS * SHARD_KEYS * 3) {
            assert!(local.check_at(&key.to_string(), quota, SECOND).allowed);
        }
        assert!(!local.check_at("spent", quota, SECOND).allowed);
        assert!(local.check_at("spent", quota, 3 * SECOND).allowed);
    }

    #[test]
    fn room_is_made_by_those_who_used_least() {
        let mut times = (0..SHARD_KEYS).map(|key| (key as u128, SECOND + key as u64)).collect();
        make_room(&mut times, 0);
        let mut left: Vec<u64> = times.values().map(|arrival| arrival - SECOND).collect();
        left.sort_unstable();
        assert_eq!(left, (SHARD_KEYS as u64 / 2..SHARD_KEYS as u64).collect::<Vec<_>>());
        // Full quotas go first, and where that is enough nothing else does.
        make_room(&mut times, SECOND + SHARD_KEYS as u64 - 11);
        assert_eq!(times.len(), 10);
    }

    #[test]
    fn memory_is_bounded() {
        let (local, quota) = (Local::default(), Quota::new("test", 1, 3600));
        for key in 0..(SHARDS * SHARD_KEYS * 2) {
            local.check_at(&key.to_string(), quota, 1);
        }
        let kept: usize = local.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(kept <= SHARDS * SHARD_KEYS, "{kept}");
    }
}
