//! The `shopctl` executable: hands the process's arguments to the library. Must not hold logic.
use std::process::ExitCode;

fn main() -> ExitCode {
    shopctl::run(std::env::args_os())
}
