//! Sets `cfg(temoin_sabotage)` where both the feature `sabotage` and the variable `TEMOIN_SABOTAGE` ask for it: a program
//! that can be told to do one thing wrong, for `tests/sabotage.rs`. The feature alone changes nothing; it keeps what is
//! built so apart from everything else.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=TEMOIN_SABOTAGE");
    let wanted = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if wanted("CARGO_FEATURE_SABOTAGE") && wanted("TEMOIN_SABOTAGE") {
        println!("cargo::rustc-cfg=temoin_sabotage");
        println!("cargo::warning=this build can be told to do wrong");
    }
}
