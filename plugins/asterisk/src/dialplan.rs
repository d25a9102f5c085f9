//! What an admin includes that depends on his policy, as text: the codes (`features.conf`) and the lines' hooks
//! (`extensions.conf`). Pure; what does not depend on it stands in `dialplans/asterisk`.
//!
//! A code works for exactly the channel whose own `DYNAMIC_FEATURES` names it: agents have the group `temoin-agent` by their
//! endpoint, the customer has `temoin-customer` by the hook. So nobody can press another's, and his digits pass through.

use std::fmt::Write as _;

/// A code of the talk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// Its name behind `temoin-`: lower-case letters, digits, hyphens.
    pub name: String,
    /// As it is dialled: `0-9 * #`.
    pub digits: String,
    /// What `temoin-code` does, beside stopping the recorders.
    pub does: Does,
}

/// What `temoin-code` does for a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// An agent's; nothing more.
    Stops,
    /// An agent's; and it stops nothing.
    Keeps,
    /// An agent's; and tells the customer that a contract talk begins, where the line has words for it.
    Steps,
    /// The customer's own.
    Customers,
}

/// A line of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// What customers dial.
    pub numbers: Vec<String>,
    /// The call must not go on unrecorded.
    pub refuses: bool,
    /// Agents call customers from it.
    pub calls: bool,
}

/// A name that the dialplan would read as something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the dialplan cannot name `{0}`: letters, digits and _ . - only")]
pub struct Unnameable(pub String);

/// Whether a sound's name means itself wherever the dialplan puts it: letters, digits and `/ _ . + -`.
pub fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_.+-".contains(c);
    !name.is_empty() && name.chars().all(plain)
}

/// The text of `temoin-features.conf`.
pub fn features(codes: &[Code]) -> String {
    let mut text = String::from(
        "; Témoin's codes in the talk.      #include temoin-features.conf    at the end of features.conf\n;\n\
         ; A code works for exactly the channel whose own DYNAMIC_FEATURES names it: agents get the group temoin-agent by\n\
         ; their endpoint, the customer gets temoin-customer by the hook. None of them may stand in [featuremap], too.\n\
         [applicationmap](+)\n",
    );
    let width = codes.iter().map(|code| code.name.len()).max().unwrap_or_default();
    for Code { name, digits, does } in codes {
        let (side, more) = match does {
            Does::Stops => ("peer", ""),
            Does::Keeps => ("peer", ",keep"),
            Does::Steps => ("peer", ",steps"),
            Does::Customers => ("self", ",self"),
        };
        let _ = writeln!(
            text,
            "temoin-{name:<width$} => {digits},{side},Gosub,\"temoin-code,s,1({digits}{more})\""
        );
    }
    for (group, customers) in [("temoin-agent", false), ("temoin-customer", true)] {
        let _ = writeln!(text, "\n[{group}]");
        for code in codes.iter().filter(|code| (code.does == Does::Customers) == customers) {
            let _ = writeln!(text, "temoin-{} =>", code.name);
        }
    }
    text
}

/// The text of `temoin-lines.conf`: a hook for each line.
///
/// # Errors
/// A line whose name would break the dialplan.
pub fn lines(lines: &[Line]) -> Result<String, Unnameable> {
    let mut text = String::from(
        "; Témoin's hooks, one for each line.      #include temoin-lines.conf    behind temoin.conf in extensions.conf\n;\n\
         ; Where a line's calls come in, before Dial or Queue:\n;\n\
         ;   same => n,Gosub(temoin-line-NAME,s,1)\n;\n\
         ; Where agents call customers from it:\n;\n\
         ;   same => n,Gosub(temoin-out-NAME,s,1(${EXTEN}))\n\
         ;   same => n,Dial(PJSIP/${EXTEN}@trunk,60,U(temoin-answer)b(temoin-predial^s^1))\n;\n\
         ; Both return ADMITTED or UNAVAILABLE. A call that must not go on is refused there (cause 21).\n",
    );
    for Line { name, numbers, refuses, calls } in lines {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        // Asterisk's names of contexts end at 79 characters.
        if name.is_empty() || name.len() > 60 || !name.chars().all(plain) {
            return Err(Unnameable(name.clone()));
        }
        let mode = if *refuses { ",refuse" } else { "" };
        let _ = write!(
            text,
            "\n; {}\n[temoin-line-{name}]\nexten => s,1,Gosub(temoin-inbound,s,1({name}{mode}))\n \
             same => n,ExecIf($[\"${{GOSUB_RETVAL}}\"=\"REFUSED\"]?Hangup(21))\n \
             same => n,Return(${{GOSUB_RETVAL}})\n",
            numbers.join(", ")
        );
        if *calls {
            let _ = write!(
                text,
                "\n[temoin-out-{name}]\nexten => s,1,Gosub(temoin-outbound,s,1({name},${{ARG1}}{mode}))\n \
                 same => n,ExecIf($[\"${{GOSUB_RETVAL}}\"=\"REFUSED\"]?Hangup(21))\n \
                 same => n,Return(${{GOSUB_RETVAL}})\n",
            );
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(name: &str, digits: &str, does: Does) -> Code {
        Code { name: name.into(), digits: digits.into(), does }
    }

    #[test]
    fn each_code_is_bound_to_its_presser_alone() {
        let codes = [
            code("pause", "*9", Does::Stops),
            code("told", "*5", Does::Keeps),
            code("object", "*1", Does::Customers),
        ];
        let text = features(&codes);
        let (map, groups) = text.split_once("[temoin-agent]").expect("the agents' group");
        assert!(map.contains("temoin-pause  => *9,peer,Gosub,\"temoin-code,s,1(*9)\""), "{map}");
        assert!(map.contains("temoin-told   => *5,peer,Gosub,\"temoin-code,s,1(*5,keep)\""), "{map}");
        assert!(map.contains("temoin-object => *1,self,Gosub,\"temoin-code,s,1(*1,self)\""), "{map}");
        let (agents, customers) = groups.split_once("[temoin-customer]").expect("the customer's group");
        assert_eq!(agents.trim(), "temoin-pause =>\ntemoin-told =>");
        assert_eq!(customers.trim(), "temoin-object =>");
    }

    #[test]
    fn a_line_that_the_dialplan_would_misread_is_refused() {
        let line = |name: &str| Line {
            name: name.into(),
            numbers: vec!["+33199000001".into()],
            refuses: true,
            calls: true,
        };
        let text = lines(&[line("bourse")]).expect("a plain name");
        assert!(
            text.contains("[temoin-line-bourse]\nexten => s,1,Gosub(temoin-inbound,s,1(bourse,refuse))\n"),
            "{text}"
        );
        assert!(
            text.contains(
                "[temoin-out-bourse]\nexten => s,1,Gosub(temoin-outbound,s,1(bourse,${ARG1},refuse))\n"
            ),
            "{text}"
        );
        for name in ["", "a,b", "a)b", "a b", "${X}", "é", &"a".repeat(61)] {
            assert_eq!(lines(&[line(name)]), Err(Unnameable(name.into())));
        }
    }

    #[test]
    fn a_sound_s_name_means_itself() {
        assert!(is_plain("/var/lib/temoin/sounds/fr-BE/temoin-contract"));
        for name in ["", "a,b", "a b", "a&b", "${X}", "a)"] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
