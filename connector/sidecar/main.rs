//! The `temoin` program.
fn main() {}
