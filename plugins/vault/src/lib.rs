//! Encrypted recordings in an object store.
