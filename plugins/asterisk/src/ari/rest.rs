//! REST requests: one at a time or not is the caller's business; here each has a deadline, and `Unsent` and `Unknown`
//! are told apart.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, Method, redirect};
use serde_json::Value;
use tokio::net::lookup_host;
use tokio::time::{Instant, timeout_at};

use super::Address;
use crate::ami::connection::ActionError;
use crate::error::{Place, StartError};
use crate::tls;

/// The largest answer we read, in bytes.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// Sends requests.
#[derive(Clone)]
pub(crate) struct Rest {
    http: Client,
    base: reqwest::Url,
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The JSON, or null where there is none.
    pub(crate) body: Value,
}

impl Answer {
    /// Asterisk's own words for a refusal.
    pub(crate) fn message(&self) -> String {
        let text = self.body.get("message").and_then(Value::as_str).unwrap_or("no message");
        format!("{} {text}", self.status)
    }
}

/// Whatever name is in the url, this is the host: the url carries the name in the certificate.
struct Always(String);

impl Resolve for Always {
    fn resolve(&self, _name: Name) -> Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = lookup_host((host, 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

impl Rest {
    pub(crate) fn new(address: &Address) -> Result<Self, StartError> {
        let fault = |why: String| StartError::Address { place: Place::Ari, why };
        let mut authorization =
            HeaderValue::from_str(&address.authorization).map_err(|e| fault(e.to_string()))?;
        authorization.set_sensitive(true);
        let mut base = address.base.clone();
        let mut builder = Client::builder();
        if let Some(name) = &address.server_name {
            base.set_host(Some(name)).map_err(|e| fault(e.to_string()))?;
            builder = builder.dns_resolver(Arc::new(Always(address.host.clone())));
        }
        let http = builder
            .no_proxy()
            .http1_only()
            .redirect(redirect::Policy::none())
            .tcp_nodelay(true)
            .pool_idle_timeout(Duration::from_secs(10))
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, authorization)]))
            .tls_backend_preconfigured(address.tls.as_ref().map_or_else(tls::nobody, tls::Client::config))
            .build()
            .map_err(|e| fault(e.to_string()))?;
        Ok(Self { http, base })
    }

    /// Asks; `path` in pieces, which are escaped.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        deadline: Instant,
    ) -> Result<Answer, ActionError> {
        let mut url = self.base.clone();
        if let Ok(mut pieces) = url.path_segments_mut() {
            pieces.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        if Instant::now() >= deadline {
            return Err(ActionError::Unsent);
        }
        let asking = async {
            let mut response = self.http.request(method, url).send().await?;
            let status = response.status().as_u16();
            let mut body = Vec::new();
            while let Some(piece) = response.chunk().await? {
                if body.len() + piece.len() <= MAX_BODY {
                    body.extend_from_slice(&piece);
                }
            }
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            Ok::<_, reqwest::Error>(Answer { status, body })
        };
        match timeout_at(deadline, asking).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if error.is_connect() || error.is_builder() => Err(ActionError::Unsent),
            Ok(Err(_)) | Err(_) => Err(ActionError::Unknown),
        }
    }
}
