//! The commands of those who write policies, packs and cases, as they meet them: the real binary and files on disk.

#[path = "compiler/cases.rs"]
mod cases;
#[path = "compiler/check.rs"]
mod check;
#[path = "compiler/desk.rs"]
mod desk;
#[path = "compiler/dialplan.rs"]
mod dialplan;
#[path = "compiler/five.rs"]
mod five;
#[path = "compiler/packs.rs"]
mod packs;
