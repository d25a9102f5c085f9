//! The AMI decoder and the ARI parser on any bytes: no panic, nothing lost, nothing invented, whatever the pieces.

mod support;

use bytes::BytesMut;
use proptest::prelude::*;
use support::files;
use temoin_asterisk::ami::frame::{
    Action, AmiCodec, Frame, FrameError, MAX_BYTES, MAX_HEADERS, Message, decode_all, timestamp,
};
use temoin_asterisk::translate::{ami, ari};
use tokio_util::codec::Decoder;

/// What the fuzz targets run, too.
fn any_bytes(bytes: &[u8], piece: usize) {
    // Whatever the pieces, the signs are the same.
    let signs = ami::read_bytes(bytes, piece);
    assert_eq!(signs, ami::read_bytes(bytes, 1));
    let _ = ari::read_bytes(bytes);
}

#[test]
fn split_at_every_byte() {
    for (name, bytes) in files("wire", "raw") {
        let (whole, error) = decode_all(&bytes, usize::MAX);
        assert!(error.is_none() && !whole.is_empty(), "{name}");
        assert_eq!(decode_all(&bytes, 1).0, whole, "{name}, byte by byte");
        // At every byte of the beginning, in two pieces.
        let head = &bytes[..bytes.len().min(1500)];
        let (frames, _) = decode_all(head, usize::MAX);
        for at in 1..head.len() {
            let mut codec = AmiCodec::default();
            let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
            for piece in [&head[..at], &head[at..]] {
                buffer.extend_from_slice(piece);
                while let Some(frame) = codec.decode(&mut buffer).unwrap() {
                    found.push(frame);
                }
            }
            assert_eq!(found, frames, "{name}, cut at {at}");
        }
    }
}

#[test]
fn banner_empty_packets_and_repeated_keys() {
    let bytes =
        b"Asterisk Call Manager/11.0.0\r\n\r\n\r\nEvent: A\r\nChanVariable: X=1\r\nChanVariable: Y=a: b\r\n\
        no colon\r\nEmpty: \r\nTight:1\r\n\r\n\r\n\nEvent: B\n\nEvent: cut";
    let (frames, error) = decode_all(bytes, usize::MAX);
    assert!(error.is_none());
    let [Frame::Banner(banner), Frame::Message(a), Frame::Message(b)] = frames.as_slice() else {
        panic!("{frames:?}");
    };
    assert_eq!(banner, "Asterisk Call Manager/11.0.0");
    assert_eq!(a.all("chanvariable").collect::<Vec<_>>(), ["X=1", "Y=a: b"]);
    assert_eq!(a.variable("", "Y"), Some("a: b"));
    assert_eq!((a.first(""), a.first("Empty"), a.first("Tight")), (Some("no colon"), Some(""), Some("1")));
    assert_eq!(b.headers, [("Event".to_owned(), "B".to_owned())]);
}

#[test]
fn command_output_is_kept_line_by_line() {
    let (_, bytes) = files("wire", "raw").into_iter().find(|(name, _)| name == "ami-command-long").unwrap();
    let lines = |message: &Message| message.all("Output").count();
    let counts: Vec<usize> = support::messages(&bytes).iter().map(lines).collect();
    assert_eq!(counts, [0, 153, 1, 13]);
}

#[test]
fn too_long_and_too_many_end_the_connection() {
    let line = b"Key: value\r\n".repeat(MAX_HEADERS);
    assert!(decode_all(&line, usize::MAX).1.is_none());
    let line = b"Key: value\r\n".repeat(MAX_HEADERS + 1);
    assert!(matches!(decode_all(&line, usize::MAX).1, Some(FrameError::TooManyHeaders)));
    for huge in [vec![b'x'; MAX_BYTES + 1], [b"Key: ", vec![b'x'; MAX_BYTES].as_slice(), b"\r\n"].concat()] {
        assert!(matches!(decode_all(&huge, 4096).1, Some(FrameError::TooLong)));
    }
    // Many long messages are no long message.
    let message = [b"Key: ".as_slice(), &vec![b'x'; MAX_BYTES / 2], b"\r\n\r\n"].concat();
    assert_eq!(decode_all(&message.repeat(3), 4096).0.len(), 3);
}

#[test]
fn bytes_that_are_no_utf8_are_kept_lossily() {
    let (frames, _) = decode_all(b"CallerIDName: \xff\xfeJos\xe9\r\n\r\n", usize::MAX);
    let Frame::Message(message) = &frames[0] else { panic!() };
    assert_eq!(message.first("CallerIDName"), Some("\u{fffd}\u{fffd}Jos\u{fffd}"));
}

#[test]
fn a_line_end_in_a_value_is_refused() {
    let action = Action::new("Login").with("Username", "a").with("Secret", "b\r\nAction: Command");
    assert!(matches!(action.encode(1), Err(FrameError::LineEnd("Secret"))));
    assert!(Action::new("Ping").with("X", "a\nb").encode(1).is_err());
    let sent = Action::new("Ping").with("X", "é: 1").encode(7).unwrap();
    assert_eq!(sent, "Action: Ping\r\nActionID: 7\r\nX: é: 1\r\n\r\n".as_bytes());
}

#[test]
fn timestamps_to_the_microsecond() {
    assert_eq!(timestamp("1795282732.796304").unwrap().as_microsecond(), 1_795_282_732_796_304);
    assert_eq!(timestamp("1795282732.7").unwrap().as_microsecond(), 1_795_282_732_700_000);
    assert_eq!(timestamp("1795282732").unwrap().as_second(), 1_795_282_732);
    for wrong in ["", ".", "x.1", "1.x", "1.1234567890", "99999999999999999999", "1.-5"] {
        assert_eq!(timestamp(wrong), None, "{wrong}");
    }
}

/// The PBX's own fields come first; what a dialplan adds cannot pass for them.
#[test]
fn the_first_of_repeated_keys_is_believed() {
    let message = Message {
        headers: [("Event", "UserEvent"), ("Uniqueid", "1.1"), ("Uniqueid", "6.6")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec(),
    };
    assert_eq!(message.first("Uniqueid"), Some("1.1"));
}

proptest! {
    #[test]
    fn no_panic_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2000), piece in 1usize..64) {
        any_bytes(&bytes, piece);
    }

    /// Lines of the right shape, and then damaged: cut, doubled, filled with garbage.
    #[test]
    fn no_panic_on_damaged_transcripts(
        which in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
        length in 0usize..3000,
        garbage in proptest::collection::vec(any::<u8>(), 0..20),
        piece in 1usize..512,
    ) {
        let all: Vec<_> = files("wire", "raw").into_iter().chain(files("wire", "jsonl")).collect();
        let (_, bytes) = which.get(&all);
        let from = from.index(bytes.len());
        let piece_of = &bytes[from..bytes.len().min(from + length)];
        any_bytes(&[piece_of, garbage.as_slice(), piece_of].concat(), piece);
        for line in piece_of.split(|byte| *byte == b'\n') {
            any_bytes(line, piece);
        }
    }

    /// What is written as AMI is read as it was written, whatever the pieces.
    #[test]
    fn what_is_written_is_read(
        headers in proptest::collection::vec(("[A-Za-z]{1,12}", "[^\r\n\0]{0,40}"), 1..30),
        piece in 1usize..100,
    ) {
        let wire: String = headers.iter().map(|(key, value)| format!("{key}: {value}\r\n")).collect();
        let (frames, error) = decode_all(format!("{wire}\r\n").as_bytes(), piece);
        prop_assert!(error.is_none());
        prop_assert_eq!(frames, vec![Frame::Message(Message { headers })]);
    }
}
