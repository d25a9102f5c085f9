//! Stands between Asterisk's ARI and the sidecar, passes on every byte as it comes, and notes when it came.
//!
//! So the sidecar's own share of a call's way through the hook is known: from the moment at which Asterisk's
//! `StasisStart` was here to the moment at which the request for the prompt (or for the release) was. That is the
//! sidecar's time and one hop over the loopback there and back; nothing of Asterisk, of a sound card's raster or of the
//! network is in it. Plain threads with blocking sockets, so that the phones in this process do not delay it; nothing is
//! understood before the calls are over.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A proxy; its threads end with their connections, the one that listens with the process.
#[derive(Debug)]
pub struct Proxy {
    /// Where the sidecar finds it.
    pub address: SocketAddr,
    passed: Passed,
}

/// What the sidecar took for each call, from `StasisStart` on.
#[derive(Debug, Default)]
pub struct Shares {
    /// To the request for the prompt.
    pub to_prompt: Vec<Duration>,
    /// To the request for the release, of calls that had no prompt.
    pub to_release: Vec<Duration>,
}

type Passed = Arc<Mutex<Vec<Piece>>>;

/// What was read in one go.
#[derive(Debug)]
struct Piece {
    at: Instant,
    stream: Stream,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stream {
    FromAsterisk(u32),
    FromSidecar(u32),
}

/// The bytes of one direction of a connection, and when each piece of them came.
#[derive(Debug, Default)]
struct Told {
    bytes: Vec<u8>,
    pieces: Vec<(usize, Instant)>,
}

const ARRIVED: &[u8] = b"\"type\":\"StasisStart\"";
const CHANNEL: &[u8] = b"\"channel\":{\"id\":\"";
const REQUEST: &[u8] = b"POST /ari/channels/";

impl Proxy {
    /// Listens on a free port of the loopback, and connects onward to `ari` for each connection.
    pub fn start(ari: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let passed = Passed::default();
        let to = Arc::clone(&passed);
        thread::Builder::new().name("ari-proxy".into()).spawn(move || {
            for (number, client) in (0..).zip(listener.incoming().flatten()) {
                // A connection that cannot be passed on is closed, as a dead Asterisk would do.
                let _ = pass_on(client, ari, number, &to);
            }
        })?;
        Ok(Self { address, passed })
    }

    /// What the sidecar took for the calls since the last time this was asked. To be asked when no call is up.
    pub fn shares(&self) -> Shares {
        let pieces = std::mem::take(&mut *self.passed.lock().unwrap_or_else(PoisonError::into_inner));
        shares(pieces)
    }
}

fn pass_on(client: TcpStream, ari: SocketAddr, number: u32, passed: &Passed) -> io::Result<()> {
    let server = TcpStream::connect(ari)?;
    for socket in [&client, &server] {
        socket.set_nodelay(true)?;
    }
    let ways = [
        (client.try_clone()?, server.try_clone()?, Stream::FromSidecar(number)),
        (server, client, Stream::FromAsterisk(number)),
    ];
    for (mut from, mut to, stream) in ways {
        let passed = Arc::clone(passed);
        thread::Builder::new().name("ari-proxy".into()).spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                let piece = Piece { at: Instant::now(), stream, bytes: buffer[..length].to_vec() };
                if to.write_all(&buffer[..length]).is_err() {
                    break;
                }
                passed.lock().unwrap_or_else(PoisonError::into_inner).push(piece);
            }
            // The other side is told; whether it is still there does not matter.
            let _ = to.shutdown(std::net::Shutdown::Both);
            let _ = from.shutdown(std::net::Shutdown::Both);
        })?;
    }
    Ok(())
}

fn shares(pieces: Vec<Piece>) -> Shares {
    let mut streams: BTreeMap<Stream, Told> = BTreeMap::new();
    for piece in pieces {
        let told = streams.entry(piece.stream).or_default();
        told.pieces.push((told.bytes.len(), piece.at));
        told.bytes.extend(piece.bytes);
    }
    let mut arrived: BTreeMap<Vec<u8>, Instant> = BTreeMap::new();
    let mut orders: Vec<(Instant, Vec<u8>, Vec<u8>)> = Vec::new();
    for (stream, told) in &streams {
        match stream {
            Stream::FromAsterisk(_) => {
                for at in told.all(ARRIVED) {
                    let Some(id) = told.find(CHANNEL, at).map(|at| at + CHANNEL.len()) else { continue };
                    arrived.entry(told.until(id, b'"')).or_insert(told.when(at));
                }
            }
            Stream::FromSidecar(_) => {
                for at in told.all(REQUEST) {
                    let id = told.until(at + REQUEST.len(), b'/');
                    let verb = told.until(at + REQUEST.len() + id.len() + 1, b' ');
                    orders.push((told.when(at), id, verb));
                }
            }
        }
    }
    orders.sort_by_key(|(at, ..)| *at);
    let mut shares = Shares::default();
    for (at, id, verb) in orders {
        let to = match &verb {
            verb if verb.starts_with(b"play") => &mut shares.to_prompt,
            verb if verb.starts_with(b"continue") => &mut shares.to_release,
            _ => continue,
        };
        // Only the first of both counts.
        if let Some(since) = arrived.remove(&id) {
            to.push(at.saturating_duration_since(since));
        }
    }
    shares
}

impl Told {
    /// Where this begins, every time.
    fn all(&self, what: &[u8]) -> Vec<usize> {
        let mut found = Vec::new();
        while let Some(at) = self.find(what, found.last().map_or(0, |last| last + 1)) {
            found.push(at);
        }
        found
    }

    fn find(&self, what: &[u8], from: usize) -> Option<usize> {
        let rest = self.bytes.get(from..)?;
        rest.windows(what.len()).position(|window| window == what).map(|at| from + at)
    }

    fn until(&self, from: usize, end: u8) -> Vec<u8> {
        let rest = self.bytes.get(from..).unwrap_or_default();
        rest.iter().copied().take_while(|byte| *byte != end).collect()
    }

    /// When this byte came.
    fn when(&self, at: usize) -> Instant {
        let piece = self.pieces.partition_point(|(begin, _)| *begin <= at);
        self.pieces[piece.max(1) - 1].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_runs_from_the_arrival_to_the_first_order_whatever_the_pieces() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let event =
            |id: &str| format!("{{\"type\":\"StasisStart\",\"args\":[],\"channel\":{{\"id\":\"{id}\"}}}}");
        let (first, second) = (event("1.5"), event("1.7"));
        let piece = |ms, stream, text: &str| Piece { at: at(ms), stream, bytes: text.into() };
        let (pbx, one, two) = (Stream::FromAsterisk(0), Stream::FromSidecar(1), Stream::FromSidecar(2));
        let told = shares(vec![
            piece(10, pbx, &first[..30]),
            piece(11, pbx, &first[30..]),
            piece(12, one, "POST /ari/channels/1.5/variable?a=b HTTP/1.1\r\n\r\n"),
            piece(13, one, "POST /ari/channels/1.5/play?media=x HTTP/1.1\r\n\r\n"),
            piece(20, pbx, &second),
            piece(22, two, "POST /ari/channels/1.7/continue HTTP/1.1\r\n\r\n"),
            piece(23, one, "POST /ari/channels/1.5/continue HTTP/1.1\r\n\r\n"),
        ]);
        assert_eq!(told.to_prompt, [Duration::from_millis(3)]);
        assert_eq!(told.to_release, [Duration::from_millis(2)]);
    }
}
