//! A call's sound: one task with one socket, which sends a packet every 20 ms and hears what comes.
//!
//! All sound of a process has a thread of its own, which does nothing else. A thread that sleeps most of the time is woken
//! at once even on a busy machine; beside other tasks a packet would wait for theirs, and a PBX that mixes two voices
//! throws away what comes 100 ms later than the other.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::ear::Ear;
use crate::mouth::Mouth;
use crate::rtp::FRAME;

/// The sound of one call; it stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Media {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Media {
    /// Opens a socket on a free even port and begins to listen; what is said goes nowhere until the mouth is aimed.
    pub(crate) fn open(ip: IpAddr, ear: Arc<Ear>, mouth: Arc<Mouth>) -> io::Result<Self> {
        let (socket, rtcp) = pair(ip)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let sender = socket.try_clone()?;
        let thread = thread_of_sound()?;
        let _entered = thread.enter();
        let receiver = tokio::net::UdpSocket::from_std(socket)?;
        let task = thread.spawn(run(sender, receiver, rtcp, ear, mouth));
        Ok(Self { address, task })
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The thread of all sound, started when it is first asked for; it ends with the process.
fn thread_of_sound() -> io::Result<Handle> {
    static THREAD: Mutex<Option<Handle>> = Mutex::new(None);
    let mut thread = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*thread {
        return Ok(handle.clone());
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = thread.insert(runtime.handle().clone()).clone();
    thread::Builder::new()
        .name("sound".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}

/// An even port and the odd one above it. The odd one is held, not read: what a PBX sends there as RTCP must not reach
/// a socket of another call.
fn pair(ip: IpAddr) -> io::Result<(UdpSocket, UdpSocket)> {
    let mut refused = Vec::new();
    for _ in 0..200 {
        let socket = UdpSocket::bind((ip, 0))?;
        let port = socket.local_addr()?.port();
        if port % 2 == 0
            && let Ok(above) = UdpSocket::bind((ip, port + 1))
        {
            return Ok((socket, above));
        }
        refused.push(socket);
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free pair of ports"))
}

async fn run(
    sender: UdpSocket,
    receiver: tokio::net::UdpSocket,
    _rtcp: UdpSocket,
    ear: Arc<Ear>,
    mouth: Arc<Mouth>,
) {
    let mut ticks = interval(Duration::from_millis(20));
    // late packets are sent at once: over a call there are as many as its time holds
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut out = [0; 12 + FRAME];
    let mut datagram = [0; 2048];
    loop {
        tokio::select! {
            due = ticks.tick() => {
                mouth.late(due.elapsed());
                let Some(outgoing) = mouth.next(&mut out) else { continue };
                // a full buffer or a closed port is a lost packet, as on any network
                sender.send_to(&out[..outgoing.length], outgoing.to).ok();
                if let Some(done) = outgoing.done {
                    done.send(Instant::now()).ok();
                }
            }
            received = receiver.recv_from(&mut datagram) => {
                let Ok((length, from)) = received else { continue };
                let aim = mouth.aim();
                if aim.peer.is_none_or(|peer| peer == from) {
                    ear.hear(Instant::now(), &datagram[..length], aim.keys_in);
                } else {
                    ear.stray();
                }
            }
        }
    }
}
