//! Any bytes as an AMI connection: no panic, and the same signs whatever the pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use temoin_asterisk::translate::ami::read_bytes;

fuzz_target!(|bytes: &[u8]| {
    let piece = bytes.first().map_or(1, |first| usize::from(*first) + 1);
    assert_eq!(read_bytes(bytes, piece), read_bytes(bytes, usize::MAX));
});
