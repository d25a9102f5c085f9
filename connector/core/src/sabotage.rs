//! The sabotage build: a program that does one thing wrong on purpose, so that a test can show that the tests notice.
//!
//! It exists only where `TEMOIN_SABOTAGE` was set while it was built, with the feature `sabotage` (`build.rs`); in every
//! other build [`is`] is `false` and nothing of it is left. Which thing it does wrong is said by the same variable when it
//! runs, so that one build does for all. `tests/sabotage.rs` has the list.

/// Whether this is the thing to do wrong.
#[cfg(temoin_sabotage)]
pub(crate) fn is(wrong: &str) -> bool {
    static WRONG: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var("TEMOIN_SABOTAGE").ok());
    WRONG.as_deref() == Some(wrong)
}

/// Nothing is wrong.
#[cfg(not(temoin_sabotage))]
pub(crate) const fn is(_wrong: &str) -> bool {
    false
}
