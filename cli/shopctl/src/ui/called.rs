//! How this program was called, so that the commands it tells its reader to type work as they stand. Must not print.
use std::path::Path;
use std::sync::LazyLock;

/// `shopctl` where that is a command of its own; `cargo shopctl` where cargo has built and runs it.
pub(crate) fn program() -> &'static str {
    static PROGRAM: LazyLock<&str> = LazyLock::new(|| {
        let by_cargo = std::env::var_os("CARGO").is_some();
        let me = std::env::current_exe().unwrap_or_default();
        if by_cargo || is_built_here(&me) { "cargo shopctl" } else { "shopctl" }
    });
    &PROGRAM
}

fn is_built_here(program: &Path) -> bool {
    program.ancestors().skip(1).any(|folder| folder.ends_with("target"))
}

/// `text` with the commands it names as they are typed here. Engines and errors name them in one form only.
pub(crate) fn as_typed(text: &str) -> String {
    text.replace("`shopctl ", &format!("`{} ", program()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_named_as_they_are_typed() {
        assert!(is_built_here(Path::new("/w/target/debug/shopctl")));
        assert!(!is_built_here(Path::new("/usr/bin/shopctl")));
        // Tests are built by cargo.
        assert_eq!(as_typed("run `shopctl dev up`"), "run `cargo shopctl dev up`");
        assert_eq!(as_typed(&as_typed("run `shopctl dev up`")), "run `cargo shopctl dev up`");
    }
}
