//! Fakes of the ports, and ONE conformance suite per port: every sentence of a port's documentation is a case. The
//! fakes run the suites here, every plugin runs them in its own tests.
//!
//! Left out: failures that no fake should offer (a vault that lies); for those a test makes a mock.

pub mod clock;
pub mod pbx;
mod pbx_suite;
pub mod store;
mod store_suite;
pub mod vault;
mod vault_suite;

pub use clock::ManualClock;
pub use pbx::FakePbx;
pub use store::MemoryStore;
pub use vault::MemoryVault;
