//! How much a run tests: `SHOP_TEST_TIER=full` takes everything, otherwise the slow is left out or done less often. What is
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

/// Notes that something is not tested here, and why.
pub fn left_out(what: &str) {
    let Ok(file) = var("SHOP_TEST_LEFT_OUT") else { return };
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    let written = File::options().create(true).append(true).open(&file);
    let written = written.and_then(|mut file| file.write_all(format!("{test}: {what}\n").as_bytes()));
    written.unwrap_or_else(|error| panic!("{file}: {error}"));
}
