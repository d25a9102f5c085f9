//! Eyes and hands of the lab's own tests: a small AMI client and one HTTP request.

#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use temoin_lab::{ADMIN_SECRET, ARI_SECRET, Lab};

pub const LIMIT: Duration = Duration::from_secs(60);

/// One AMI message; keys may repeat.
#[derive(Clone)]
pub struct Message(Vec<(String, String)>);

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fields: Vec<String> = self.0.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        f.write_str(&fields.join(" | "))
    }
}

impl Message {
    pub fn field(&self, key: &str) -> &str {
        self.0.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value)
    }

    pub fn all(&self, key: &str) -> Vec<&str> {
        self.0.iter().filter(|(name, _)| name == key).map(|(_, value)| value.as_str()).collect()
    }
}

/// A session; waits by reading, with a limit.
pub struct Ami {
    reader: BufReader<TcpStream>,
    /// What was read while a response was waited for.
    seen: Vec<Message>,
    actions: usize,
}

impl Ami {
    pub fn admin(lab: &Lab) -> Self {
        Self::login(lab.ami, "admin", ADMIN_SECRET)
    }

    pub fn login(addr: SocketAddr, user: &str, secret: &str) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut ami = Self { reader: BufReader::new(stream), seen: Vec::new(), actions: 0 };
        ami.line(Instant::now() + LIMIT).expect("a banner");
        let answer = ami.action(&[("Action", "Login"), ("Username", user), ("Secret", secret)]);
        assert_eq!(answer.field("Response"), "Success", "{answer:?}");
        ami
    }

    /// Sends an action and returns its response.
    pub fn action(&mut self, fields: &[(&str, &str)]) -> Message {
        let [answer] = self.actions([fields]).try_into().expect("one answer to one action");
        answer
    }

    /// Sends actions without a wait between them; their responses.
    pub fn actions<'a>(
        &mut self,
        actions: impl IntoIterator<Item = impl AsRef<[(&'a str, &'a str)]>>,
    ) -> Vec<Message> {
        let (mut text, mut ids) = (String::new(), Vec::new());
        for action in actions {
            self.actions += 1;
            let id = format!("lab-{}", self.actions);
            let fields: String =
                action.as_ref().iter().map(|(key, value)| format!("{key}: {value}\r\n")).collect();
            text += &format!("{fields}ActionID: {id}\r\n\r\n");
            ids.push(id);
        }
        self.reader.get_mut().write_all(text.as_bytes()).unwrap();
        ids.iter()
            .map(|id| self.answer(id).unwrap_or_else(|| panic!("no answer to one of: {text}")))
            .collect()
    }

    fn answer(&mut self, id: &str) -> Option<Message> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let message = self.message(deadline)?;
            if message.field("ActionID") == id && !message.field("Response").is_empty() {
                return Some(message);
            }
            self.seen.push(message);
        }
    }

    /// The first event not yet taken that is meant.
    pub fn event(&mut self, what: &str, meant: impl Fn(&Message) -> bool) -> Message {
        self.event_within(LIMIT, &meant).unwrap_or_else(|| panic!("no {what}; seen: {:#?}", self.seen))
    }

    pub fn event_within(&mut self, limit: Duration, meant: impl Fn(&Message) -> bool) -> Option<Message> {
        let deadline = Instant::now() + limit;
        if let Some(at) = self.seen.iter().position(&meant) {
            return Some(self.seen.remove(at));
        }
        loop {
            let message = self.message(deadline)?;
            if meant(&message) {
                return Some(message);
            }
            self.seen.push(message);
        }
    }

    pub fn variable(&mut self, channel: &str, name: &str) -> String {
        let answer = self.action(&[("Action", "Getvar"), ("Channel", channel), ("Variable", name)]);
        answer.field("Value").to_owned()
    }

    fn message(&mut self, deadline: Instant) -> Option<Message> {
        let mut fields = Vec::new();
        loop {
            let line = self.line(deadline)?;
            if line.is_empty() && !fields.is_empty() {
                return Some(Message(fields));
            }
            if let Some((key, value)) = line.split_once(':') {
                fields.push((key.to_owned(), value.trim_start().to_owned()));
            }
        }
    }

    fn line(&mut self, deadline: Instant) -> Option<String> {
        let mut line = String::new();
        while Instant::now() < deadline {
            match self.reader.read_line(&mut line) {
                Ok(0) => return None,
                Ok(_) => return Some(line.trim_end().to_owned()),
                // Nothing yet; what was read of the line stays in it.
                Err(_) => {}
            }
        }
        None
    }
}

/// One ARI request; its status and body.
pub fn ari(lab: &Lab, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(lab.ari).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let joint = if path.contains('?') { '&' } else { '?' };
    let request = format!(
        "{method} /ari{path}{joint}api_key=temoin:{ARI_SECRET} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\
         Content-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Waits until something is true.
pub fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is() {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
