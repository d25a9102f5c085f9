//! Plays a script: each step is done or waited for, with a limit, and its instant remembered where it has a name.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use temoin_phone::{Answering, Call, CallOptions, Error, Phone, State, Stream, Tone, Until, Voice, Way};
use tokio::time::{sleep, sleep_until, timeout};

use super::bench::Bench;
use super::file::{Cast, Scenario};
use super::site::TEXTS;
use super::sound::{FRAME, Heard, Listener, Repertoire, instant_of};
use super::step::{Act, Condition, Does, Step};
use super::tones::tones;

/// How long a step may take, unless it says.
const LIMIT: Duration = Duration::from_secs(10);
/// How long everybody has to be gone after the last step.
const OVER: Duration = Duration::from_secs(5);
/// Between two looks at something that nobody tells of.
const LOOK: Duration = Duration::from_millis(20);
/// How long a key is pressed.
const KEY: Duration = Duration::from_millis(80);
/// Between two keys that are pressed by SIP INFO.
const BETWEEN_KEYS: Duration = Duration::from_millis(200);

/// One copy of a scenario, with its own customers.
pub(super) struct Stage<'a> {
    bench: &'a Bench,
    scenario: &'a Scenario,
    members: BTreeMap<&'a str, Member>,
    dials: Vec<Dial>,
    marks: BTreeMap<String, Instant>,
}

/// Somebody who takes part.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) phone: Phone,
    pub(super) tone: u32,
    pub(super) number: String,
    extension: Option<u16>,
    options: CallOptions,
    /// The call that it is in, or was in last.
    call: Option<Call>,
    /// The one that it was in before, and still is.
    other: Option<Call>,
    /// All calls that came in and were taken up.
    taken: Vec<Call>,
    /// How many of the prompts of this call the script has gone past.
    passed: usize,
}

/// A call that a customer made, or was made to him.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    pub(super) by: String,
    pub(super) call: Call,
    pub(super) at: Instant,
    /// The same, by the wall's clock.
    pub(super) when: Timestamp,
    /// What was understood of it.
    pub(super) listener: Listener,
}

/// What is left of one run of the script.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) dials: Vec<Dial>,
    pub(super) marks: BTreeMap<String, Instant>,
    /// The calls that came in to phones of the house.
    pub(super) taken: Vec<(String, Call)>,
}

impl Run {
    /// By how much a packet of anybody's voice left too late, at the worst.
    pub(super) fn latest(&self) -> Option<Duration> {
        let calls = self.dials.iter().map(|dial| &dial.call).chain(self.taken.iter().map(|(_, call)| call));
        calls.map(Call::latest).max()
    }
}

/// A step that did not come about.
#[derive(Debug)]
pub(super) struct Stuck {
    pub(super) step: String,
    pub(super) why: String,
}

impl<'a> Stage<'a> {
    pub(super) async fn set(bench: &'a Bench, scenario: &'a Scenario, copy: u16) -> Result<Stage<'a>, Stuck> {
        let tones = tones(scenario).map_err(|why| Stuck { step: "phones".into(), why })?;
        let mut members = BTreeMap::new();
        for ((name, tone), cast) in tones.into_iter().zip(scenario.phones.values()) {
            let stuck = |why: String| Stuck { step: format!("phone {name}"), why };
            members.insert(name, Member::new(bench, cast, copy, tone).await.map_err(stuck)?);
        }
        Ok(Self { bench, scenario, members, dials: Vec::new(), marks: BTreeMap::new() })
    }

    /// One run of the script; afterwards every call is over, whatever came of it.
    pub(super) async fn play(&mut self) -> (Run, Result<(), Stuck>) {
        self.marks.clear();
        let scenario = self.scenario;
        let mut played = Ok(());
        for step in &scenario.script {
            played = self.step(step).await;
            if played.is_err() {
                break;
            }
        }
        let over = self.everybody_gone().await;
        let taken = self
            .members
            .iter_mut()
            .flat_map(|(name, member)| member.taken.drain(..).map(|call| ((*name).to_owned(), call)));
        let taken = taken.collect();
        let run = Run { dials: std::mem::take(&mut self.dials), marks: self.marks.clone(), taken };
        (run, played.and(over))
    }

    pub(super) fn members(&self) -> &BTreeMap<&'a str, Member> {
        &self.members
    }

    async fn step(&mut self, step: &Step) -> Result<(), Stuck> {
        let stuck = |why: String| Stuck { step: step.line.clone(), why };
        let limit = step.within.unwrap_or(LIMIT);
        // Some waits know no limit of their own; what they wait for is never longer than the script says.
        let done = timeout(limit + LIMIT, self.act(&step.act, limit)).await;
        let at = done.map_err(|_| stuck(format!("not done after {limit:?}")))?.map_err(stuck)?;
        if let Some(mark) = &step.mark {
            self.marks.insert(mark.clone(), at);
        }
        Ok(())
    }

    async fn act(&mut self, act: &Act, limit: Duration) -> Result<Instant, String> {
        let begun = Instant::now();
        match act {
            Act::Phone(name, does) => self.phone(name, does, limit).await,
            Act::Talk(one, other, long) => self.talk(one, other, *long, limit).await,
            Act::Connect(name, number, local) => {
                let member = self.members.get(name.as_str()).ok_or("nobody of that name")?;
                let extension = member.extension.ok_or("not a phone of the house")?;
                self.bench.connect(extension, &self.number(number)?, *local).await.map(|()| begun)
            }
            Act::DoNotCall(name, entered) => {
                let member = self.members.get(name.as_str()).ok_or("nobody of that name")?;
                let add =
                    ["register", "add", &member.number, "--do-not-call", "request", "--who", "scenario"];
                let withdraw = [
                    "register",
                    "withdraw",
                    &member.number,
                    "--do-not-call",
                    "--how",
                    "call",
                    "--who",
                    "scenario",
                ];
                let args: &[&str] = if *entered { &add } else { &withdraw };
                self.bench.cli.json(args).await.map(|_| begun)
            }
            Act::Halt(stopped, spared) => {
                let said = self.bench.cli.json(&["halt"]).await?;
                let wanted = serde_json::json!({ "stopped": stopped, "spared": spared, "running": [] });
                if said == wanted { Ok(begun) } else { Err(format!("it said {said}")) }
            }
            Act::Watching => self.bench.watching(limit).await.map(|()| Instant::now()),
            Act::Says(words) => self.bench.says(words, limit).await.map(|()| Instant::now()),
            Act::Room(room) => self.bench.room(*room).map(|()| begun),
            Act::Clock(by) => self.bench.clock(*by).map(|()| begun),
            Act::Vault(gone) => self.bench.vault(*gone).map(|()| begun),
            Act::Pbx(killed) => self.bench.pbx(*killed).await.map(|()| Instant::now()),
            Act::Spool(gone) => self.bench.spool(*gone).map(|()| begun),
            Act::Sidecar(fate) => self.bench.fate(*fate).await.map(|()| begun),
            Act::Store(locked) => self.bench.store(*locked).await.map(|()| begun),
            Act::Policy(name) => {
                let policy = self.scenario.policies.get(name).ok_or("no policy of that name")?;
                self.bench.policy(policy).await
            }
            Act::Link(link, trouble) => self.bench.link(*link, *trouble).map(|()| begun),
            Act::At(mark, by) => {
                let at = *self.marks.get(mark).ok_or_else(|| format!("no mark @{mark}"))?;
                let at = if by.is_negative() { at - by.unsigned_abs() } else { at + by.unsigned_abs() };
                if at < begun {
                    return Err(format!("{} ms too late for it", (begun - at).as_millis()));
                }
                sleep_until(at.into()).await;
                Ok(at)
            }
        }
    }

    async fn phone(&mut self, name: &str, does: &Does, limit: Duration) -> Result<Instant, String> {
        let begun = Instant::now();
        match does {
            Does::Dial(number) => return self.dial(name, number).await,
            Does::BeCalled => return self.called(name, limit).await,
            Does::Hear(text) if TEXTS.contains(&text.as_str()) => {
                return self.hear(name, text, false, limit).await;
            }
            Does::HearWhole(text) => return self.hear(name, text, true, limit).await,
            Does::TurnToOther => {
                let member = self.members.get_mut(name).ok_or("nobody of that name")?;
                std::mem::swap(&mut member.call, &mut member.other);
                return member.call.as_ref().map(|_| begun).ok_or("it has no other call".into());
            }
            _ => {}
        }
        let tone = |other: &str| self.members.get(other).map(|other| other.tone).ok_or("nobody of that name");
        let member = self.members.get(name).ok_or("nobody of that name")?;
        let answering = |answering| {
            member.phone.answer_with(answering);
            Ok(begun)
        };
        match does {
            Does::AnswerByItself => return answering(Answering::After(Duration::ZERO)),
            Does::BeBusy => return answering(Answering::BUSY),
            Does::BeUnplugged => return answering(Answering::Dead),
            Does::NotBeCalled => {
                return match member.phone.next_call(Duration::ZERO).await {
                    Ok(_) => Err("it was called".into()),
                    Err(_) => Ok(begun),
                };
            }
            _ => {}
        }
        let call = member.call.as_ref().ok_or("it is in no call")?;
        let wait = |until| async move { call.wait_for(until, limit).await.map_err(text) };
        let done = |result: Result<(), Error>| result.map(|()| Instant::now()).map_err(text);
        match does {
            Does::Answer => {
                call.answer().await.map_err(text)?;
                wait(Until::Answered).await
            }
            Does::Refuse(status) => done(call.refuse(*status).await),
            Does::Hear(other) => wait(Until::Hears(tone(other)?)).await,
            Does::NoLongerHear(other) => wait(Until::Lacks(tone(other)?)).await,
            Does::Be(condition) => wait(until(*condition)).await,
            Does::Press(keys, Way::Rtp) => call.press(keys, Way::Rtp, KEY).await.map_err(text),
            Does::Press(keys, Way::Info) => {
                let mut released = begun;
                for (n, key) in keys.chars().enumerate() {
                    if n > 0 {
                        sleep(BETWEEN_KEYS).await;
                    }
                    // An INFO comes when the key is released, and Asterisk plays it for its length from then on.
                    released = call.press(&key.to_string(), Way::Info, KEY).await.map_err(text)? + KEY;
                }
                Ok(released)
            }
            Does::Talk(long) => {
                // Its own stream runs on whatever it hears, and while it is silent.
                let ticks = u32::try_from(long.as_millis() * 8).unwrap_or(u32::MAX);
                let first = call.stream().timestamp;
                while call.stream().timestamp.wrapping_sub(first) < ticks {
                    if call.state() == State::Ended {
                        return Err(format!("the call is over; {}", call.ear().summary()));
                    }
                    sleep(LOOK).await;
                }
                Ok(Instant::now())
            }
            Does::Hold => done(call.hold().await),
            Does::Resume => done(call.resume().await),
            Does::Refer(to) => done(call.refer(&self.bench.uri(&self.number(to)?)).await),
            Does::Join => {
                let other = member.other.as_ref().ok_or("it has no other call")?;
                done(other.refer_to(call).await)
            }
            // Hung up is when it is said; the other side's answer comes later.
            Does::HangUp => call.hang_up().await.map(|()| begun).map_err(text),
            Does::Vanish => done(call.vanish().await),
            Does::Speak(hz) => {
                call.speak(Voice::Tone(Tone::new(hz.unwrap_or(member.tone))));
                Ok(begun)
            }
            Does::GoOnAt(sequence) => {
                call.go_on_at(Stream { sequence: *sequence, ..call.stream() });
                Ok(begun)
            }
            _ => Err("not done by a phone in a call".into()),
        }
    }

    async fn dial(&mut self, name: &str, number: &str) -> Result<Instant, String> {
        let uri = self.bench.uri(&self.number(number)?);
        let member = self.members.get_mut(name).ok_or("nobody of that name")?;
        let (at, when) = (Instant::now(), Timestamp::now());
        let call = member.phone.call(&uri, member.options.clone()).await.map_err(text)?;
        member.take_up(call.clone());
        member.passed = 0;
        if member.extension.is_none() {
            self.dials.push(Dial { by: name.to_owned(), call, at, when, listener: Listener::default() });
        } else {
            member.taken.push(call);
        }
        Ok(at)
    }

    async fn called(&mut self, name: &str, limit: Duration) -> Result<Instant, String> {
        let member = self.members.get_mut(name).ok_or("nobody of that name")?;
        let call = match member.phone.next_call(limit).await {
            Ok(call) => call,
            Err(error) => return Err(format!("{error}\n{}", self.seen())),
        };
        let (at, when) = (Instant::now(), Timestamp::now());
        member.take_up(call.clone());
        member.passed = 0;
        if member.extension.is_none() {
            self.dials.push(Dial { by: name.to_owned(), call, at, when, listener: Listener::default() });
        } else {
            member.taken.push(call);
        }
        Ok(at)
    }

    /// Waits until a prompt has begun, or was heard whole, that the script has not gone past.
    async fn hear(
        &mut self,
        name: &str,
        text: &str,
        whole: bool,
        limit: Duration,
    ) -> Result<Instant, String> {
        let deadline = Instant::now() + limit;
        let dial = self.dials.iter_mut().rev().find(|dial| dial.by == name).ok_or("it has not dialled")?;
        let member = self.members.get_mut(name).ok_or("nobody of that name")?;
        let call = dial.call.clone();
        loop {
            let now = Instant::now();
            let heard = self.bench.repertoire.heard(&mut dial.listener, call.ear(), dial.at);
            // Its last packet is never whole, so it may be counted to the next prompt.
            let there = Repertoire::samples(call.ear(), dial.at) + FRAME;
            let is = |heard: &Heard| heard.text == text && (!whole || heard.whole && heard.end <= there);
            let found = heard.iter().enumerate().skip(member.passed).find(|(_, heard)| is(heard));
            if let Some((at, heard)) = found {
                member.passed = at + usize::from(whole);
                return Ok(if whole {
                    instant_of(call.ear(), dial.at, heard.end.min(there - FRAME))
                } else {
                    now
                });
            }
            let over = call.state() == State::Ended;
            if over || now > deadline {
                let why = if over { "the call is over".to_owned() } else { format!("not within {limit:?}") };
                return Err(format!("{why}; of prompts was heard: {heard:?}; {}", call.ear().summary()));
            }
            sleep(LOOK).await;
        }
    }

    async fn talk(&self, one: &str, other: &str, long: Duration, limit: Duration) -> Result<Instant, String> {
        let up = |name: &str| {
            let member = self.members.get(name)?;
            Some((member.call.clone()?, member.tone))
        };
        let ((one, low), (other, high)) = up(one).zip(up(other)).ok_or("not both are in a call")?;
        one.wait_for(Until::Hears(high), limit).await.map_err(text)?;
        other.wait_for(Until::Hears(low), limit).await.map_err(text)?;
        let (of_one, of_other) = (one.ear().all_packets(), other.ear().all_packets());
        let more = packets(long);
        let first = one.wait_for(Until::Packets(of_one + more), limit + long).await.map_err(text)?;
        let second = other.wait_for(Until::Packets(of_other + more), limit + long).await.map_err(text)?;
        Ok(first.max(second))
    }

    /// Hangs up what is still up, and waits until every call is over.
    async fn everybody_gone(&mut self) -> Result<(), Stuck> {
        let mut alive: Vec<(String, Call)> = Vec::new();
        for (name, member) in &mut self.members {
            (member.call, member.other) = (None, None);
            member.phone.answer_with(Answering::Ring);
            while let Ok(call) = member.phone.next_call(Duration::ZERO).await {
                member.taken.push(call);
            }
            alive.extend(member.taken.iter().map(|call| ((*name).to_owned(), call.clone())));
        }
        alive.extend(self.dials.iter().map(|dial| (dial.by.clone(), dial.call.clone())));
        let deadline = tokio::time::Instant::now() + OVER;
        let mut stuck = Ok(());
        for (name, call) in alive {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            if let Err(error) = call.ended(left).await {
                let _ = timeout(OVER, call.hang_up()).await;
                stuck = Err(Stuck { step: format!("after the last step, {name} is over"), why: text(error) });
            }
        }
        stuck
    }

    /// `81{amel}` → `8111` for extension 2011; `01{caller}` → 01, the digits of his number, and his telephone's port.
    fn number(&self, template: &str) -> Result<String, String> {
        let Some((before, rest)) = template.split_once('{') else {
            return Ok(template.to_owned());
        };
        let (name, after) = rest.split_once('}').ok_or_else(|| format!("`{template}` has no end"))?;
        let member = self.members.get(name).ok_or_else(|| format!("there is no `{name}`"))?;
        Ok(match member.extension {
            Some(extension) => format!("{before}{:02}{after}", extension % 100),
            None => {
                let digits = member.number.trim_start_matches('+');
                format!("{before}{digits}{:05}{after}", member.phone.address().port())
            }
        })
    }

    fn seen(&self) -> String {
        let call = |dial: &Dial| {
            let heard = self.bench.repertoire.heard(&mut dial.listener.clone(), dial.call.ear(), dial.at);
            let heard: Vec<(&str, bool)> = heard.iter().map(|heard| (heard.text, heard.whole)).collect();
            format!("{} is {:?}, heard {heard:?}, {}", dial.by, dial.call.state(), dial.call.ear().summary())
        };
        self.dials.iter().map(call).collect::<Vec<_>>().join("\n")
    }
}

impl Member {
    async fn new(bench: &Bench, cast: &Cast, copy: u16, tone: u32) -> Result<Self, String> {
        let number = match (&cast.number, cast.extension) {
            (Some(number), _) => number.clone(),
            (None, Some(extension)) => (extension + copy).to_string(),
            (None, None) => bench.number(),
        };
        let extension = cast.extension.map(|extension| extension + copy);
        let phone = match extension {
            Some(extension) => bench.house(extension).cloned().ok_or("no such phone in the house")?,
            None => Phone::bind(Ipv4Addr::new(127, 0, 0, 2), "customer").await.map_err(text)?,
        };
        phone.speak(Tone::new(tone));
        phone.answer_with(Answering::Ring);
        if let Some(sequence) = cast.rtp {
            phone.begin_at(Stream { sequence, timestamp: 0, ssrc: u32::from(sequence) + 1 });
        }
        // What nobody took up before.
        while phone.next_call(Duration::ZERO).await.is_ok() {}
        let options = CallOptions {
            user: Some(number.clone()),
            display: cast.display.clone(),
            raw_from: cast.raw_from.clone(),
            voice: Some(Voice::Tone(Tone::new(tone))),
            ..CallOptions::default()
        };
        if extension.is_none() {
            // Logs that name a customer do it in one of many spellings; the last nine digits are in all of them.
            let digits: String = number.chars().filter(char::is_ascii_digit).collect();
            let personal = digits.get(digits.len().saturating_sub(9)..).unwrap_or_default();
            for text in [personal, cast.display.as_deref().unwrap_or_default()] {
                if text.len() >= 6 {
                    bench.never_log(text);
                }
            }
        }
        let (taken, passed) = (Vec::new(), 0);
        Ok(Self { phone, tone, number, extension, options, call: None, other: None, taken, passed })
    }

    fn take_up(&mut self, call: Call) {
        self.other = self.call.replace(call).filter(|before| before.state() != State::Ended);
    }
}

fn until(condition: Condition) -> Until {
    match condition {
        Condition::Ringing => Until::Ringing,
        Condition::Answered => Until::Answered,
        Condition::Held => Until::Held,
        Condition::Resumed => Until::Resumed,
        Condition::Transferred => Until::Transferred,
        Condition::Over => Until::Ended,
    }
}

fn packets(long: Duration) -> u64 {
    u64::try_from(long.as_millis() / 20).unwrap_or(u64::MAX)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
