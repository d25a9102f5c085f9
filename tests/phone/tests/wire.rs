//! What a phone says on the wire to a peer that is no phone: old, foreign and broken messages.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use temoin_phone::{Answering, CallOptions, How, Phone, Tone, Until};
use tokio::net::UdpSocket;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(5);

struct Peer {
    socket: UdpSocket,
    phone: SocketAddr,
}

impl Peer {
    async fn of(phone: &Phone) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        Self { socket, phone: phone.address() }
    }

    async fn say(&self, message: &str) {
        self.socket.send_to(message.replace('\n', "\r\n").as_bytes(), self.phone).await.unwrap();
    }

    async fn hear(&self) -> String {
        let mut datagram = vec![0; 65_535];
        let received = timeout(LIMIT, self.socket.recv_from(&mut datagram)).await;
        let (length, _) = received.expect("an answer within the limit").unwrap();
        String::from_utf8_lossy(&datagram[..length]).into_owned()
    }

    /// The status with which a request is answered.
    async fn ask(&self, method: &str, branch: &str, more: &str) -> String {
        self.say(&self.request(method, branch, more, "")).await;
        self.hear().await.lines().next().unwrap_or_default()[8..11].to_owned()
    }

    fn request(&self, method: &str, branch: &str, more: &str, body: &str) -> String {
        let (to, at) = (self.phone, self.socket.local_addr().unwrap());
        let to_header = if more.contains("To:") { String::new() } else { format!("To: <sip:p@{to}>\n") };
        format!(
            "{method} sip:p@{to} SIP/2.0\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{branch}\nFrom: <sip:q@{at}>;tag=q\n\
             {to_header}Call-ID: old@lab\nCSeq: 7 {method}\nContact: <sip:q@{at}>\n{more}Content-Length: {}\n\n{body}",
            body.len() + body.matches('\n').count(),
        )
    }

    fn offer(&self, kinds: &str) -> String {
        let port = self.socket.local_addr().unwrap().port();
        format!(
            "v=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP {kinds}\n"
        )
    }
}

fn header<'a>(message: &'a str, name: &str) -> &'a str {
    message.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim()
}

async fn phone() -> Phone {
    let phone = Phone::bind(Ipv4Addr::LOCALHOST, "p").await.unwrap();
    phone.speak(Tone::new(600));
    phone
}

#[tokio::test]
async fn requests_of_calls_long_over_get_481_and_notify_200() {
    let phone = phone().await;
    let peer = Peer::of(&phone).await;
    let stale = format!("To: <sip:p@{}>;tag=old-1\n", phone.address());
    for (branch, method) in [("1", "BYE"), ("2", "INVITE"), ("3", "INFO"), ("4", "REFER"), ("5", "UPDATE")] {
        assert_eq!(peer.ask(method, branch, &stale).await, "481", "{method}");
    }
    assert_eq!(peer.ask("NOTIFY", "6", &stale).await, "200");
    assert_eq!(peer.ask("NOTIFY", "7", "Event: message-summary\n").await, "200");
    assert_eq!(peer.ask("OPTIONS", "8", "").await, "200");
    assert_eq!(peer.ask("CANCEL", "9", "").await, "481");
    assert_eq!(peer.ask("SUBSCRIBE", "10", "").await, "405");
    assert_eq!(peer.ask("REFER", "11", "").await, "403");
    assert_eq!(peer.ask("INVITE", "12", "Replaces: none@lab;to-tag=1;from-tag=2\n").await, "481");
    assert_eq!(peer.ask("INVITE", "13", "Require: 100rel\n").await, "420");
    assert!(phone.next_call(Duration::from_millis(50)).await.is_err());
}

#[tokio::test]
async fn an_invite_without_an_offer_is_answered_with_one() {
    let phone = phone().await;
    phone.answer_with(Answering::After(Duration::ZERO));
    let peer = Peer::of(&phone).await;
    assert_eq!(peer.ask("INVITE", "1", "").await, "180");
    let ok = peer.hear().await;
    assert!(ok.starts_with("SIP/2.0 200") && ok.contains("RTP/AVP 8 101"), "{ok}");
    let to = format!("To: {}\n", header(&ok, "To:"));
    peer.say(&peer.request("ACK", "2", &to, &peer.offer("8 96\na=rtpmap:96 telephone-event/8000"))).await;
    let call = phone.next_call(LIMIT).await.unwrap();
    call.wait_for(Until::Answered, LIMIT).await.unwrap();
    // RTP arrives at the address that the ACK named: version 2, A-law
    let mut datagram = [0; 512];
    let (length, _) = timeout(LIMIT, peer.socket.recv_from(&mut datagram)).await.unwrap().unwrap();
    assert_eq!((length, datagram[0], datagram[1] & 0x7f), (172, 0x80, 8));
    // what is older than the last request is refused
    let bye = peer.request("BYE", "3", &to, "").replace("CSeq: 7", "CSeq: 6");
    peer.say(&bye).await;
    loop {
        let heard = peer.hear().await;
        if heard.starts_with("SIP/2.0") {
            assert!(heard.starts_with("SIP/2.0 500"), "{heard}");
            break;
        }
    }
    let more = format!("{to}Reason: Q.850;cause=16;text=\"x\"\n");
    peer.say(&peer.request("BYE", "4", &more, "").replace("CSeq: 7", "CSeq: 8")).await;
    let ending = call.ended(LIMIT).await.unwrap();
    assert_eq!((ending.how, ending.cause), (How::Bye, Some(16)));
}

#[tokio::test]
async fn an_offer_without_our_codec_is_refused() {
    let phone = phone().await;
    let peer = Peer::of(&phone).await;
    peer.say(&peer.request("INVITE", "1", "Content-Type: application/sdp\n", &peer.offer("0 18"))).await;
    assert!(peer.hear().await.starts_with("SIP/2.0 488"));
    assert_eq!(phone.next_call(LIMIT).await.unwrap().ending().map(|e| e.how), Some(How::Refused(488)));
}

#[tokio::test]
async fn sound_of_strangers_is_not_heard() {
    let (phone, other) = (phone().await, phone().await);
    other.answer_with(Answering::After(Duration::ZERO));
    let call = phone.call(&other.uri(), CallOptions::default()).await.unwrap();
    call.wait_for(Until::Hears(600), LIMIT).await.unwrap();
    let stranger = Peer::of(&phone).await;
    stranger.socket.send_to(&[0x80; 172], call.rtp_address()).await.unwrap();
    let count = call.ear().all_packets();
    call.wait_for(Until::Packets(count + 10), LIMIT).await.unwrap();
    assert_eq!((call.ear().strays(), call.ear().jumps().len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_datagram_stops_a_phone() {
    let phone = phone().await;
    phone.answer_with(Answering::After(Duration::ZERO));
    let peer = Peer::of(&phone).await;
    let whole = peer.request(
        "INVITE",
        "x",
        "Replaces: a;b\nRefer-To: <sip:x?\nReason: Q.850;\n",
        &peer.offer("8 101"),
    );
    let whole = whole.into_bytes();
    let broken = (0..whole.len(), proptest::collection::vec(any::<u8>(), 0..6), 0..30usize);
    let mut runner = TestRunner::deterministic();
    let mut datagrams: Vec<Vec<u8>> = vec![Vec::new(), b"\r\n\r\n".to_vec(), vec![0xff; 65_000]];
    for _ in 0..300 {
        let (at, damage, cut) = broken.new_tree(&mut runner).unwrap().current();
        let mut bytes = whole.clone();
        bytes.splice(at..(at + cut).min(bytes.len()), damage);
        datagrams.push(bytes);
    }
    for (n, datagram) in datagrams.iter().enumerate() {
        peer.socket.send_to(datagram, phone.address()).await.unwrap();
        // the phone still answers, after each
        peer.say(&peer.request("OPTIONS", &format!("o{n}"), "", "")).await;
        let ours = format!("z9hG4bKo{n}");
        while !peer.hear().await.contains(&ours) {}
    }
}
