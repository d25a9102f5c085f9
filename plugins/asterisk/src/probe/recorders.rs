//! What else records on this PBX: by itself, at somebody's key, or where the dialplan says so.
//!
//! FreePBX keeps what its extensions record in the database of Asterisk (`AMPUSER/<extension>/recording/…`), and what its
//! routes and queues record as the third argument of `sub-record-check` in the dialplan that it writes. The rest stands in
//! Asterisk's own files. Left out: options `x` and `w` of `Dial` and `Queue`, which do nothing without a code of
//! `[featuremap]`; endpoints, queues and dialplans that are not in files (realtime, AEL, Lua); conferences that record
//! themselves (`confbridge.conf`); arguments that the dialplan works out as it runs.

use std::collections::BTreeSet;

use temoin_core::finding::Code;
use tokio::time::Instant;

use super::conf::{self, Conf, Unread};
use super::{Probe, dialplan};
use crate::ami::connection::Handle;
use crate::ami::frame::{Action, Message};
use crate::config::{AsteriskConfig, wait};

/// FreePBX's own places for its recorder, which run only where a mode or a key says so.
const GENERATED: [&str; 5] = [
    "sub-record-check",
    "sub-record-cancel",
    "macro-one-touch-record",
    "one-touch-record",
    "sub-one-touch-record",
];
/// The sections of a dialplan that have to do with recorders. A comma or `=` would end the expression.
const RECORDERS: &str = "^(exten|same)$=([Mm]onitor[(]|sub-record-check)";
/// So many names are given as examples.
const EXAMPLES: usize = 3;

/// Looks at all of it. The dialplan comes last: a message larger than we take ends the connection.
pub(super) async fn look(config: &AsteriskConfig, ami: &Handle, may: &Message, probe: &mut Probe) {
    let deadline = || Instant::now() + wait(config.deadlines.connect);
    if may.first("DBGetTree").is_some() {
        look_at_extensions(ami, deadline(), probe).await;
    }
    if may.first("GetConfig").is_none() {
        let user = &config.ami.user;
        let hint = format!(
            "what records in features.conf, queues.conf and the dialplan cannot be read: add `system` to the `write` of `{user}`"
        );
        return probe.tell("manager.conf", &format!("{user}.write.GetConfig"), Code::PbxUnseen, hint);
    }
    if let Some(features) = read(ami, "features.conf", None, deadline(), probe).await {
        probe.codes = Some(dialplan::codes(&features));
        keys(&features, probe);
    }
    if let Some(queues) = read(ami, "queues.conf", Some("^monitor-format$=."), deadline(), probe).await {
        queue_files(&queues, probe);
    }
    if let Some(endpoints) = read(ami, "pjsip.conf", Some("^one_touch_recording$=."), deadline(), probe).await
    {
        buttons(&endpoints, probe);
    }
    if let Some(extensions) = read(ami, "extensions.conf", Some(RECORDERS), deadline(), probe).await {
        dialled(&extensions, probe);
    }
}

/// A file; that it cannot be read is told, that there is none is not.
async fn read(
    ami: &Handle,
    file: &str,
    filter: Option<&str>,
    deadline: Instant,
    probe: &mut Probe,
) -> Option<Conf> {
    match conf::read(ami, file, filter, deadline).await {
        Ok(conf) => Some(conf),
        Err(Unread::Absent) => None,
        Err(Unread::Refused(why)) => {
            let hint = format!(
                "what records there could not be read over AMI ({why}): look yourself for MixMonitor, automixmon, \
                 monitor-format and one_touch_recording"
            );
            probe.tell(file, "", Code::PbxUnseen, hint);
            None
        }
    }
}

async fn look_at_extensions(ami: &Handle, deadline: Instant, probe: &mut Probe) {
    match ami.list(Action::new("DBGetTree").with("Family", "AMPUSER"), deadline).await {
        Ok(answers) => {
            let entries = answers.iter().filter_map(|entry| Some((entry.first("Key")?, entry.first("Val")?)));
            extensions(entries, probe);
        }
        Err(error) => {
            let hint = format!(
                "what FreePBX's extensions record could not be read ({error}): `asterisk -rx \"database show AMPUSER\"`, \
                 and look for `recording`"
            );
            probe.tell("AstDB", "AMPUSER", Code::PbxUnseen, hint);
        }
    }
}

/// `/AMPUSER/2101/recording/in/external: force`.
fn extensions<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>, probe: &mut Probe) {
    let (mut always, mut on_demand) = (BTreeSet::new(), BTreeSet::new());
    let (mut path, mut path_on_demand) = (None, None);
    for (key, value) in entries {
        let Some((extension, which)) = key
            .strip_prefix("/AMPUSER/")
            .and_then(|key| key.split_once('/'))
            .and_then(|(extension, key)| Some((extension, key.strip_prefix("recording/")?)))
        else {
            continue;
        };
        let value = value.trim().to_ascii_lowercase();
        let is_direction = which.starts_with("in/") || which.starts_with("out/");
        if is_direction && FORCED.contains(&value.as_str()) {
            always.insert(extension);
            path.get_or_insert_with(|| key.trim_start_matches('/').to_owned());
        } else if which == "ondemand" && matches!(value.as_str(), "enabled" | "override") {
            on_demand.insert(extension);
            path_on_demand.get_or_insert_with(|| key.trim_start_matches('/').to_owned());
        }
    }
    if let Some(path) = path {
        let hint = format!(
            "FreePBX records every call of {}: Extension → Recording Options → Don't Care, No or Never, and `Apply Config`",
            some(&always, "extension")
        );
        probe.tell("AstDB", &path, Code::PbxRecords, hint);
    }
    if let Some(path) = path_on_demand {
        let hint = format!(
            "whoever is at {} can record by a key of FreePBX: Extension → Recording Options → On Demand Recording → \
             Disable, and `Apply Config`",
            some(&on_demand, "extension")
        );
        probe.tell("AstDB", &path, Code::PbxMayRecord, hint);
    }
}

/// The modes of FreePBX that record without anybody's wish; `always` is an older word of it.
const FORCED: [&str; 3] = ["force", "yes", "always"];

/// `3 extensions (2101, 2102, 2103)`, `5 queues (400, 401, 402, …)`.
fn some(names: &BTreeSet<&str>, what: &str) -> String {
    let few: Vec<&str> = names.iter().copied().take(EXAMPLES).collect();
    let more = if names.len() > EXAMPLES { ", …" } else { "" };
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{} {what}{plural} ({}{more})", names.len(), few.join(", "))
}

/// Codes in the talk that begin a recorder.
fn keys(features: &Conf, probe: &mut Probe) {
    for (key, code) in features.lines("featuremap").filter(|(key, code)| {
        ["automixmon", "automon"].iter().any(|own| key.eq_ignore_ascii_case(own)) && !code.is_empty()
    }) {
        let hint = format!(
            "with {code} whoever may press it begins a recording of his own: take `{key}` out of [featuremap] (FreePBX: \
             Admin → Feature Codes), and `module reload features`"
        );
        probe.tell("features.conf", &format!("featuremap.{key}"), Code::PbxMayRecord, hint);
    }
    let recorders = features.lines("applicationmap").filter_map(|(name, value)| {
        let (code, runs) = value.split_once(',')?;
        begins_recorder(runs).then(|| (name, code.trim()))
    });
    for (name, code) in recorders {
        let hint = format!(
            "the code {code} runs a recorder, or what is called one: take `{name}` out of [applicationmap] (FreePBX: \
             Admin → Feature Codes → In-Call Asterisk Toggle Call Recording), and `module reload features`"
        );
        probe.tell("features.conf", &format!("applicationmap.{name}"), Code::PbxMayRecord, hint);
    }
}

/// What follows the code: `self,Gosub,"macro-one-touch-record,s,1"`. Of what is run by a name only the name is known.
fn begins_recorder(runs: &str) -> bool {
    let runs = runs.to_ascii_lowercase();
    let mut words =
        runs.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-' || letter == '_'));
    let stops = runs.contains("stopmixmonitor") || runs.contains("stopmonitor");
    !runs.contains("temoin-")
        && words.any(|word| match word {
            "mixmonitor" | "monitor" => true,
            word => word.contains("record") && !stops,
        })
}

/// Queues that record what passes through them.
fn queue_files(queues: &Conf, probe: &mut Probe) {
    let records =
        |(key, value): &&(String, String)| key.eq_ignore_ascii_case("monitor-format") && !value.is_empty();
    let recording: BTreeSet<&str> = queues
        .0
        .iter()
        .filter(|queue| queue.lines.iter().filter(records).count() > 0)
        .map(|queue| queue.name.as_str())
        .collect();
    if let Some(first) = recording.first() {
        let hint = format!(
            "every call of {} is recorded by the queue itself: take `monitor-format` out, and `queue reload all`",
            some(&recording, "queue")
        );
        probe.tell("queues.conf", &format!("{first}.monitor-format"), Code::PbxRecords, hint);
    }
}

/// Phones whose own record button is listened to (`Record: on` in SIP INFO).
fn buttons(endpoints: &Conf, probe: &mut Probe) {
    let listens = |(key, value): &&(String, String)| {
        let value = value.to_ascii_lowercase();
        key == "one_touch_recording" && ["yes", "true", "y", "t", "1", "on"].contains(&value.as_str())
    };
    let listening: BTreeSet<&str> = endpoints
        .0
        .iter()
        .filter(|endpoint| endpoint.lines.iter().filter(listens).count() > 0)
        .map(|endpoint| endpoint.name.as_str())
        .collect();
    if let Some(first) = listening.first() {
        let hint = format!(
            "the record button of {} begins a recording of its own: set `one_touch_recording = no`, and `module reload \
             res_pjsip.so`",
            some(&listening, "endpoint")
        );
        probe.tell("pjsip.conf", &format!("{first}.one_touch_recording"), Code::PbxMayRecord, hint);
    }
}

/// What the dialplan records: where FreePBX was told to, and where somebody's own runs a recorder.
fn dialled(extensions: &Conf, probe: &mut Probe) {
    for context in &extensions.0 {
        let is_known = GENERATED.contains(&context.name.as_str()) || context.name.starts_with("temoin-");
        let lines = || context.lines.iter().filter(|(key, _)| key == "exten" || key == "same");
        let forced: BTreeSet<&str> = lines().filter_map(|(_, step)| forced(step)).collect();
        if !forced.is_empty() {
            let hint = format!(
                "FreePBX records every call of {}: Call Recording → Don't Care, No or Never (inbound and outbound routes, \
                 queues, ring groups, conferences), and `Apply Config`",
                some(&forced, "destination")
            );
            probe.tell("extensions.conf", &context.name, Code::PbxRecords, hint);
        }
        let own = lines().find(|(_, step)| !is_known && runs_recorder(step));
        if let Some((_, step)) = own {
            let extension = step.split(',').next().unwrap_or_default();
            let hint = format!(
                "this context runs a recorder of its own (`{extension}`): take it out wherever calls that Témoin sees can \
                 pass, and `dialplan reload`"
            );
            probe.tell("extensions.conf", &context.name, Code::PbxMayRecord, hint);
        }
    }
}

/// Whom `sub-record-check` is told to record whatever else is said: `…Gosub(sub-record-check,s,1(q,400,force))`. A mode
/// that is worked out is counted when it can come out so.
fn forced(step: &str) -> Option<&str> {
    let (_, called) = step.split_once("sub-record-check,s,1(")?;
    let mut arguments = called.splitn(3, ',');
    let (_, whom, mode) = (arguments.next()?, arguments.next()?, arguments.next()?);
    let mode = mode.to_ascii_lowercase();
    let mut words = mode.split(|letter: char| !letter.is_ascii_alphanumeric());
    words.any(|word| FORCED.contains(&word)).then_some(whom)
}

/// Whether a step runs `MixMonitor` or `Monitor`, by itself or behind a condition; not what stops them.
fn runs_recorder(step: &str) -> bool {
    let step = step.to_ascii_lowercase();
    step.match_indices("monitor(").any(|(at, _)| {
        let before = step[..at].strip_suffix("mix").unwrap_or(&step[..at]);
        !before.ends_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(look: impl FnOnce(&mut Probe)) -> Vec<String> {
        let mut probe = Probe::default();
        look(&mut probe);
        probe.findings.iter().map(|found| format!("{} {} {}", found.code, found.file, found.path)).collect()
    }

    #[test]
    fn extensions_are_counted_once_and_a_few_are_named() {
        let force = |n: u32| format!("/AMPUSER/{n}/recording/in/external");
        let keys: Vec<String> = (2101..2106).map(force).collect();
        let mut entries: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "force")).collect();
        entries.extend([
            ("/AMPUSER/2101/recording/out/internal", "YES"),
            ("/AMPUSER/2107/recording/out/internal", "dontcare"),
            ("/AMPUSER/2107/recording/ondemand", "disabled"),
            ("/AMPUSER/2108/recording/priority", "yes"),
            ("/AMPUSER/2108/voicemail", "force"),
            ("/AMPUSER/2108", "force"),
            ("/DEVICE/2108/recording/in/external", "force"),
        ]);
        let mut probe = Probe::default();
        extensions(entries.into_iter(), &mut probe);
        assert_eq!(probe.findings.len(), 1, "{:?}", probe.findings);
        assert!(
            probe.findings[0].hint.contains("5 extensions (2101, 2102, 2103, …)"),
            "{:?}",
            probe.findings
        );
        let told =
            told(|probe| extensions([("/AMPUSER/2109/recording/ondemand", "override")].into_iter(), probe));
        assert_eq!(told, ["W-PBX-MAY-RECORD AstDB AMPUSER/2109/recording/ondemand"]);
    }

    #[test]
    fn keys_that_begin_a_recorder_are_told_apart_from_others() {
        for (runs, is_one) in [
            ("self,Gosub,\"macro-one-touch-record,s,1\"", true),
            ("caller,Macro,one-touch-record", true),
            ("peer,MixMonitor,/tmp/x.wav", true),
            ("self,Monitor(wav)", true),
            ("peer,StopMixMonitor", false),
            ("peer,Gosub,\"stop-record,s,1(StopMixMonitor)\"", false),
            ("self,Park", false),
            ("peer,Gosub,\"temoin-code,s,1(*9)\"", false),
        ] {
            assert_eq!(begins_recorder(runs), is_one, "{runs}");
        }
    }

    #[test]
    fn steps_that_record_are_told_apart_from_those_that_stop() {
        for (step, is_one) in [
            ("s,1,MixMonitor(x.wav,b)", true),
            ("n,ExecIf($[1]?mixmonitor(x.wav))", true),
            ("n(label),Monitor(wav,x)", true),
            ("n,StopMixMonitor()", false),
            ("n,PauseMonitor()", false),
            ("n,Set(AUTOMONITOR(x)=1)", false),
            ("n,NoOp(monitor)", false),
        ] {
            assert_eq!(runs_recorder(step), is_one, "{step}");
        }
        assert_eq!(forced("400,n,Gosub(sub-record-check,s,1(q,400,force))"), Some("400"));
        assert_eq!(
            forced("n,Gosub(sub-record-check,s,1(in,${EXTEN},${IF($[1]?yes:dontcare)}))"),
            Some("${EXTEN}")
        );
        assert_eq!(forced("n,Gosub(sub-record-check,s,1(q,400,dontcare))"), None);
        assert_eq!(forced("n,Gosub(sub-record-check,s,1(q,400,never))"), None);
        assert_eq!(forced("n,Gosub(sub-record-check,s,1(q"), None);
    }

    #[test]
    fn every_place_is_told_once() {
        let dialplan = conf::told(&[
            ("Category-000000", "sub-record-check"),
            ("Line-000000-000000", "exten=s,1,MixMonitor(x.wav)"),
            ("Category-000001", "ext-queues"),
            ("Line-000001-000000", "exten=400,1,Gosub(sub-record-check,s,1(q,400,force))"),
            ("Line-000001-000001", "exten=401,1,Gosub(sub-record-check,s,1(q,401,yes))"),
            ("Category-000002", "my-recorder"),
            ("Line-000002-000000", "exten=s,1,NoOp()"),
            ("Line-000002-000001", "same=n,MixMonitor(x.wav)"),
            ("Line-000002-000002", "same=n,MixMonitor(y.wav)"),
        ]);
        let wanted =
            ["E-PBX-RECORDS extensions.conf ext-queues", "W-PBX-MAY-RECORD extensions.conf my-recorder"];
        assert_eq!(told(|probe| dialled(&dialplan, probe)), wanted);
        let queues = conf::told(&[
            ("Category-000000", "general"),
            ("Category-000001", "400"),
            ("Line-000001-000000", "monitor-format=wav"),
            ("Category-000002", "401"),
            ("Line-000002-000000", "monitor-format="),
        ]);
        assert_eq!(
            told(|probe| queue_files(&queues, probe)),
            ["E-PBX-RECORDS queues.conf 400.monitor-format"]
        );
        let endpoints = conf::told(&[
            ("Category-000000", "2101"),
            ("Line-000000-000000", "one_touch_recording=yes"),
            ("Category-000001", "2102"),
            ("Line-000001-000000", "one_touch_recording=no"),
        ]);
        let wanted = ["W-PBX-MAY-RECORD pjsip.conf 2101.one_touch_recording"];
        assert_eq!(told(|probe| buttons(&endpoints, probe)), wanted);
    }
}
