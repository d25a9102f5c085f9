//! The fault proxy: what it does to a line of text between two programs.

use std::io;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use temoin_lab::{Direction, FaultProxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(60);

/// A proxy in front of a listener, and one connection through it: the client's end and the server's.
async fn through() -> (FaultProxy, TcpListener, TcpStream, TcpStream) {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = FaultProxy::start(server.local_addr().unwrap()).await.unwrap();
    let client = TcpStream::connect(proxy.addr()).await.unwrap();
    let (accepted, _) = timeout(LIMIT, server.accept()).await.unwrap().unwrap();
    (proxy, server, client, accepted)
}

async fn read(stream: &mut TcpStream, length: usize) -> String {
    let mut bytes = vec![0; length];
    timeout(LIMIT, stream.read_exact(&mut bytes)).await.expect("bytes within the limit").unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Whether nothing arrives for a while that is long against loopback.
async fn silent(stream: &mut TcpStream) -> bool {
    timeout(Duration::from_millis(200), stream.read_u8()).await.is_err()
}

#[tokio::test]
async fn forwards_both_ways_and_passes_on_the_end() {
    let (proxy, _server, mut client, mut server) = through().await;
    client.write_all(b"ping").await.unwrap();
    assert_eq!(read(&mut server, 4).await, "ping");
    server.write_all(b"pong").await.unwrap();
    assert_eq!(read(&mut client, 4).await, "pong");
    assert_eq!(proxy.connections(), 1);
    drop(client);
    assert_eq!(timeout(LIMIT, server.read(&mut [0; 8])).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn delays_one_direction_and_keeps_the_order() {
    let (proxy, _server, mut client, mut server) = through().await;
    proxy.delay(Direction::ToClient, Duration::from_secs(4));
    let asked = Instant::now();
    client.write_all(b"now").await.unwrap();
    read(&mut server, 3).await;
    assert!(asked.elapsed() < Duration::from_secs(4), "the other direction is not delayed");
    server.write_all(b"late ").await.unwrap();
    assert!(silent(&mut client).await);
    proxy.heal();
    server.write_all(b"later").await.unwrap();
    assert_eq!(read(&mut client, 10).await, "late later");
    assert!(asked.elapsed() >= Duration::from_secs(4));
}

#[tokio::test]
async fn swallows_half_open_without_anybody_noticing() {
    let (proxy, _server, mut client, mut server) = through().await;
    proxy.swallow(Direction::ToTarget, true);
    client.write_all(b"lost").await.unwrap();
    assert!(silent(&mut server).await);
    server.write_all(b"heard").await.unwrap();
    assert_eq!(read(&mut client, 5).await, "heard");
    drop(client);
    assert!(silent(&mut server).await, "not even the end of the connection gets through");
    proxy.swallow(Direction::ToTarget, false);
    assert_eq!(timeout(LIMIT, server.read(&mut [0; 8])).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn splits_every_few_bytes() {
    let (proxy, _server, mut client, mut server) = through().await;
    proxy.split(NonZeroUsize::new(3));
    client.write_all(b"Response: Success\r\n\r\n").await.unwrap();
    let mut pieces: Vec<String> = Vec::new();
    let mut buffer = [0; 64];
    while pieces.concat().len() < 21 {
        let length = timeout(LIMIT, server.read(&mut buffer)).await.unwrap().unwrap();
        pieces.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
    }
    assert_eq!(pieces.concat(), "Response: Success\r\n\r\n");
    assert!(pieces.len() > 2, "{pieces:?}");
}

#[tokio::test]
async fn resets_both_sides_and_takes_new_connections() {
    let (proxy, listener, mut client, mut server) = through().await;
    proxy.cut();
    for side in [&mut client, &mut server] {
        let end = timeout(LIMIT, side.read(&mut [0; 8])).await.expect("an end within the limit");
        assert_eq!(end.expect_err("a reset").kind(), io::ErrorKind::ConnectionReset);
    }
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    let (mut server, _) = timeout(LIMIT, listener.accept()).await.unwrap().unwrap();
    client.write_all(b"again").await.unwrap();
    assert_eq!(read(&mut server, 5).await, "again");
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn refuses_new_connections_and_leaves_the_old() {
    let (proxy, listener, mut client, mut server) = through().await;
    proxy.refuse(true);
    let refused = timeout(LIMIT, async {
        // One that meets the port while it closes is reset, or still taken.
        while !matches!(TcpStream::connect(proxy.addr()).await, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
        {
            tokio::task::yield_now().await;
        }
    });
    refused.await.expect("connections are refused");
    client.write_all(b"still").await.unwrap();
    assert_eq!(read(&mut server, 5).await, "still");
    proxy.refuse(false);
    let again = timeout(LIMIT, async {
        loop {
            match TcpStream::connect(proxy.addr()).await {
                Ok(stream) => break stream,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
    again.await.expect("connections are taken again");
    timeout(LIMIT, listener.accept()).await.expect("and forwarded").unwrap();
}

#[tokio::test]
async fn a_target_that_is_not_there_is_an_end_and_not_a_hang() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let proxy = FaultProxy::start(nobody).await.unwrap();
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    let end = timeout(LIMIT, client.read(&mut [0; 8])).await.expect("an end within the limit");
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}
