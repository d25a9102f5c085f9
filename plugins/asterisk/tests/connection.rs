//! One AMI connection over a duplex pipe: order, overtaking, deadlines, silence.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use temoin_asterisk::ami::connection::{ActionError, Event, Handle, Lost, Permit, Timing, Urgency, open};
use temoin_asterisk::ami::frame::Action;
use tokio::io::{
    AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf, duplex, split,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

const QUIET: Timing = Timing { ping: Duration::from_secs(3600), idle: Duration::from_secs(7200) };

/// The other end of the pipe.
struct Pbx {
    read: BufReader<ReadHalf<DuplexStream>>,
    write: WriteHalf<DuplexStream>,
    events: mpsc::UnboundedReceiver<Event>,
    running: JoinHandle<Lost>,
}

fn pbx(pipe: usize, timing: Timing) -> (Handle, Pbx) {
    let (ours, theirs) = duplex(pipe);
    let (handle, running) = open(ours, timing);
    let (tell, events) = mpsc::unbounded_channel();
    let running = tokio::spawn(running.run(move |event| {
        let _ = tell.send(event);
    }));
    let (read, write) = split(theirs);
    (handle, Pbx { read: BufReader::new(read), write, events, running })
}

impl Pbx {
    /// The next action: its name and id. Pings are passed over.
    async fn action(&mut self) -> (String, String) {
        loop {
            let (mut name, mut id) = (String::new(), String::new());
            loop {
                let mut line = String::new();
                self.read.read_line(&mut line).await.unwrap();
                match line.trim_end().split_once(": ") {
                    Some(("Action", found)) => name = found.into(),
                    Some(("ActionID", found)) => id = found.into(),
                    Some(_) => {}
                    None => break,
                }
            }
            if name != "Ping" {
                return (name, id);
            }
        }
    }

    async fn say(&mut self, text: &str) {
        self.write.write_all(text.replace('\n', "\r\n").as_bytes()).await.unwrap();
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(2)
}

fn normal(handle: &Handle, name: &'static str) -> JoinHandle<Result<String, ActionError>> {
    send(handle, name, Urgency::Normal, None, soon())
}

fn send(
    handle: &Handle,
    name: &'static str,
    urgency: Urgency,
    permit: Option<Permit>,
    deadline: Instant,
) -> JoinHandle<Result<String, ActionError>> {
    let answer = handle.send(Action::new(name), urgency, permit, deadline);
    tokio::spawn(async move { Ok(answer.await?.first("Message").unwrap_or_default().to_owned()) })
}

#[tokio::test(start_paused = true)]
async fn answers_find_their_actions_whatever_comes_between() {
    let (handle, mut pbx) = pbx(4096, QUIET);
    let (a, b) = (normal(&handle, "A"), normal(&handle, "B"));
    let first = pbx.action().await;
    let second = pbx.action().await;
    assert_eq!((first.0.as_str(), second.0.as_str()), ("A", "B"), "in the order of enqueueing");
    pbx.say("Asterisk Call Manager/11.0.0\nEvent: Hold\nTimestamp: 1795283054.526910\n\n").await;
    pbx.say(&format!("Response: Success\nActionID: {}\nMessage: to B\n\n", second.1)).await;
    pbx.say("Response: Success\nMessage: to nobody\n\nResponse: Success\nActionID: 99\nMessage: nor me\n\n")
        .await;
    // A dialplan's UserEvent may carry what it likes.
    pbx.say(&format!("Event: UserEvent\nActionID: {}\nMessage: false\n\n", first.1)).await;
    pbx.say(&format!("Response: Error\nActionID: {}\nMessage: to A\n\n", first.1)).await;
    assert_eq!(a.await.unwrap(), Ok("to A".into()));
    assert_eq!(b.await.unwrap(), Ok("to B".into()));
    let hold = pbx.events.recv().await.unwrap();
    assert_eq!(hold.at.as_microsecond(), 1_795_283_054_526_910);
    let before = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(60);
    let user = pbx.events.recv().await.unwrap();
    assert!(user.at > before, "without a time of its own it is that of its coming");
}

#[tokio::test(start_paused = true)]
async fn a_list_is_complete_or_an_error() {
    let (handle, mut pbx) = pbx(4096, QUIET);
    let list = tokio::spawn(handle.list(Action::new("Status"), soon()));
    let refused = tokio::spawn(handle.list(Action::new("BridgeList"), soon()));
    let (status, bridges) = (pbx.action().await.1, pbx.action().await.1);
    pbx.say(&format!("Response: Success\nActionID: {status}\nEventList: start\n\n")).await;
    pbx.say(&format!("Event: Status\nActionID: {status}\nUniqueid: 1\n\nEvent: Hold\n\n")).await;
    pbx.say(&format!("Response: Error\nActionID: {bridges}\nMessage: Permission denied\n\n")).await;
    pbx.say(&format!("Event: StatusComplete\nActionID: {status}\nEventList: Complete\n\n")).await;
    let list = list.await.unwrap().unwrap();
    let events: Vec<_> = list.iter().map(|message| message.first("Event").unwrap_or_default()).collect();
    assert_eq!(events, ["", "Status", "StatusComplete"]);
    assert_eq!(refused.await.unwrap().unwrap()[0].first("Message"), Some("Permission denied"));
    assert_eq!(pbx.events.recv().await.unwrap().message.first("Event"), Some("Hold"));
}

#[tokio::test(start_paused = true)]
async fn an_urgent_action_overtakes_what_has_not_left() {
    // The pipe holds less than one action: the first blocks on its way.
    let (handle, mut pbx) = pbx(8, QUIET);
    let waiting: Vec<_> = ["A", "B", "C"].into_iter().map(|name| normal(&handle, name)).collect();
    sleep(Duration::from_millis(10)).await;
    let stop = send(&handle, "Stop", Urgency::Urgent, None, soon());
    let mut order = Vec::new();
    for _ in 0..4 {
        let (name, id) = pbx.action().await;
        order.push(name);
        pbx.say(&format!("Response: Success\nActionID: {id}\n\n")).await;
    }
    assert_eq!(order, ["A", "Stop", "B", "C"]);
    assert!(stop.await.unwrap().is_ok());
    for answer in waiting {
        assert!(answer.await.unwrap().is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn unsent_and_unknown_are_told_apart() {
    let (handle, mut pbx) = pbx(8, QUIET);
    let began = Instant::now();
    let (a, b) = (normal(&handle, "A"), normal(&handle, "B"));
    // Nobody reads: A is on its way, B is not.
    assert_eq!(b.await.unwrap(), Err(ActionError::Unsent));
    assert_eq!(a.await.unwrap(), Err(ActionError::Unknown));
    assert_eq!(began.elapsed().as_secs(), 2);
    // What came too late is not sent later, and a late answer is not another's.
    let c = normal(&handle, "C");
    let (first, second) = (pbx.action().await, pbx.action().await);
    assert_eq!((first.0.as_str(), second.0.as_str()), ("A", "C"));
    pbx.say(&format!("Response: Success\nActionID: {}\nMessage: late\n\n", first.1)).await;
    pbx.say(&format!("Response: Success\nActionID: {}\nMessage: mine\n\n", second.1)).await;
    assert_eq!(c.await.unwrap(), Ok("mine".into()));
}

#[tokio::test(start_paused = true)]
async fn a_revoked_permit_is_never_sent() {
    let (handle, mut pbx) = pbx(8, QUIET);
    let stops = Arc::new(AtomicU64::new(0));
    let a = normal(&handle, "A");
    sleep(Duration::from_millis(10)).await;
    let start = send(&handle, "Start", Urgency::Normal, Some(Permit::now(&stops)), soon());
    stops.fetch_add(1, Ordering::SeqCst);
    let later = send(&handle, "Later", Urgency::Normal, Some(Permit::now(&stops)), soon());
    assert_eq!((pbx.action().await.0, pbx.action().await.0), ("A".to_owned(), "Later".to_owned()));
    assert_eq!(start.await.unwrap(), Err(ActionError::Unsent));
    drop((a, later));
}

#[tokio::test(start_paused = true)]
async fn a_closed_connection_answers_everybody() {
    let (handle, mut pbx) = pbx(64, QUIET);
    let sent = normal(&handle, "A");
    pbx.action().await;
    let stuck: Vec<_> = (0..20).map(|_| normal(&handle, "B")).collect();
    sleep(Duration::from_millis(10)).await;
    pbx.say("Event: Hold\nTimestamp: 1795283054.526910\n\n").await;
    sleep(Duration::from_millis(10)).await;
    drop((pbx.read, pbx.write));
    let lost = pbx.running.await.unwrap();
    assert_eq!(lost.since.as_microsecond(), 1_795_283_054_526_910, "the last certain moment");
    assert_eq!(sent.await.unwrap(), Err(ActionError::Unknown));
    let answers = futures::future::join_all(stuck).await;
    assert_eq!(answers.last().unwrap().as_ref().unwrap(), &Err(ActionError::Unsent));
    assert_eq!(normal(&handle, "C").await.unwrap(), Err(ActionError::Unsent));
}

#[tokio::test(start_paused = true)]
async fn silence_is_noticed_and_a_pong_is_no_silence() {
    let timing = Timing { ping: Duration::from_secs(5), idle: Duration::from_secs(15) };
    let (_handle, mut pbx) = pbx(4096, timing);
    let began = Instant::now();
    for _ in 0..12 {
        sleep(Duration::from_secs(5)).await;
        pbx.say("Response: Success\nActionID: 1\nPing: Pong\nTimestamp: 1795283295.570154\n\n").await;
    }
    let lost = timeout(Duration::from_secs(60), pbx.running).await.unwrap().unwrap();
    let lasted = began.elapsed();
    assert!((Duration::from_secs(74)..=Duration::from_secs(81)).contains(&lasted), "{lasted:?}");
    assert_eq!(lost.since.as_microsecond(), 1_795_283_295_570_154);
    let mut line = String::new();
    pbx.read.read_line(&mut line).await.unwrap();
    assert_eq!(line, "Action: Ping\r\n");
}

#[tokio::test(start_paused = true)]
async fn a_line_end_in_a_value_never_leaves() {
    let (handle, mut pbx) = pbx(4096, QUIET);
    let action = Action::new("Login").with("Secret", "x\r\nAction: Originate");
    let answer = handle.send(action, Urgency::Normal, None, soon()).await;
    assert!(matches!(answer, Err(ActionError::Invalid(_))), "{answer:?}");
    let _next = normal(&handle, "A");
    assert_eq!(pbx.action().await.0, "A");
}

#[tokio::test(start_paused = true)]
async fn garbage_and_a_huge_message_end_the_connection() {
    let (_handle, mut pbx) = pbx(1 << 20, QUIET);
    let huge = "x".repeat(temoin_asterisk::ami::frame::MAX_BYTES + 1);
    pbx.say(&huge).await;
    let lost = pbx.running.await.unwrap();
    assert!(lost.why.contains("bytes"), "{}", lost.why);
}
