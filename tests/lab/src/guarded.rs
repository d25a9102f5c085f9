//! A child process that does not outlive this one, however it ends.

use std::process::{Child, Command, ExitStatus, Stdio};

use crate::error::{Doing, LabError};

/// A child and the watchdog beside it, which kills it when the pipe to this process closes.
#[derive(Debug)]
pub(crate) struct Guarded {
    child: Child,
    watchdog: Child,
}

impl Guarded {
    pub(crate) fn start(command: &mut Command) -> Result<Self, LabError> {
        let mut child =
            command.spawn().doing(|| format!("starting {}", command.get_program().to_string_lossy()))?;
        let watchdog = Command::new("sh")
            .args(["-c", "read -r _; kill -9 \"$0\"", &child.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .doing(|| "starting the watchdog".to_owned());
        match watchdog {
            Ok(watchdog) => Ok(Self { child, watchdog }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, once it has.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // The watchdog first: while the child is not waited for, its id cannot be anybody else's.
        for child in [&mut self.watchdog, &mut self.child] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
