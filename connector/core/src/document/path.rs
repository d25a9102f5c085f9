//! Where a value stands in a file, as reports write it.

use std::fmt;
use std::ops::Div;
use std::sync::Arc;

/// Where a value stands: `lines.sales.markets[0]`. Built with `/`: `path / "markets" / 0`.
#[derive(Clone, Default)]
pub(crate) struct Path(Vec<Step>);

#[derive(Clone)]
pub(super) enum Step {
    Key(Arc<str>),
    Index(usize),
}

impl Path {
    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The path of a key of the whole file.
    pub(crate) fn of(key: &str) -> Self {
        Self::default() / key
    }
}

impl Div<&str> for Path {
    type Output = Self;
    fn div(mut self, key: &str) -> Self {
        self.0.push(Step::Key(key.into()));
        self
    }
}

impl Div<usize> for Path {
    type Output = Self;
    fn div(mut self, index: usize) -> Self {
        self.0.push(Step::Index(index));
        self
    }
}

impl Div<&str> for &Path {
    type Output = Path;
    fn div(self, key: &str) -> Path {
        self.clone() / key
    }
}

impl Div<usize> for &Path {
    type Output = Path;
    fn div(self, index: usize) -> Path {
        self.clone() / index
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    let quoted = key.is_empty()
                        || key.chars().any(|c| c.is_whitespace() || c.is_control() || ".[]\"'=#".contains(c));
                    if quoted { write!(f, "{key:?}")? } else { f.write_str(key)? }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_as_keys_are() {
        let path = Path::of("lines") / "sales" / "markets" / 2;
        assert_eq!(path.to_string(), "lines.sales.markets[2]");
        assert_eq!((Path::of("agents") / "a.b\n" / "notice").to_string(), "agents.\"a.b\\n\".notice");
    }
}
