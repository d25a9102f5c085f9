//! What is right: the law, the call, the orders; no I/O.
