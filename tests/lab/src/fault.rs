//! A TCP proxy on loopback that misbehaves on command.
//!
//! Stands between a client and its server. Unasked, it forwards; at run time it can delay either direction, swallow it
//! (the half-open connection of a pulled cable), split it into pieces, reset what is connected, and refuse what would
//! connect. Order within a direction is kept, whatever the delays.
//!
//! Left out: loss and reordering, which TCP does not show to programs.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Pieces of a split stream leave this far apart, so that the reader meets them one by one.
const BETWEEN_PIECES: Duration = Duration::from_millis(1);

const BACKLOG: u32 = 64;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the target.
    ToTarget,
    /// From the target to the client.
    ToClient,
}

/// What is wrong at the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Faults {
    delay: [Duration; 2],
    swallow: [bool; 2],
    split: Option<NonZeroUsize>,
    refuse: bool,
    /// Connections of an earlier era are cut.
    era: u64,
}

/// The proxy; dropping it cuts its connections and frees its port.
#[derive(Debug)]
pub struct FaultProxy {
    addr: SocketAddr,
    faults: watch::Sender<Faults>,
    live: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl FaultProxy {
    /// Listens on a free loopback port and forwards to `target`, which need not be there yet.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into())?.listen(BACKLOG)?;
        let addr = listener.local_addr()?;
        let (faults, seen) = watch::channel(Faults::default());
        let live = Arc::new(AtomicUsize::new(0));
        let accepting = tokio::spawn(accept(listener, addr, target, seen, Arc::clone(&live)));
        Ok(Self { addr, faults, live, accepting })
    }

    /// Where clients connect.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many connections are being forwarded.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.live.load(Ordering::SeqCst)
    }

    /// Delays what is read from now on; zero ends it.
    pub fn delay(&self, direction: Direction, by: Duration) {
        self.faults.send_modify(|faults| faults.delay[direction as usize] = by);
    }

    /// Throws away what is read from now on, the connection staying up; `false` lets later bytes through again.
    pub fn swallow(&self, direction: Direction, swallow: bool) {
        self.faults.send_modify(|faults| faults.swallow[direction as usize] = swallow);
    }

    /// Hands everything on in pieces of at most that many bytes; `None` ends it.
    pub fn split(&self, at_most: Option<NonZeroUsize>) {
        self.faults.send_modify(|faults| faults.split = at_most);
    }

    /// Refuses new connections, as a port does where nobody listens, or takes them again. What is connected stays.
    pub fn refuse(&self, refuse: bool) {
        self.faults.send_modify(|faults| faults.refuse = refuse);
    }

    /// Resets every connection (RST), both sides; bytes under way are lost. New ones are taken.
    pub fn cut(&self) {
        self.faults.send_modify(|faults| faults.era += 1);
    }

    /// Ends delays, swallowing, splitting and refusing.
    pub fn heal(&self) {
        self.faults.send_modify(|faults| *faults = Faults { era: faults.era, ..Faults::default() });
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        // The connections end by themselves when the faults' sender is gone.
        self.accepting.abort();
    }
}

fn bind(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

/// Listens while connections are wanted. While they are refused the port stays bound, so that nobody else gets it.
async fn accept(
    mut listener: TcpListener,
    addr: SocketAddr,
    target: SocketAddr,
    mut faults: watch::Receiver<Faults>,
    live: Arc<AtomicUsize>,
) {
    let of_connections = faults.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => Some(accepted),
            known = refusing(&mut faults, true) => if known { None } else { return },
        };
        match accepted {
            Some(Ok((client, _))) => {
                tokio::spawn(connection(client, target, of_connections.clone(), Alive::one_more(&live)));
            }
            // One that was gone again before it was taken.
            Some(Err(_)) => {}
            None => {
                drop(listener);
                let Ok(socket) = bind(addr) else { return };
                if !refusing(&mut faults, false).await {
                    return;
                }
                let Ok(again) = socket.listen(BACKLOG) else { return };
                listener = again;
            }
        }
    }
}

/// Waits until connections are to be refused, or taken; `false` when the proxy is gone.
async fn refusing(faults: &mut watch::Receiver<Faults>, wanted: bool) -> bool {
    faults.wait_for(|faults| faults.refuse == wanted).await.is_ok()
}

/// Counts a connection for as long as it lives.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn one_more(live: &Arc<AtomicUsize>) -> Self {
        live.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(live))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Forwards until both sides have closed, or it is cut, or the proxy is gone.
async fn connection(
    mut client: TcpStream,
    target: SocketAddr,
    mut faults: watch::Receiver<Faults>,
    _alive: Alive,
) -> io::Result<()> {
    let era = faults.borrow().era;
    let mut server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let now = faults.clone();
    let forwarding = async {
        tokio::join!(
            one_way(Direction::ToTarget, from_client, to_server, now.clone()),
            one_way(Direction::ToClient, from_server, to_client, now.clone()),
        )
    };
    tokio::select! {
        _ = forwarding => return Ok(()),
        _ = faults.wait_for(|faults| faults.era != era) => {}
    }
    client.set_zero_linger()?;
    server.set_zero_linger()
}

/// Reads as fast as it can and hands on when it is due; ends with the stream, closing the other side's.
async fn one_way(
    direction: Direction,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut faults: watch::Receiver<Faults>,
) {
    let (queue, mut due) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let write_faults = faults.clone();
    let read = async move {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let (delay, swallow) = {
                let now = faults.borrow();
                (now.delay[direction as usize], now.swallow[direction as usize])
            };
            if !swallow && queue.send((Instant::now() + delay, buffer[..length].to_vec())).is_err() {
                break;
            }
        }
        // A pulled cable does not tell of the end either.
        let _ = faults.wait_for(|faults| !faults.swallow[direction as usize]).await;
    };
    let write = async move {
        while let Some((when, bytes)) = due.recv().await {
            tokio::time::sleep_until(when).await;
            let split = write_faults.borrow().split;
            let pieces = split.map_or(bytes.len(), NonZeroUsize::get);
            for piece in bytes.chunks(pieces) {
                if to.write_all(piece).await.is_err() {
                    return;
                }
                if split.is_some() {
                    tokio::time::sleep(BETWEEN_PIECES).await;
                }
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}
