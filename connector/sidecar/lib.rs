//! What is done: the sources of the `temoin` program.
