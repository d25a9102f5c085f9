//! The sabotage build: `TEMOIN_SABOTAGE=ignore-stop cargo test` builds a program that does one thing wrong, so that a
//! test can show that the tests would notice. Without the variable nothing happens. `tests/sabotage.rs` has the list.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=TEMOIN_SABOTAGE");
    if let Some(sabotage) = std::env::var("TEMOIN_SABOTAGE").ok().filter(|sabotage| !sabotage.is_empty()) {
        println!("cargo::rustc-cfg=temoin_sabotage=\"{sabotage}\"");
        println!("cargo::warning=this build is sabotaged on purpose: {sabotage}");
    }
}
