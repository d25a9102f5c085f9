//! As much of an Asterisk as the driver talks to: AMI on one port, ARI on another. It answers as the real one was seen
//! to, and can be told to withhold an answer, to refuse, to fall silent and to go away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// What it does and what it has seen.
pub struct State {
    pub secret: String,
    pub version: String,
    pub commands: Vec<&'static str>,
    /// Whether the trial's events of class call and of class user come.
    pub ears: (bool, bool),
    pub read_only: bool,
    pub ari_status: u16,
    /// Requests and actions in order, as `StopMixMonitor 1.1`, `POST channels/1.1/continue`.
    pub log: Vec<String>,
    /// What begins like this is not answered while it stands here.
    pub withheld: BTreeSet<String>,
    /// REST answers other than the usual.
    pub status: BTreeMap<String, u16>,
    pub recorders: BTreeMap<String, u32>,
    /// The options of the last recorder that was started, and what else was said of its file.
    pub options: Vec<String>,
    /// `Status` events, without their ids.
    pub rows: Vec<String>,
    pub bridges: Vec<String>,
    /// The keys of AstDB.
    pub database: BTreeSet<String>,
    pub in_hook: Vec<String>,
    /// Channels that have left the hook.
    pub left: BTreeSet<String>,
    pub sockets: u32,
}

impl Default for State {
    fn default() -> Self {
        Self {
            secret: "hush".into(),
            version: "22.10.1+dfsg".into(),
            commands: vec![
                "MixMonitor",
                "StopMixMonitor",
                "Status",
                "CoreSettings",
                "BridgeList",
                "DBGetTree",
                "DBPut",
                "DBDel",
            ],
            database: BTreeSet::new(),
            ears: (true, true),
            read_only: false,
            ari_status: 200,
            log: Vec::new(),
            withheld: BTreeSet::new(),
            status: BTreeMap::new(),
            recorders: BTreeMap::new(),
            options: Vec::new(),
            rows: Vec::new(),
            bridges: Vec::new(),
            in_hook: Vec::new(),
            left: BTreeSet::new(),
            sockets: 0,
        }
    }
}

/// A running one.
pub struct Fake {
    pub state: Arc<Mutex<State>>,
    pub ami_port: u16,
    pub ari_port: u16,
    ami: broadcast::Sender<String>,
    ari: broadcast::Sender<String>,
    /// Moves on when connections of either side are to be cut.
    cut: watch::Sender<(u32, u32)>,
    _tasks: JoinSet<()>,
}

impl Fake {
    pub async fn start(state: State) -> Self {
        Self::on(state, 0, 0).await
    }

    pub async fn on(state: State, ami_port: u16, ari_port: u16) -> Self {
        let state = Arc::new(Mutex::new(state));
        let (ami, ari) = (broadcast::Sender::new(1024), broadcast::Sender::new(1024));
        let cut = watch::Sender::new((0, 0));
        let mut tasks = JoinSet::new();
        let ami_listener = TcpListener::bind(("127.0.0.1", ami_port)).await.unwrap();
        let ari_listener = TcpListener::bind(("127.0.0.1", ari_port)).await.unwrap();
        let ami_port = ami_listener.local_addr().unwrap().port();
        let ari_port = ari_listener.local_addr().unwrap().port();
        let side = Side { state: state.clone(), ami: ami.clone(), ari: ari.clone() };
        let (one, other) = (side.clone(), side);
        let (mut ami_cut, mut ari_cut) = (cut.subscribe(), cut.subscribe());
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                tokio::select! {
                    stream = ami_listener.accept() => { open.spawn(one.clone().ami(stream.unwrap().0)); }
                    _ = ami_cut.wait_for(|cut| cut.0 > 0) => {}
                }
                if ami_cut.borrow_and_update().0 > 0 {
                    open.shutdown().await;
                    while ami_cut.borrow().0 > 0 {
                        ami_cut.changed().await.unwrap();
                    }
                }
            }
        });
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                tokio::select! {
                    stream = ari_listener.accept() => { open.spawn(other.clone().http(stream.unwrap().0)); }
                    _ = ari_cut.wait_for(|cut| cut.1 > 0) => {}
                }
                if ari_cut.borrow_and_update().1 > 0 {
                    open.shutdown().await;
                    while ari_cut.borrow().1 > 0 {
                        ari_cut.changed().await.unwrap();
                    }
                }
            }
        });
        Self { state, ami_port, ari_port, ami, ari, cut, _tasks: tasks }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// An AMI event, with `\n` line ends and without the blank line.
    pub fn ami(&self, event: &str) {
        self.ami.send(format!("{event}\n\n")).unwrap();
    }

    /// An ARI event.
    pub fn ari(&self, event: serde_json::Value) {
        self.ari.send(event.to_string()).unwrap();
    }

    /// Cuts and refuses AMI connections, or lets them in again.
    pub fn cut_ami(&self, cut: bool) {
        self.cut.send_modify(|sides| sides.0 = cut.into());
    }

    /// Cuts and refuses ARI connections, or lets them in again.
    pub fn cut_ari(&self, cut: bool) {
        self.cut.send_modify(|sides| sides.1 = cut.into());
        self.state().sockets = 0;
    }

    /// Waits until the log has so many lines that begin like this.
    pub async fn logged(&self, begin: &str, count: usize) {
        self.until(|state| state.log.iter().filter(|line| line.starts_with(begin)).count() >= count).await;
    }

    pub async fn until(&self, condition: impl Fn(&State) -> bool) {
        let waiting = async {
            while !condition(&self.state()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(10), waiting).await.is_err() {
            panic!("it never came; log: {:#?}", self.state().log);
        }
    }

    /// What was asked of it since the beginning, without what every connection asks.
    pub fn orders(&self) -> Vec<String> {
        let usual = [
            "Login",
            "Ping",
            "ListCommands",
            "CoreSettings",
            "Status",
            "BridgeList",
            "DBGetTree",
            "DBPut",
            "DBDel",
            "GET",
            "POST channels/temoin-nobody",
            "POST channels/create",
            "POST events/user",
            "DELETE channels/temoin-probe",
        ];
        let log = self.state().log.clone();
        log.into_iter().filter(|line| !usual.iter().any(|usual| line.starts_with(usual))).collect()
    }
}

#[derive(Clone)]
struct Side {
    state: Arc<Mutex<State>>,
    ami: broadcast::Sender<String>,
    ari: broadcast::Sender<String>,
}

impl Side {
    /// Writes down what was asked, and waits as long as its answer is withheld.
    async fn asked(&self, what: &str) {
        self.state.lock().unwrap().log.push(what.into());
        while self.state.lock().unwrap().withheld.iter().any(|begin| what.starts_with(begin)) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn ami(self, stream: TcpStream) {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        let mut events = self.ami.subscribe();
        let (say, mut said) = tokio::sync::mpsc::unbounded_channel::<String>();
        let _ = say.send("Asterisk Call Manager/11.0.0\n".into());
        let writer = async move {
            let mut welcome = false;
            loop {
                let text = tokio::select! {
                    biased;
                    text = said.recv() => text,
                    event = events.recv(), if welcome => event.ok(),
                };
                let Some(text) = text else { return };
                welcome = welcome || text.contains("Authentication accepted");
                if write.write_all(text.replace('\n', "\r\n").as_bytes()).await.is_err() {
                    return;
                }
                if text.contains("Authentication failed") {
                    return;
                }
            }
        };
        let reader = async {
            let mut action: BTreeMap<String, String> = BTreeMap::new();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((key, value)) = line.split_once(": ") {
                    action.insert(key.into(), value.into());
                    continue;
                }
                let action = std::mem::take(&mut action);
                let what =
                    format!("{} {}", action["Action"], action.get("Channel").map_or("", String::as_str));
                self.state.lock().unwrap().log.push(what.trim_end().into());
                let (side, say) = (self.clone(), say.clone());
                // A withheld answer holds up nobody else's.
                tokio::spawn(async move {
                    let name = action["Action"].clone();
                    while side.state.lock().unwrap().withheld.contains(&name) {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                    let _ = say.send(side.answer(&action));
                });
            }
        };
        tokio::select! {
            () = writer => {}
            () = reader => {}
        }
    }

    fn answer(&self, action: &BTreeMap<String, String>) -> String {
        let mut state = self.state.lock().unwrap();
        let id = &action["ActionID"];
        let success = |rest: &str| format!("Response: Success\nActionID: {id}\n{rest}\n");
        let error = |why: &str| format!("Response: Error\nActionID: {id}\nMessage: {why}\n\n");
        let channel = action.get("Channel").cloned().unwrap_or_default();
        let (family, key) = (action.get("Family").cloned(), action.get("Key").cloned());
        let (family, key) = (family.unwrap_or_default(), key.unwrap_or_default());
        match action["Action"].as_str() {
            "Login" if action["Secret"] == state.secret => success("Message: Authentication accepted\n"),
            "Login" => error("Authentication failed"),
            "Ping" => {
                let now = jiff::Timestamp::now();
                let (seconds, micros) = (now.as_second(), now.subsec_microsecond());
                success(&format!("Ping: Pong\nTimestamp: {seconds}.{micros:06}\n"))
            }
            "ListCommands" => {
                success(&state.commands.iter().map(|name| format!("{name}: Does it.\n")).collect::<String>())
            }
            "CoreSettings" => success(&format!("AsteriskVersion: {}\n", state.version)),
            "Status" => Self::list(id, "Status", &state.rows),
            "BridgeList" => Self::list(id, "BridgeListItem", &state.bridges),
            "DBGetTree" => {
                let rows = state.database.iter().map(|key| format!("Key: /{family}/{key}\nVal: 1"));
                Self::list(id, "DBGetTreeResponse", &rows.collect::<Vec<_>>())
            }
            "DBPut" => {
                state.database.insert(key);
                success("")
            }
            "DBDel" if state.database.remove(&key) => success(""),
            "DBDel" => error("Database entry not found"),
            "MixMonitor" if channel == "gone" => error("No such channel"),
            "MixMonitor" => {
                state.options =
                    ["Options", "File"].iter().filter_map(|key| action.get(*key).cloned()).collect();
                *state.recorders.entry(channel).or_default() += 1;
                success("MixMonitorID: 0x7f1fe4005490\n")
            }
            "StopMixMonitor" if channel == "gone" => error("No such channel"),
            "StopMixMonitor" => match state.recorders.get_mut(&channel) {
                Some(count) if *count > 0 => {
                    *count -= 1;
                    success("")
                }
                _ => error("Could not stop monitoring channel"),
            },
            _ => error("Invalid/unknown command"),
        }
    }

    fn list(id: &str, event: &str, items: &[String]) -> String {
        let items: String =
            items.iter().map(|item| format!("Event: {event}\n{item}\nActionID: {id}\n\n")).collect();
        format!(
            "Response: Success\nActionID: {id}\nEventList: start\n\n{items}Event: {event}Complete\nActionID: {id}\n\
             EventList: Complete\n\n"
        )
    }

    async fn http(self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        loop {
            let (mut first, mut key) = (String::new(), None);
            if stream.read_line(&mut first).await.unwrap_or(0) == 0 {
                return;
            }
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return;
                }
                match line.trim_end().split_once(": ") {
                    Some((name, value)) if name.eq_ignore_ascii_case("sec-websocket-key") => {
                        key = Some(value.to_owned());
                    }
                    Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                        assert_eq!(value, "Basic dGVtb2luOmh1c2g=");
                    }
                    Some(_) => {}
                    None => break,
                }
            }
            let mut words = first.split(' ');
            let (method, url) = (words.next().unwrap(), words.next().unwrap());
            let url = url.strip_prefix("/ari/").unwrap();
            if let Some(key) = key {
                return self.socket(stream.into_inner(), &key).await;
            }
            let what = match url.split_once("/variable?variable=EVAL") {
                Some((channel, put_off)) if put_off.contains("TIMEOUT%28absolute%29%3D4") => {
                    format!("BEAT {channel}")
                }
                _ => format!("{method} {url}").replace("%28", "(").replace("%29", ")").replace("%3A", ":"),
            };
            self.asked(&what).await;
            let (status, body) = self.rest(&what);
            let answer = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    fn rest(&self, what: &str) -> (u16, String) {
        let state = self.state.lock().unwrap();
        let trial = |event: &str, id: &str| {
            let channel = format!("Channel: Local/x;1\nUniqueid: {id}\nTimestamp: 1795283295.570154");
            let _ = self.ami.send(format!("Event: {event}\n{channel}\nUserEvent: TemoinProbe\n\n"));
        };
        if state.ari_status != 200 {
            return (state.ari_status, String::new());
        }
        if let Some((_, status)) = state.status.iter().find(|(begin, _)| what.starts_with(*begin)) {
            return (*status, r#"{"message":"as told"}"#.into());
        }
        let (path, query) = what.split_once('?').unwrap_or((what, ""));
        let pieces: Vec<&str> = path.split(['/', ' ']).collect();
        match pieces.as_slice() {
            ["GET", "asterisk", "info"] => {
                (200, serde_json::json!({"system": {"version": state.version}}).to_string())
            }
            ["POST", "channels", "temoin-nobody", _] if state.read_only => (403, String::new()),
            ["POST", "channels", "temoin-nobody", _] => (404, String::new()),
            ["POST", "channels", "create"] => (200, "{}".into()),
            ["POST", "events", "user", _] => {
                if state.ears.1 {
                    trial("UserEvent", query.split("channel:").nth(1).unwrap());
                }
                (204, String::new())
            }
            ["DELETE", "channels", id] if id.starts_with("temoin-probe") => {
                if state.ears.0 {
                    trial("Hangup", id);
                }
                (204, String::new())
            }
            ["GET", "applications", _] if state.sockets == 0 => (404, String::new()),
            ["GET", "applications", _] => {
                (200, serde_json::json!({"channel_ids": state.in_hook}).to_string())
            }
            ["BEAT", "channels", id] => {
                let value = if state.left.contains(*id) { "gone" } else { "4" };
                (200, serde_json::json!({ "value": value }).to_string())
            }
            ["POST", "channels", _, "play", id] => (201, serde_json::json!({"id": id}).to_string()),
            _ => (204, String::new()),
        }
    }

    async fn socket(self, mut stream: TcpStream, key: &str) {
        let accept = derive_accept_key(key.as_bytes());
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        let mut events = self.ari.subscribe();
        self.state.lock().unwrap().sockets += 1;
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        loop {
            tokio::select! {
                event = events.recv() => {
                    let Ok(event) = event else { return };
                    if socket.send(Message::text(event)).await.is_err() {
                        return;
                    }
                }
                message = socket.next() => match message {
                    Some(Ok(_)) => {}
                    _ => return,
                },
            }
        }
    }
}
