//! What `verify` found, for people and for machines. Calls with somebody exempt are told one by one as they are found,
//! however many there are.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use temoin_core::ports::{Store, Vault};

use crate::cli::{Failure, Outcome, print, say};
use crate::config::hex;
use crate::keep::{self, Exempt, ExemptCall, Report, VerifyError};
use crate::show::{clock, time};

/// Looks at everything and tells it; with `exempt`, calls with somebody who must never be recorded too.
pub(crate) async fn verify(
    store: &dyn Store,
    vault: &dyn Vault,
    zone: &TimeZone,
    json: bool,
    exempt: bool,
) -> Outcome {
    let report = keep::verify(store, vault).await.map_err(unavailable)?;
    let mut is_sound = report.is_sound();
    match (json, exempt) {
        (true, false) => print(&report_json(&report))?,
        (false, false) => say(format_args!("{}", text(&report)))?,
        (true, true) => {
            // One object, begun before its end is known.
            say(format_args!("{{\"exempt\": {{\"each\": ["))?;
            let mut first = true;
            let mut tell = |call: &ExemptCall| {
                let comma = if std::mem::take(&mut first) { "" } else { "," };
                say(format_args!("{comma}{}", call_json(call)))
            };
            let found = told(store, &report, &mut tell).await?;
            is_sound &= found.overlapping == 0;
            let rest = format!("{:#}", report_json(&report));
            let rest = rest.trim_start_matches('{');
            let Exempt { calls, kept, overlapping, unseen } = found;
            say(format_args!(
                "], \"calls\": {calls}, \"kept\": {kept}, \"overlapping\": {overlapping}, \"unseen\": {unseen}}},{rest}"
            ))?;
        }
        (false, true) => {
            say(format_args!("{}", text(&report)))?;
            let mut tell = |call: &ExemptCall| say(format_args!("{}", call_text(call, zone)));
            let found = told(store, &report, &mut tell).await?;
            is_sound &= found.overlapping == 0;
            say(format_args!("{}", summary(&found, &report)))?;
        }
    }
    if is_sound { Ok(()) } else { Err(Failure::Found) }
}

/// Tells each call; the first that cannot be told ends the telling.
async fn told(
    store: &dyn Store,
    report: &Report,
    tell: &mut (dyn FnMut(&ExemptCall) -> Outcome + Send),
) -> Result<Exempt, Failure> {
    let mut outcome = Ok(());
    let mut each = |call: &ExemptCall| {
        if outcome.is_ok() {
            outcome = tell(call);
        }
    };
    let found = keep::exempt(store, report, &mut each).await.map_err(unavailable)?;
    outcome.map(|()| found)
}

fn unavailable(error: VerifyError) -> Failure {
    Failure::Unavailable(error.to_string())
}

fn report_json(report: &Report) -> Value {
    json!({
        "sound": report.is_sound(), "rows": report.rows, "erased": report.erased, "head": hex(&report.head),
        "broken": report.broken.as_ref().map(ToString::to_string), "kept": report.kept, "objects": report.objects,
        "unseen": {
            "erased": report.unseen.erased, "clock_set": report.unseen.clock_set, "no_start": report.unseen.no_start,
        },
        "faults": report.faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn text(report: &Report) -> String {
    let mut lines = vec![
        format!(
            "journal: {} rows verify, {} of them erased on their date; head {}",
            report.rows,
            report.erased,
            hex(&report.head)
        ),
        format!("vault: {} objects for {} recordings", report.objects, report.kept),
        format!(
            "stories: {} of {} recordings were held against what was decided and when",
            report.kept - report.unseen.all().min(report.kept),
            report.kept
        ),
    ];
    let unseen = [
        (report.unseen.erased, "what decided over them was erased on its date"),
        (report.unseen.clock_set, "the clock was set while they were recorded, or before in their calls"),
        (report.unseen.no_start, "a law demanded them, and nobody saw them begin"),
    ];
    let unseen = unseen.iter().filter(|(count, _)| *count > 0);
    lines.extend(unseen.map(|(count, why)| format!("NOT LOOKED AT: {count} recordings: {why}")));
    lines.extend(report.broken.iter().map(|broken| format!("BROKEN: {broken}")));
    lines.extend(report.faults.iter().map(|fault| format!("FAULT: {fault}")));
    lines.join("\n")
}

fn call_json(call: &ExemptCall) -> Value {
    let there: Vec<Value> =
        call.there.iter().map(|(from, until)| json!({ "from": from, "until": until })).collect();
    let kept: Vec<Value> = call
        .kept
        .iter()
        .map(|kept| {
            json!({
                "segment": kept.segment, "from": kept.span.map(|span| span.from),
                "until": kept.span.map(|span| span.until), "overlap_ms": kept.overlap,
            })
        })
        .collect();
    json!({ "call": call.call, "there": there, "kept": kept })
}

fn call_text(call: &ExemptCall, zone: &TimeZone) -> String {
    let span = |from: Timestamp, until: Option<Timestamp>| {
        let until = until.map_or_else(|| "an end that is not told".to_owned(), |until| clock(until, zone));
        format!("{}{} to {until}", time(from, zone), millis(from))
    };
    let mut lines = vec![format!("call {}", call.call)];
    lines.extend(call.there.iter().map(|(from, until)| format!("  exempt there {}", span(*from, *until))));
    lines.extend(call.kept.iter().map(|kept| {
        let when = kept.span.map_or_else(
            || "at a time that the journal does not tell".to_owned(),
            |kept| span(kept.from, Some(kept.until)),
        );
        let overlap = match kept.overlap {
            Some(0) => String::new(),
            Some(ms) => format!(" OVERLAPS by {ms} ms"),
            None => " (NOT LOOKED AT)".to_owned(),
        };
        format!("  kept {} {when}{overlap}", kept.segment)
    }));
    lines.join("\n")
}

/// After the seconds.
fn millis(at: Timestamp) -> String {
    format!(".{:03}", at.subsec_millisecond())
}

fn summary(found: &Exempt, report: &Report) -> String {
    let Exempt { calls, kept, overlapping, unseen } = found;
    let mut text = format!(
        "exempt: {calls} calls with somebody who must never be recorded, {kept} recordings kept of them, {overlapping} of \
         these while he was there"
    );
    if *unseen > 0 {
        text.push_str(&format!(", {unseen} not looked at"));
    }
    if report.erased > 0 {
        text.push_str("; calls of which the journal was erased on its date are not counted");
    }
    if report.broken.is_some() {
        text.push_str("; nothing after the break was looked at");
    }
    text
}
