//! The `temoin` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    temoin::cli::main()
}
