//! What every PBX must do, sentence by sentence of [`PbxDriver`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;

use crate::command::{Briefing, DriverError, Media, Order, Outcomes, Release, Reply};
use crate::desk::Text;
use crate::event::{CallEvent, Direction, PbxEvent, Playback};
use crate::id::{CallId, LegId, OrderNo, SegmentId};
use crate::ports::PbxDriver;
use crate::words::Refusal;

/// A PBX in a test's hands: what happens on it, what was asked of it, and how it fails.
#[async_trait]
pub trait Rig: Send + Sync {
    /// Its driver, always the same.
    fn driver(&self) -> Arc<dyn PbxDriver>;
    /// A customer reaches the hook on a line.
    async fn arrive(&mut self, call: &CallId, line: &str);
    /// An agent's leg, at 2001, is about to dial a customer.
    async fn dial(&mut self, leg: &CallId, line: &str, number: &str);
    /// The customer whom it dialled answers; he was briefed by this ticket.
    async fn answer(&mut self, call: &CallId, line: &str, ticket: &str);
    /// He hears the announcement (`opt-out`) whole in `played`, presses this key, and goes on.
    async fn ask(&mut self, call: &CallId, played: Duration, key: &str);
    /// He comes to the hook again.
    async fn come_back(&mut self, call: &CallId);
    /// A customer talks since before the driver was there; nobody has told of him.
    async fn alive(&mut self, call: &CallId);
    /// He is connected with the one at an extension, and nobody else.
    async fn connect(&mut self, call: &CallId, extension: &str);
    /// The newest prompt is played to its end.
    async fn prompt_ends(&mut self, call: &CallId);
    /// These codes stand on his channel.
    async fn note(&mut self, call: &CallId, keys: &str);
    /// He hangs up.
    async fn hang_up(&mut self, call: &CallId);
    /// Orders are taken and not answered, or answered again, those of before too.
    async fn withhold(&mut self, withholds: bool);
    /// So much time passes that nobody waits for an answer any longer.
    async fn deadline(&mut self);
    /// Hook orders are refused.
    async fn refuse(&mut self, refuses: bool);
    /// The link is cut, or is there again.
    async fn cut(&mut self, cut: bool);
    /// What was asked for a call, in order.
    async fn asked(&self, call: &CallId) -> Vec<Asked>;
    /// The extensions that are exempt by the PBX's own list.
    async fn exempt(&self) -> BTreeSet<String>;
    /// Somebody puts others in their place.
    async fn tamper(&mut self, exempt: BTreeSet<String>);
    /// Lets others work for a few milliseconds.
    async fn pass(&self);
}

/// An order as a PBX sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Asked {
    Announce,
    Silence,
    Beat,
    Prepare,
    Release,
    Brief,
    Record,
    Stop,
    HangUp,
}

impl Asked {
    /// The order without what it carries.
    pub fn of(order: &Order) -> Self {
        match order {
            Order::Announce(_) => Self::Announce,
            Order::Silence => Self::Silence,
            Order::Beat => Self::Beat,
            Order::Prepare { .. } => Self::Prepare,
            Order::Release(_) => Self::Release,
            Order::Brief(_) => Self::Brief,
            Order::Record(_) => Self::Record,
            Order::Stop => Self::Stop,
            Order::HangUp => Self::HangUp,
        }
    }
}

/// Runs every case on a PBX of its own, up and without calls. Panics at the first sentence that does not hold.
pub async fn suite(make: impl AsyncFn() -> Box<dyn Rig>) {
    events_are_taken_once(Case::new(make().await)).await;
    what_happens_is_told_once_and_in_order(Case::new(make().await)).await;
    orders_are_queued_when_perform_returns(Case::new(make().await)).await;
    hook_orders_go_one_at_a_time(Case::new(make().await)).await;
    a_stop_overtakes_what_was_not_sent(Case::new(make().await)).await;
    a_stop_says_how_many_it_stopped(Case::new(make().await)).await;
    a_prompt_ends_by_the_number_of_its_order(Case::new(make().await)).await;
    gone_refused_unsent_and_unknown_are_told_apart(Case::new(make().await)).await;
    a_gap_is_told_from_the_last_certain_moment(Case::new(make().await)).await;
    live_legs_are_told_and_followed(Case::new(make().await)).await;
    the_exempt_list_is_kept_inside(Case::new(make().await)).await;
    a_customer_who_is_called_is_asked_as_briefed(Case::new(make().await)).await;
}

type Answer = BoxFuture<'static, Result<Reply, DriverError>>;

/// More than enough for anything that comes at all.
const PATIENCE: usize = 5000;

struct Case {
    rig: Box<dyn Rig>,
    driver: Arc<dyn PbxDriver>,
    events: BoxStream<'static, PbxEvent>,
    orders: u32,
}

impl Case {
    fn new(rig: Box<dyn Rig>) -> Self {
        let driver = rig.driver();
        let events = driver.events();
        Self { rig, driver, events, orders: 0 }
    }

    /// With `LinkUp` said, and a customer in the hook.
    async fn in_hook(&mut self, call: &CallId) {
        assert_eq!(self.next().await, PbxEvent::LinkUp);
        self.arrive(call).await;
    }

    async fn arrive(&mut self, call: &CallId) {
        self.rig.arrive(call, "support").await;
        let PbxEvent::Arrived(arrival) = self.next().await else { panic!("no arrival") };
        assert_eq!((&arrival.call, arrival.line.as_str()), (call, "support"));
    }

    async fn next(&mut self) -> PbxEvent {
        for _ in 0..PATIENCE {
            if let Some(event) = self.events.next().now_or_never() {
                return event.expect("the events go on");
            }
            self.rig.pass().await;
        }
        panic!("nothing is told");
    }

    async fn next_of(&mut self, call: &CallId) -> CallEvent {
        match self.next().await {
            PbxEvent::Call(of, event) if of == *call => event,
            other => panic!("{other:?}"),
        }
    }

    fn order(&mut self, call: &CallId, order: Order) -> (OrderNo, Answer) {
        self.orders += 1;
        let number = OrderNo(self.orders);
        (number, self.driver.perform(call, &LegId(call.0.clone()), number, order))
    }

    async fn answer(&self, mut answer: Answer) -> Result<Reply, DriverError> {
        for _ in 0..PATIENCE {
            if let Some(answer) = (&mut answer).now_or_never() {
                return answer;
            }
            self.rig.pass().await;
        }
        panic!("no answer");
    }

    async fn done(&mut self, call: &CallId, order: Order) -> Result<Reply, DriverError> {
        let (_, answer) = self.order(call, order);
        self.answer(answer).await
    }

    async fn asked(&self, call: &CallId, wanted: &[Asked]) {
        for _ in 0..PATIENCE {
            if self.rig.asked(call).await.len() >= wanted.len() {
                break;
            }
            self.rig.pass().await;
        }
        assert_eq!(self.rig.asked(call).await, wanted);
    }
}

fn call(n: u8) -> CallId {
    CallId(format!("1795282741.{n}"))
}

fn segment() -> SegmentId {
    SegmentId::new(Timestamp::UNIX_EPOCH, [7; 10])
}

fn prompt() -> Order {
    Order::Announce(media())
}

fn media() -> Media {
    Media { name: "/srv/notice".into(), length: Duration::from_secs(1), language: "fr".into() }
}

async fn events_are_taken_once(mut case: Case) {
    assert_eq!(case.next().await, PbxEvent::LinkUp, "the link is up, once, at the start");
    assert_eq!(case.driver.events().next().await, None, "a second taking is an empty stream");
    // Nothing else was told meanwhile, and the first still hears.
    case.arrive(&call(1)).await;
}

async fn what_happens_is_told_once_and_in_order(mut case: Case) {
    let (one, other) = (call(1), call(2));
    case.in_hook(&one).await;
    case.rig.connect(&one, "2001").await;
    let CallEvent::Parties { parties, .. } = case.next_of(&one).await else { panic!("no parties") };
    assert_eq!(parties.len(), 1, "everybody beside the customer");
    assert_eq!(parties[0].extension.as_deref(), Some("2001"));
    case.rig.come_back(&one).await;
    assert!(matches!(case.next_of(&one).await, CallEvent::Returned { .. }), "he arrives only once");
    case.rig.hang_up(&one).await;
    assert!(matches!(case.next_of(&one).await, CallEvent::Ended { .. }));
    case.arrive(&other).await;
}

async fn orders_are_queued_when_perform_returns(mut case: Case) {
    let one = call(1);
    case.in_hook(&one).await;
    for order in [prompt(), Order::Silence, Order::Beat, Order::Release(Release::Admitted)] {
        // Nobody ever waits for the answers.
        drop(case.order(&one, order));
    }
    case.asked(&one, &[Asked::Announce, Asked::Silence, Asked::Beat, Asked::Release]).await;
    drop(case.order(&one, Order::Record(segment())));
    drop(case.order(&one, Order::Stop));
    let recorder = |asked: &[Asked]| asked.iter().copied().skip(4).collect::<Vec<_>>();
    for _ in 0..PATIENCE {
        if case.rig.asked(&one).await.contains(&Asked::Stop) {
            break;
        }
        case.rig.pass().await;
    }
    // The stop may overtake the start, never the other way round.
    let asked = recorder(&case.rig.asked(&one).await);
    assert!(asked == [Asked::Record, Asked::Stop] || asked == [Asked::Stop], "{asked:?}");
}

async fn hook_orders_go_one_at_a_time(mut case: Case) {
    let one = call(1);
    case.in_hook(&one).await;
    case.rig.withhold(true).await;
    let (_, beat) = case.order(&one, Order::Beat);
    case.asked(&one, &[Asked::Beat]).await;
    let (_, release) = case.order(&one, Order::Release(Release::Admitted));
    // The recorder waits for no hook order, and the release has not come before it.
    let (_, record) = case.order(&one, Order::Record(segment()));
    case.asked(&one, &[Asked::Beat, Asked::Record]).await;
    case.rig.withhold(false).await;
    for answer in [beat, release, record] {
        assert_eq!(case.answer(answer).await, Ok(Reply::default()));
    }
    case.asked(&one, &[Asked::Beat, Asked::Record, Asked::Release]).await;
}

async fn a_stop_overtakes_what_was_not_sent(mut case: Case) {
    let one = call(1);
    case.in_hook(&one).await;
    case.rig.withhold(true).await;
    let (_, stop) = case.order(&one, Order::Stop);
    case.asked(&one, &[Asked::Stop]).await;
    // Waits for the end of the stop, which else might end it too.
    let (_, record) = case.order(&one, Order::Record(segment()));
    let (_, second) = case.order(&one, Order::Stop);
    case.rig.withhold(false).await;
    assert_eq!(case.answer(record).await, Err(DriverError::Unsent), "it was overtaken");
    assert!(case.answer(stop).await.is_ok() && case.answer(second).await.is_ok());
    assert!(!case.rig.asked(&one).await.contains(&Asked::Record));
    assert_eq!(case.done(&one, Order::Record(segment())).await, Ok(Reply::default()));
}

async fn a_stop_says_how_many_it_stopped(mut case: Case) {
    let one = call(1);
    case.in_hook(&one).await;
    assert_eq!(case.done(&one, Order::Stop).await, Ok(Reply { stopped: 0 }));
    assert_eq!(case.done(&one, Order::Record(segment())).await, Ok(Reply::default()));
    assert_eq!(case.done(&one, Order::Stop).await, Ok(Reply { stopped: 1 }));
    assert_eq!(case.done(&one, Order::Stop).await, Ok(Reply { stopped: 0 }));
}

async fn a_prompt_ends_by_the_number_of_its_order(mut case: Case) {
    let one = call(1);
    case.in_hook(&one).await;
    let (_, beat) = case.order(&one, Order::Beat);
    let (number, announce) = case.order(&one, prompt());
    assert!(case.answer(beat).await.is_ok());
    assert_eq!(case.answer(announce).await, Ok(Reply::default()), "it began");
    case.rig.prompt_ends(&one).await;
    match case.next_of(&one).await {
        CallEvent::Played { order, outcome, .. } => {
            assert_eq!((order, outcome), (number, Playback::Heard));
        }
        other => panic!("{other:?}"),
    }
}

async fn gone_refused_unsent_and_unknown_are_told_apart(mut case: Case) {
    let (one, nobody) = (call(1), CallId("gone".into()));
    case.in_hook(&one).await;
    assert_eq!(case.done(&nobody, Order::Record(segment())).await, Err(DriverError::Gone));
    assert_eq!(
        case.done(&nobody, Order::Stop).await,
        Ok(Reply::default()),
        "with a channel its recorders are gone"
    );
    case.rig.refuse(true).await;
    assert!(matches!(case.done(&one, prompt()).await, Err(DriverError::Refused(_))));
    case.rig.refuse(false).await;
    assert_eq!(case.done(&one, Order::Beat).await, Ok(Reply::default()));
    case.rig.withhold(true).await;
    let answers = [Order::Beat, Order::Release(Release::Admitted), Order::Record(segment())]
        .map(|order| case.order(&one, order).1);
    case.rig.deadline().await;
    let [beat, release, record] = answers;
    assert_eq!(case.answer(beat).await, Err(DriverError::Unknown), "sent, and no answer");
    assert_eq!(case.answer(release).await, Err(DriverError::Unsent), "it never left");
    assert_eq!(case.answer(record).await, Err(DriverError::Unknown));
    case.rig.withhold(false).await;
    case.rig.cut(true).await;
    while !matches!(case.next().await, PbxEvent::LinkDown { .. }) {}
    for order in [Order::Record(segment()), Order::Stop] {
        assert_eq!(case.done(&one, order).await, Err(DriverError::Unsent), "no link");
    }
}

async fn a_gap_is_told_from_the_last_certain_moment(mut case: Case) {
    let one = call(1);
    case.in_hook(&one).await;
    case.rig.connect(&one, "2001").await;
    assert!(matches!(case.next_of(&one).await, CallEvent::Parties { .. }));
    case.rig.cut(true).await;
    let PbxEvent::LinkDown { since } = case.next().await else { panic!("no gap") };
    assert!(since <= Timestamp::now());
    assert_eq!(case.driver.calls().await, Err(DriverError::Unsent));
    case.rig.connect(&one, "2002").await;
    case.rig.cut(false).await;
    assert_eq!(case.next().await, PbxEvent::LinkUp, "once after every gap, before anything else");
    let CallEvent::Parties { parties, .. } = case.next_of(&one).await else { panic!("no parties") };
    assert_eq!(parties[0].extension.as_deref(), Some("2002"), "as it is now");
}

async fn live_legs_are_told_and_followed(mut case: Case) {
    let (hooked, old) = (call(1), call(2));
    case.in_hook(&hooked).await;
    case.rig.alive(&old).await;
    case.rig.connect(&old, "2001").await;
    case.rig.note(&old, "*9@1795285695.182 ").await;
    let calls = live(&case).await;
    let told = calls.iter().find(|live| live.call == hooked).expect("who waits in the hook is alive");
    assert!(told.in_hook && told.parties.is_empty());
    let told = calls.iter().find(|live| live.call == old).expect("who talks is alive").clone();
    assert!(!told.in_hook);
    assert_eq!(told.parties[0].extension.as_deref(), Some("2001"));
    assert_eq!(told.keys.as_deref(), Some("*9@1795285695.182 "));
    // Followed, he is told of: first who is there.
    case.driver.follow(&told.call, &told.leg);
    loop {
        match case.next().await {
            PbxEvent::Call(of, CallEvent::Parties { parties, .. }) if of == old => {
                assert_eq!(parties, told.parties);
                break;
            }
            // Who is known already may be told again.
            PbxEvent::Call(of, CallEvent::Parties { .. }) if of == hooked => {}
            other => panic!("{other:?}"),
        }
    }
    case.rig.hang_up(&old).await;
    assert!(matches!(case.next_of(&old).await, CallEvent::Ended { .. }));
    let calls = live(&case).await;
    assert!(calls.iter().all(|live| live.call != old), "who is gone is not alive");
    // Whoever follows a call that is over is told so.
    case.driver.follow(&told.call, &told.leg);
    while !matches!(case.next().await, PbxEvent::Call(of, CallEvent::Ended { .. }) if of == old) {}
}

async fn live(case: &Case) -> Vec<crate::ports::LiveCall> {
    let mut calls = case.driver.calls();
    for _ in 0..PATIENCE {
        if let Some(calls) = (&mut calls).now_or_never() {
            return calls.expect("the live calls");
        }
        case.rig.pass().await;
    }
    panic!("no answer");
}

async fn a_customer_who_is_called_is_asked_as_briefed(mut case: Case) {
    let (leg, one) = (call(1), call(2));
    assert_eq!(case.next().await, PbxEvent::LinkUp);
    case.rig.dial(&leg, "sales", "+33199000123").await;
    let PbxEvent::Dials(dialling) = case.next().await else { panic!("nobody dials") };
    assert_eq!((dialling.leg.0.as_str(), dialling.line.as_str()), (leg.0.as_str(), "sales"));
    assert_eq!(dialling.number.as_deref(), Some("+33199000123"));
    assert_eq!(dialling.extension.as_deref(), Some("2001"));
    let calls = live(&case).await;
    assert!(calls.is_empty(), "who dials is no customer: {calls:?}");
    let briefing = Briefing {
        how: Release::Admitted,
        why: "goes-on".into(),
        ticket: "opt-out/1".into(),
        announcement: Some((Text::OptOut, media())),
        info: None,
        refused: None,
        alternative: None,
        unavailable: None,
        step: None,
        object: Some("1".into()),
        accept: None,
        info_key: None,
        wait: Duration::from_secs(2),
        outcomes: Outcomes {
            accepted: Refusal::Continue,
            silent: Refusal::Continue,
            objected: Refusal::Continue,
            unheard: Refusal::Continue,
        },
        detect_machine: false,
    };
    assert_eq!(case.done(&leg, Order::Brief(Box::new(briefing))).await, Ok(Reply::default()));
    case.asked(&leg, &[Asked::Brief]).await;
    case.rig.answer(&one, "sales", "opt-out/1").await;
    let PbxEvent::Arrived(arrival) = case.next().await else { panic!("no arrival") };
    assert_eq!((&arrival.call, arrival.direction), (&one, Direction::Outbound));
    assert_eq!((arrival.line.as_str(), arrival.briefed.as_deref()), ("sales", Some("opt-out/1")));
    case.rig.ask(&one, Duration::from_millis(2500), "1").await;
    let CallEvent::Said { text, outcome, played, .. } = case.next_of(&one).await else { panic!("not said") };
    assert_eq!((text, outcome, played), (Text::OptOut, Playback::Heard, Duration::from_millis(2500)));
    let CallEvent::Pressed { leg: Some(presser), keys, .. } = case.next_of(&one).await else {
        panic!("no key")
    };
    assert_eq!((presser.0, keys.as_str()), (one.0.clone(), "1"));
    let CallEvent::Asked { how, .. } = case.next_of(&one).await else { panic!("he does not go on") };
    assert_eq!(how, Release::Admitted);
    case.rig.connect(&one, "2001").await;
    assert!(matches!(case.next_of(&one).await, CallEvent::Parties { .. }));
    case.rig.hang_up(&one).await;
    assert!(matches!(case.next_of(&one).await, CallEvent::Ended { .. }));
}

async fn the_exempt_list_is_kept_inside(mut case: Case) {
    assert_eq!(case.next().await, PbxEvent::LinkUp);
    let list =
        |extensions: &[&str]| extensions.iter().map(|text| (*text).to_owned()).collect::<BTreeSet<_>>();
    // Before the first list is known, what was there stays.
    case.rig.tamper(list(&["4000"])).await;
    case.rig.pass().await;
    assert_eq!(case.rig.exempt().await, list(&["4000"]));
    case.driver.exempt(list(&["4100", "4101"]));
    case.exempt_is(&list(&["4100", "4101"])).await;
    case.driver.exempt(list(&["4101", "4102"]));
    case.exempt_is(&list(&["4101", "4102"])).await;
    // What was lost in a gap is put back.
    case.rig.cut(true).await;
    assert!(matches!(case.next().await, PbxEvent::LinkDown { .. }));
    case.rig.tamper(list(&["4000"])).await;
    case.rig.cut(false).await;
    assert_eq!(case.next().await, PbxEvent::LinkUp);
    case.exempt_is(&list(&["4101", "4102"])).await;
    case.driver.exempt(list(&[]));
    case.exempt_is(&list(&[])).await;
}

impl Case {
    async fn exempt_is(&self, wanted: &BTreeSet<String>) {
        for _ in 0..PATIENCE {
            if self.rig.exempt().await == *wanted {
                return;
            }
            self.rig.pass().await;
        }
        panic!("exempt are {:?}, not {wanted:?}", self.rig.exempt().await);
    }
}
