//! How much a run tests: `SHOP_TEST_TIER=full` takes everything, otherwise the slow is sampled or left out. What is
//! left out is never silent: it goes into the file `SHOP_TEST_LEFT_OUT`, which `cargo xtask ci` shows at its end.

use std::env::var;
use std::fs::File;
use std::io::Write;

/// Whether everything is tested.
pub fn is_full() -> bool {
    var("SHOP_TEST_TIER").is_ok_and(|tier| tier == "full")
}

/// The number that chance starts from: `SHOP_TEST_SEED`, else 0. `cargo xtask ci` draws one and prints it.
pub fn seed() -> u64 {
    var("SHOP_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0)
}

/// Whether to go on with a test that only the full tier has: `if !tier::full_only("1,000 tries") { return; }`.
#[must_use]
pub fn full_only(what: &str) -> bool {
    if !is_full() {
        left_out(what);
    }
    is_full()
}

/// All of `list` in the full tier, else `count` of them by the seed, in their order.
pub fn sample<T>(what: &str, list: Vec<T>, count: usize) -> Vec<T> {
    if is_full() || list.len() <= count {
        return list;
    }
    left_out(&format!("{what}: {} of {}", list.len() - count, list.len()));
    chosen(list, count, seed())
}

fn chosen<T>(list: Vec<T>, count: usize, seed: u64) -> Vec<T> {
    let mut numbered: Vec<(u64, usize, T)> = list
        .into_iter()
        .enumerate()
        .map(|(place, item)| (mix(seed ^ mix(place as u64)), place, item))
        .collect();
    numbered.sort_by_key(|(lot, place, _)| (*lot, *place));
    numbered.truncate(count);
    numbered.sort_by_key(|(_, place, _)| *place);
    numbered.into_iter().map(|(_, _, item)| item).collect()
}

/// SplitMix64: spreads neighbouring numbers.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Notes that something is not tested here, and why.
pub fn left_out(what: &str) {
    let Ok(file) = var("SHOP_TEST_LEFT_OUT") else { return };
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    let written = File::options().create(true).append(true).open(&file);
    let written = written.and_then(|mut file| file.write_all(format!("{test}: {what}\n").as_bytes()));
    written.unwrap_or_else(|error| panic!("{file}: {error}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_keeps_the_order_follows_the_seed_and_reaches_everything() {
        let list: Vec<u32> = (0..20).collect();
        let one = chosen(list.clone(), 5, 1);
        assert_eq!(one.len(), 5);
        assert!(one.is_sorted());
        assert_eq!(one, chosen(list.clone(), 5, 1));
        assert_ne!(one, chosen(list.clone(), 5, 2));
        let mut reached: Vec<u32> = (0..100).flat_map(|seed| chosen(list.clone(), 5, seed)).collect();
        reached.sort_unstable();
        reached.dedup();
        assert_eq!(reached, list);
    }
}
