//! The application's WebSocket: events in, pings out, silence noticed.
//!
//! Only one socket can hold an application. When another takes it, Asterisk says `ApplicationReplaced` on ours, leaves
//! it open and sends nothing more: that is a lost link, whatever the socket looks like.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::Address;
use crate::ami::connection::{Lost, Timing};

/// The largest event we take, in bytes.
const MAX_EVENT: usize = 1024 * 1024;

/// A TCP or TLS stream.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open socket.
pub(crate) type Socket = WebSocketStream<Box<dyn Stream>>;

/// Why no socket could be opened.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Nobody there, or not now.
    Absent(String),
    /// An HTTP answer instead of a WebSocket.
    Status(u16),
}

/// Opens the application's socket.
pub(crate) async fn connect(address: &Address, app: &str) -> Result<Socket, Refusal> {
    let absent = |e: std::io::Error| Refusal::Absent(e.to_string());
    let tcp = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(absent)?;
    tcp.set_nodelay(true).map_err(absent)?;
    let stream: Box<dyn Stream> = match &address.tls {
        Some(tls) => Box::new(tls.wrap(tcp).await.map_err(absent)?),
        None => Box::new(tcp),
    };
    let mut url = address.base.join("events").map_err(|e| Refusal::Absent(e.to_string()))?;
    url.query_pairs_mut().append_pair("app", app).append_pair("subscribeAll", "false");
    let url = url.as_str().replacen("http", "ws", 1);
    let mut request = url.into_client_request().map_err(|e| Refusal::Absent(e.to_string()))?;
    let authorization =
        HeaderValue::from_str(&address.authorization).map_err(|e| Refusal::Absent(e.to_string()))?;
    request.headers_mut().insert("authorization", authorization);
    let limits = WebSocketConfig::default().max_message_size(Some(MAX_EVENT)).max_frame_size(Some(MAX_EVENT));
    match client_async_with_config(request, stream, Some(limits)).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(Refusal::Status(response.status().as_u16())),
        Err(error) => Err(Refusal::Absent(error.to_string())),
    }
}

/// Hands on events until the link is lost.
pub(crate) async fn run(mut socket: Socket, timing: Timing, mut hear: impl FnMut(Value)) -> Lost {
    let (mut heard, mut since) = (Instant::now(), Timestamp::now());
    let mut ping = Instant::now() + timing.ping;
    let lost = |why: &str, since| Lost { why: why.into(), since };
    loop {
        let message = tokio::select! {
            message = socket.next() => message,
            () = sleep_until(ping.min(heard + timing.idle)) => {
                if Instant::now() >= heard + timing.idle {
                    return lost(&format!("silent for {:?}", timing.idle), since);
                }
                ping = Instant::now() + timing.ping;
                let limit = tokio::time::timeout(Duration::from_secs(1), socket.send(Message::Ping("t".into())));
                match limit.await {
                    Ok(Ok(())) | Err(_) => continue,
                    Ok(Err(error)) => return lost(&error.to_string(), since),
                }
            }
        };
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(error)) => return lost(&error.to_string(), since),
            None => return lost("closed by Asterisk", since),
        };
        // A process that was frozen for so long has not watched, though what it missed waits to be read.
        if Instant::now() >= heard + timing.idle {
            return lost(&format!("silent for {:?}", timing.idle), since);
        }
        (heard, since) = (Instant::now(), Timestamp::now());
        let Message::Text(text) = message else { continue };
        let Ok(event) = serde_json::from_str::<Value>(&text) else {
            tracing::warn!(bytes = text.len(), "an ARI event that is no JSON is passed over");
            continue;
        };
        if event.get("type").and_then(Value::as_str) == Some("ApplicationReplaced") {
            return lost(REPLACED, since);
        }
        hear(event);
    }
}

/// Another program holds our application now.
pub(crate) const REPLACED: &str = "another program has taken over the Stasis application";
