//! What the dialplan is told before it dials a customer: one variable, whose fields it takes apart by `CUT`.
//!
//! | field | what |
//! |---|---|
//! | 1 | the ticket, given back in `TemoinAnswer` |
//! | 2 | the text: `opt-out`, `opt-in`, `notice`; empty where nothing is asked |
//! | 3–7 | sounds without their endings: the announcement, details, refused, alternative, unavailable |
//! | 8–10 | keys: object, accept, info |
//! | 11 | how long a key is awaited, ms |
//! | 12 | what becomes of the call, a letter each for accepted, silent, objected, unheard: `g`oes on, `a`lternative, `e`nds |
//! | 13 | `amd` where a machine is to be detected first |
//! | 14 | the length of the announcement, ms: less played is not heard |
//! | 15 | the sound with which a contract talk begins |

use temoin_core::command::{Briefing, DriverError, Media};
use temoin_core::desk::Text;
use temoin_core::words::Refusal;

use crate::dialplan::is_plain;

/// Longer, and Asterisk cuts a variable that it inherits.
const LONGEST: usize = 4000;

/// The briefing as the dialplan reads it.
///
/// # Errors
/// `Refused` for a sound or a key that the dialplan could take for something else: whoever put it there must name it
/// otherwise.
pub(super) fn pack(briefing: &Briefing) -> Result<String, DriverError> {
    let (text, announcement) = briefing.announcement.as_ref().map(|(text, media)| (*text, media)).unzip();
    let text = text.map(name).unwrap_or_default();
    let sounds = [
        announcement,
        briefing.info.as_ref(),
        briefing.refused.as_ref(),
        briefing.alternative.as_ref(),
        briefing.unavailable.as_ref(),
    ];
    let mut fields = vec![briefing.ticket.clone(), text.into()];
    for sound in sounds {
        fields.push(sound.map(path).transpose()?.unwrap_or_default());
    }
    for key in [&briefing.object, &briefing.accept, &briefing.info_key] {
        fields.push(key.as_deref().map(digit).transpose()?.unwrap_or_default());
    }
    fields.push(briefing.wait.as_millis().to_string());
    let outcomes = briefing.outcomes;
    let letters = [outcomes.accepted, outcomes.silent, outcomes.objected, outcomes.unheard].map(letter);
    fields.push(letters.concat());
    fields.push(if briefing.detect_machine { "amd" } else { "" }.into());
    fields.push(announcement.map(|media| media.length.as_millis().to_string()).unwrap_or_default());
    fields.push(briefing.step.as_ref().map(path).transpose()?.unwrap_or_default());
    let packed = fields.join("|");
    if packed.len() > LONGEST {
        return Err(DriverError::Refused(
            "the prompts' paths are too long: put them into a shorter folder".into(),
        ));
    }
    Ok(packed)
}

/// The announcements by the names that `TemoinSaid` gives back.
fn name(text: Text) -> &'static str {
    match text {
        Text::OptIn => "opt-in",
        Text::OptOut => "opt-out",
        _ => "notice",
    }
}

fn letter(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Continue => "g",
        Refusal::AlternativeChannel => "a",
        Refusal::RefuseRegulatedService | Refusal::TerminateCall => "e",
    }
}

fn path(media: &Media) -> Result<String, DriverError> {
    if is_plain(&media.name) {
        return Ok(media.name.clone());
    }
    Err(DriverError::Refused("a prompt's path has more than letters, digits and /._- in it".into()))
}

fn digit(key: &str) -> Result<String, DriverError> {
    // `*` and `#` would wind the announcement back or on.
    if key.len() == 1 && key.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(key.into());
    }
    Err(DriverError::Refused(
        "a customer's key that is not one digit cannot be asked for when he is called".into(),
    ))
}
