//! Questions and answers. A bad answer is told why it is one, and asked again; an empty one takes what is offered.

use std::io::{BufRead, Write};

use super::InitError;
use super::answers::Bad;

/// Somebody who is asked.
pub struct Dialogue<'d> {
    /// What is answered.
    pub input: &'d mut dyn BufRead,
    /// Where questions go.
    pub output: &'d mut dyn Write,
}

impl Dialogue<'_> {
    /// Asks until the answer is good.
    ///
    /// # Errors
    /// Nobody answers any more, or the questions cannot be written.
    pub fn ask<T>(
        &mut self,
        question: &str,
        offered: &str,
        good: impl Fn(&str) -> Result<T, Bad>,
    ) -> Result<T, InitError> {
        loop {
            let offer = if offered.is_empty() { String::new() } else { format!(" [{offered}]") };
            write!(self.output, "{question}{offer}: ").and_then(|()| self.output.flush())?;
            let mut line = Vec::new();
            if self.input.read_until(b'\n', &mut line)? == 0 {
                writeln!(self.output)?;
                return Err(InitError::Ended);
            }
            let line = String::from_utf8_lossy(&line);
            let answer = match line.trim() {
                "" => offered,
                answer => answer,
            };
            match good(answer) {
                Ok(answer) => return Ok(answer),
                Err(reason) => writeln!(self.output, "  {reason}")?,
            }
        }
    }
}
