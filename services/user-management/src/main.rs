//! The user-management program: everything is in the library.

use std::process::ExitCode;

/// Small and quick on many short-lived allocations; measured in docs/decisions.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    shop_kit::boot::run::<user_management::UserManagement>()
}
