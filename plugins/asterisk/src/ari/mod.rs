//! The REST interface: requests, and the application's WebSocket.

pub mod event;
pub mod rest;
pub mod socket;

use crate::config::AriConfig;
use crate::error::{Place, StartError};
use crate::tls;

/// Where the REST interface is, read from the configuration.
#[derive(Clone)]
pub(crate) struct Address {
    /// `http://host:8088/ari/`, with a slash at the end.
    pub(crate) base: reqwest::Url,
    /// Host without brackets, and port.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The value of the `Authorization` header.
    pub(crate) authorization: String,
    pub(crate) tls: Option<tls::Client>,
    /// The name in the certificate, where it is not the host.
    pub(crate) server_name: Option<String>,
}

impl Address {
    pub(crate) fn new(config: &AriConfig) -> Result<Self, StartError> {
        use base64::Engine;
        let place = Place::Ari;
        let fault = |why: &str| StartError::Address { place, why: why.into() };
        let text = config.url.trim_end_matches('/');
        let text = text.strip_suffix("/ari").unwrap_or(text);
        let base = reqwest::Url::parse(&format!("{text}/ari/")).map_err(|e| fault(&e.to_string()))?;
        let host = base.host_str().ok_or_else(|| fault("no host in it"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = base.port_or_known_default().ok_or_else(|| fault("no port in it"))?;
        let tls = match (base.scheme(), &config.tls) {
            ("http", None) => None,
            ("https", Some(tls)) => Some(tls::Client::new(place, &host, tls)?),
            ("http", Some(_)) => return Err(fault("`tls` is set, but the url is http")),
            ("https", None) => return Err(fault("the url is https, but `tls` is not set")),
            _ => return Err(fault("neither http nor https")),
        };
        let pair = format!("{}:{}", config.user, config.password.expose());
        let authorization = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
        let server_name = config.tls.as_ref().and_then(|tls| tls.server_name.clone());
        Ok(Self { base, host, port, authorization, tls, server_name })
    }
}
