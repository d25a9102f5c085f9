//! Both links over TLS, through a terminator before the fake: the named authority is believed, nobody else.
//!
//! The certificates in `tests/tls/` were made for this test alone and are good for a hundred years.

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use support::fake::{Fake, State};
use temoin_asterisk::{Asterisk, AsteriskConfig};
use temoin_core::event::PbxEvent;
use temoin_core::ports::PbxDriver;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "tls", name].iter().collect()
}

/// A port that speaks TLS before this one.
async fn terminate(port: u16) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = CertificateDer::pem_file_iter(file("cert.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(file("key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut secure) = acceptor.accept(stream).await else {
                    return;
                };
                let mut plain = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut secure, &mut plain).await;
            });
        }
    });
    own
}

fn config(ami: u16, ari: u16, ca: &str, name: &str) -> AsteriskConfig {
    let tls = format!(r#"{{ ca = "{}", server_name = "{name}" }}"#, file(ca).display());
    toml::from_str(&format!(
        r#"
        spool = "/var/spool/temoin"
        deadlines = {{ connect = "700ms" }}
        ami = {{ user = "temoin", secret = "hush", port = {ami}, tls = {tls} }}
        ari = {{ url = "https://127.0.0.1:{ari}", user = "temoin", password = "hush", tls = {tls} }}
        "#
    ))
    .unwrap()
}

#[tokio::test]
async fn both_links_speak_tls_with_the_named_authority() {
    let fake = Fake::start(State::default()).await;
    let (ami, ari) = (terminate(fake.ami_port).await, terminate(fake.ari_port).await);
    let driver = Asterisk::connect(config(ami, ari, "ca.pem", "pbx.example")).await.unwrap();
    let up = timeout(Duration::from_secs(5), driver.events().next()).await.unwrap();
    assert_eq!(up, Some(PbxEvent::LinkUp));
    assert!(driver.calls().await.unwrap().is_empty());
}

#[tokio::test]
async fn another_authority_and_another_name_are_not_believed() {
    let fake = Fake::start(State::default()).await;
    let (ami, ari) = (terminate(fake.ami_port).await, terminate(fake.ari_port).await);
    for (ca, name) in [("other-ca.pem", "pbx.example"), ("ca.pem", "other.example")] {
        let driver = Asterisk::connect(config(ami, ari, ca, name)).await.unwrap();
        let mut events = driver.events();
        assert!(timeout(Duration::from_millis(500), events.next()).await.is_err(), "{ca} {name}");
    }
    assert_eq!(fake.state().log, Vec::<String>::new(), "no word of ours reached it");
}
