//! Any bytes as an ARI event: no panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use temoin_asterisk::translate::ari::read_bytes;

fuzz_target!(|bytes: &[u8]| {
    let _ = read_bytes(bytes);
});
