//! A real Asterisk for the tests and the demo, fetched and started without root.
