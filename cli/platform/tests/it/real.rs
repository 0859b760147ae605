//! The repository's own shop.toml.
use std::path::Path;

use shop_platform::Platform;

#[test]
fn the_real_file_has_no_mistake_and_three_environments() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shop.toml");
    let platform = Platform::load(&path).unwrap_or_else(|error| panic!("{error:#?}"));
    let names: Vec<_> = platform.environments().map(|one| one.environment.to_string()).collect();
    assert_eq!(names, ["dev", "staging", "prod"]);
}
