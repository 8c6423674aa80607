//! The `syncline` binary.

/// Documents and JSON are many small allocations on every path, freed by another thread than made them; the system's
/// allocator spent a third of the demo's CPU on them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    syncline_server::cli::run()
}
