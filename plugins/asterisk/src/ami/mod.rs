//! The manager interface: frames, and one actor per connection.

pub mod connection;
pub mod frame;
