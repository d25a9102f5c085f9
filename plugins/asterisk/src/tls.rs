//! TLS for both links: rustls with aws-lc-rs, and only the authority that the configuration names.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::Tls;
use crate::error::{Place, StartError};

/// How to open a TLS session to one host.
#[derive(Clone)]
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Client {
    /// Reads the authority's certificates.
    pub(crate) fn new(place: Place, host: &str, tls: &Tls) -> Result<Self, StartError> {
        let fault = |why: String| StartError::Tls { place, path: tls.ca.clone(), why };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&tls.ca).map_err(|e| fault(e.to_string()))? {
            let certificate = certificate.map_err(|e| fault(e.to_string()))?;
            roots.add(certificate).map_err(|e| fault(e.to_string()))?;
        }
        if roots.is_empty() {
            return Err(fault("no certificate in it".into()));
        }
        let name = tls.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned()).map_err(|e| fault(e.to_string()))?;
        Ok(Self { config: Arc::new(config(roots)), name })
    }

    /// The session's settings, for a client that speaks TLS itself.
    pub(crate) fn config(&self) -> ClientConfig {
        ClientConfig::clone(&self.config)
    }

    /// The handshake.
    pub(crate) async fn wrap(&self, tcp: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        TlsConnector::from(self.config.clone()).connect(self.name.clone(), tcp).await
    }
}

/// Settings that trust nobody: for a client that never speaks TLS, but wants to be told so.
pub(crate) fn nobody() -> ClientConfig {
    config(RootCertStore::empty())
}

fn config(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs has the cipher suites of TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
