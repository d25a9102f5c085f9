//! Addresses in SIP headers (RFC 3261, 20.10 and 25.1): read, and written so that hostile text stays within its place.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// Who stands in a From, To or Contact header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Party {
    /// The display name, unquoted; empty when there is none.
    pub display: String,
    /// The user part of the URI, with its escapes undone; empty when there is none.
    pub user: String,
    /// The whole URI as it was written.
    pub uri: String,
}

impl Party {
    pub(crate) fn parse(value: &str) -> Self {
        let (display, uri, _) = parts(value);
        Self { display, user: unescape(user(uri)), uri: uri.to_owned() }
    }
}

/// The tag parameter of a From or To header.
pub(crate) fn tag(value: &str) -> Option<String> {
    let (_, _, params) = parts(value);
    let mut found = params.split(';').filter_map(|p| p.trim().split_once('='));
    found.find(|(name, _)| name.trim().eq_ignore_ascii_case("tag")).map(|(_, tag)| tag.trim().to_owned())
}

/// The URI in a header's value.
pub(crate) fn uri(value: &str) -> &str {
    parts(value).1
}

/// Where requests to a URI are sent; `None` unless its host is an IP address.
pub(crate) fn destination(uri: &str) -> Option<SocketAddr> {
    let rest = uri.strip_prefix("sip:")?;
    let end = rest.find(['?', '>']).unwrap_or(rest.len());
    // the user part may hold semicolons: look behind the @ first
    let host = rest[..end].rsplit_once('@').map_or(&rest[..end], |(_, host)| host);
    let host = host.split(';').next().unwrap_or_default().trim();
    host.parse().ok().or_else(|| Some(SocketAddr::new(ip(host)?, 5060)))
}

/// A URI without the headers behind its question mark, and those headers unescaped.
pub(crate) fn embedded(uri: &str) -> (&str, Vec<(String, String)>) {
    let Some((uri, headers)) = uri.split_once('?') else {
        return (uri, Vec::new());
    };
    let headers = headers.split('&').filter_map(|h| h.split_once('='));
    (uri, headers.map(|(name, value)| (unescape(name), unescape(value))).collect())
}

/// `"display" <sip:user@host>`, whatever display and user hold.
pub(crate) fn name_addr(display: Option<&str>, user: &str, host: SocketAddr) -> String {
    let uri = format!("<sip:{}@{host}>", escape(user));
    match display {
        Some(display) => format!("{} {uri}", quoted(display)),
        None => uri,
    }
}

/// A quoted string: quotes and backslashes escaped. Controls, which cannot be quoted (a line break would end the
/// header), are written out as `%0D`.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => percent(&mut out, c),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A header's value on one line: controls written out as `%0D`.
pub(crate) fn one_line(text: &str) -> String {
    let mut out = String::new();
    text.chars().for_each(|c| if c.is_control() { percent(&mut out, c) } else { out.push(c) });
    out
}

/// Text as it may stand in a URI: all but unreserved characters escaped.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || "-_.!~*'()&=+$,/".contains(c) {
            out.push(c)
        } else {
            percent(&mut out, c)
        }
    }
    out
}

fn percent(out: &mut String, c: char) {
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        write!(out, "%{byte:02X}").ok();
    }
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped =
            behind.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn user(uri: &str) -> &str {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    rest.rsplit_once('@').map_or("", |(user, _)| user)
}

fn ip(host: &str) -> Option<IpAddr> {
    host.trim_matches(['[', ']']).parse().ok()
}

/// Display name, URI and the header's own parameters.
fn parts(value: &str) -> (String, &str, &str) {
    let value = value.trim();
    let (display, rest) = match value.strip_prefix('"') {
        Some(quoted) => unquote(quoted),
        None => {
            let name = value.split_once('<').map_or("", |(name, _)| name.trim());
            (name.to_owned(), value)
        }
    };
    if let Some((_, behind)) = rest.split_once('<') {
        let (uri, params) = behind.split_once('>').unwrap_or((behind, ""));
        (display, uri.trim(), params)
    } else {
        let (uri, params) = rest.split_once(';').unwrap_or((rest, ""));
        (display, uri.trim(), params)
    }
}

/// The text up to the closing quote, its escapes undone, and what follows it.
fn unquote(text: &str) -> (String, &str) {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (out, &text[at + 1..]),
            '\\' => out.extend(chars.next().map(|(_, c)| c)),
            c => out.push(c),
        }
    }
    (out, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_of_every_shape() {
        let value = r#""O\"Hara; <x>" <sip:%2B33%20a@127.0.0.1:5062;transport=udp?X=1>;x=1;tag=T1"#;
        let party = Party::parse(value);
        assert_eq!((party.display.as_str(), party.user.as_str()), ("O\"Hara; <x>", "+33 a"));
        assert_eq!(tag(value).as_deref(), Some("T1"));
        assert_eq!(destination(&party.uri), Some(([127, 0, 0, 1], 5062).into()));
        assert_eq!((tag("sip:a@b;tag=2"), uri("sip:a@b;tag=2")), (Some("2".into()), "sip:a@b"));
        assert_eq!(Party::parse("Bob <sip:b@c>").display, "Bob");
        assert_eq!(Party::parse("<sip:host>"), Party { uri: "sip:host".into(), ..Party::default() });
    }

    #[test]
    fn destinations_are_addresses() {
        assert_eq!(destination("sip:a;b@127.0.0.2"), Some(([127, 0, 0, 2], 5060).into()));
        assert_eq!(destination("sip:127.0.0.2:99;lr"), Some(([127, 0, 0, 2], 99).into()));
        assert_eq!(destination("sip:a@[::1]:7").map(|d| d.port()), Some(7));
        assert_eq!((destination("sip:a@example.org"), destination("tel:1")), (None, None));
        let (uri, headers) = embedded("sip:a@127.0.0.1?Replaces=1%40b%3Bto-tag%3Dx&Y=2");
        assert_eq!(uri, "sip:a@127.0.0.1");
        assert_eq!(headers[0], ("Replaces".into(), "1@b;to-tag=x".into()));
    }

    proptest! {
        #[test]
        fn hostile_names_come_back_whole_and_on_one_line(display in "\\PC{0,40}", user in "(?s).{0,40}", c in "[\r\n\0]") {
            let display = format!("a{c}{display}\"");
            let value = format!("{};tag=t", name_addr(Some(&display), &user, ([127, 0, 0, 1], 5060).into()));
            prop_assert!(!value.chars().any(char::is_control));
            let party = Party::parse(&value);
            prop_assert_eq!(unescape(&party.display), unescape(&one_line(&display)));
            prop_assert_eq!(party.user, user);
            prop_assert_eq!(tag(&value), Some("t".to_owned()));
        }

        #[test]
        fn any_value_is_read(value in "(?s).{0,60}") {
            Party::parse(&value);
            tag(&value);
            destination(&value);
            embedded(&value);
        }
    }
}
