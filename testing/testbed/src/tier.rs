//! How much a run tests: `SHOP_TEST_TIER=full` takes everything, otherwise the slow is left out or done less often. What is
//! left out is never silent: it goes into the file `SHOP_TEST_LEFT_OUT`, which `cargo xtask ci` shows at its end, or else to
//! the terminal.

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
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    let Ok(file) = var("SHOP_TEST_LEFT_OUT") else {
        // A test that passes is shown nothing of, but for what goes past the print macros. A closed stderr is no reason
        // to fail.
        let line = format!("left out: {test}: {what} (full tier: SHOP_TEST_TIER=full)\n");
        let _unheard = std::io::stderr().write_all(line.as_bytes());
        return;
    };
    let written = File::options().create(true).append(true).open(&file);
    let written = written.and_then(|mut file| file.write_all(format!("{test}: {what}\n").as_bytes()));
    written.unwrap_or_else(|error| panic!("{file}: {error}"));
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Set for the run that leaves something out, so that no other run lists it.
    const HERE: &str = "SHOP_TEST_LEAVES_OUT";

    #[test]
    fn leaves_something_out() {
        if var(HERE).is_ok() {
            left_out("1,000 tries");
        }
    }

    #[test]
    fn what_is_left_out_is_told_where_no_file_is_named() {
        let run = |file: Option<&std::path::Path>| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "tier::tests::leaves_something_out"]);
            command.env(HERE, "1").env_remove("SHOP_TEST_LEFT_OUT");
            command.envs(file.map(|file| ("SHOP_TEST_LEFT_OUT", file)));
            let output = command.output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stderr).unwrap()
        };
        let said = "tier::tests::leaves_something_out: 1,000 tries";
        assert_eq!(run(None), format!("left out: {said} (full tier: SHOP_TEST_TIER=full)\n"));
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(run(Some(file.path())), "");
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), format!("{said}\n"));
    }
}
