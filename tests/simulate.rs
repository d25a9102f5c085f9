//! `temoin simulate` as its user meets it, on records whose numbers were worked out by hand: see `tests/simulate`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use jiff::ToSpan as _;
use serde_json::{Value, json};
use temoin_core::decide::decide;
use temoin_core::facts::Facts;
use temoin_core::id::CallId;
use temoin_core::pack;
use temoin_core::policy::Policy;
use temoin_core::ports::{CallRecord, Change, Store as _};
use temoin_core::time::Bound;
use temoin_core::words::{Direction, Reason};
use tempfile::TempDir;

fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulate").join(file)
}

fn temoin(args: &[&str], files: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_temoin"))
        .args(["simulate", "--map"])
        .arg(here("map.toml"))
        .arg("--policy")
        .arg(here("policy.toml"))
        .args(args)
        .args(files)
        .current_dir(here(""))
        .output()
        .expect("the program runs")
}

fn json_of(args: &[&str], files: &[&Path]) -> Value {
    let output = temoin(&[args, &["--json"]].concat(), files);
    let stderr = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"))
}

fn group<'v>(groups: &'v Value, name: &str, purpose: &str) -> &'v Value {
    let found =
        groups.as_array().expect("groups").iter().find(|g| g["name"] == name && g["purpose"] == purpose);
    found.unwrap_or_else(|| panic!("no {name} {purpose} in {groups:#}"))
}

/// By hand, from cdr.csv (times of Paris, which is UTC+2 in October until the 25th):
///
/// - rows 1 to 8: amel and carla in turn, 10:00, 100 s; row 9: carla through the queue's Local member; rows 10 and 11:
///   one call, which rang at bruno in vain before amel took it. Ten calls with a lot at 300 per mille: three drawn.
/// - row 12: bruno at 21:00, before his notice: prerequisite-missing, which is asked before the campaign's hours.
/// - row 13: amel at 21:00: no-open-campaign. Row 14: an exempt caller, row 15: an exempt extension: exempt-leg.
/// - row 16: never connected; row 17: another context, line-unknown; row 18: nobody's endpoint, agent-unknown.
/// - row 19: amel calls out on ventes, which has no campaign: no-open-campaign for quality; contract-proof lacks the note.
///
/// Announced are the ten, and the inbound ones of the day whose caller is not exempt: rows 15, 16 and 18. Not the
/// evening's two, when no campaign is open.
#[test]
fn asterisk_s_call_records() {
    let report = json_of(&["--price", "10"], &[&here("cdr.csv")]);
    let policy = &report["policy"];
    assert_eq!(report["sources"][0]["format"], "asterisk-cdr");
    assert_eq!(
        (&report["sources"][0]["records"], &report["sources"][0]["unreadable"]),
        (&json!(19), &json!(0))
    );
    assert_eq!(
        (&report["calls"], &policy["decided"], &policy["recorded"]),
        (&json!(18), &json!(15), &json!(3))
    );
    assert_eq!(policy["undecided"], json!({ "never-connected": 1, "line-unknown": 1, "agent-unknown": 1 }));
    assert_eq!(policy["announced"], 13);
    let quality = group(&policy["purposes"], "quality", "quality");
    assert_eq!(
        (&quality["calls"], &quality["recorded"], &quality["seconds"]),
        (&json!(15), &json!(3), &json!(300))
    );
    assert_eq!(
        quality["not_recorded"],
        json!({ "not-sampled": 7, "prerequisite-missing": 1, "no-open-campaign": 2, "exempt-leg": 2 })
    );
    let proof = group(&policy["lines"], "ventes", "contract-proof");
    assert_eq!(proof["not_recorded"], json!({ "prerequisite-missing": 1 }));
    assert_eq!(group(&policy["lines"], "accueil", "quality")["calls"], 14);
    assert_eq!(group(&policy["queues"], "support", "quality")["calls"], 2);
    // Four of rows 1 to 8, row 11, the evening, the exempt caller, and the call out.
    assert_eq!(group(&policy["agents"], "amel", "quality")["calls"], 8);
    assert_eq!(group(&policy["agents"], "carla", "quality")["calls"], 5);
    assert_eq!(
        group(&policy["agents"], "bruno", "quality")["not_recorded"],
        json!({ "prerequisite-missing": 1 })
    );
    assert_eq!(group(&policy["days"], "2026-10-06", "quality")["calls"], 2);
    assert_eq!(group(&policy["days"], "2026-10-05", "quality")["recorded"], 3);
    assert_eq!(policy["missing"][0]["prerequisites"], json!({ "employee-notice": 1 }));
    assert_eq!(policy["missing"][1]["prerequisites"], json!({ "no-other-proof-note": 1 }));

    // Announced: rows 1 to 9, 11 and 15; and, of those that are not decided, 16 and 18. Nothing is said in the evening (12,
    // 13), to who is exempt (14), and on the way out (19), where no campaign is open.
    assert_eq!(quality["announced"], json!(11));
    assert_eq!(group(&policy["agents"], "amel", "quality")["announced"], json!(5));
    assert_eq!(group(&policy["queues"], "support", "quality")["announced"], json!(2));
    assert_eq!(group(&policy["days"], "2026-10-06", "quality")["announced"], json!(0));
    // Lots are not shared out by agent here; how they came to agents is told all the same.
    let agents = policy["campaigns"][0]["agents"].as_array().expect("a list");
    let came =
        |at: usize| ["name", "eligible", "recorded", "percent", "verdict"].map(|key| agents[at][key].clone());
    assert_eq!(agents.len(), 2, "{agents:#?}");
    assert_eq!(came(0), [json!("amel"), json!(5), json!(2), json!(40.0), json!("as-allowed")]);
    assert_eq!(came(1), [json!("carla"), json!(5), json!(1), json!(20.0), json!("as-allowed")]);
    assert!(agents[0].get("at_most").is_none(), "no bound by agent: {agents:#?}");

    // Wilson for 3 of 10: 10.8 to 60.3 %; the table of Newcombe's method 3.
    let lots = &policy["campaigns"][0]["total"];
    assert_eq!((&lots["eligible"], &lots["drawn"], &lots["at_most"]), (&json!(10), &json!(3), &json!(3)));
    assert_eq!((&lots["low_percent"], &lots["high_percent"]), (&json!(10.8), &json!(60.3)));
    assert_eq!((&lots["allowed_percent"], &lots["verdict"]), (&json!(30.0), &json!("as-allowed")));

    // 3 × (44 + 100 s × 32,000 B/s). Six months from 5 October: gone by the end of 5 April in Paris (22:00 UTC), planned
    // a day before: 15,688,790 s after 08:00:10 UTC, 5.965773 months of 2,629,800 s.
    let storage = &policy["storage"];
    assert_eq!((&storage["bytes"], &storage["peak_bytes"]), (&json!(9_600_132), &json!(9_600_132)));
    assert_eq!(
        storage["gone_by"],
        json!([{ "month": "2027-04", "recordings": 3, "bytes": 9_600_132, "gigabyte_months": 0.057_272, "cost": 0.57 }])
    );
    assert_eq!((&storage["gigabyte_months"], &storage["cost"]), (&json!(0.057_272), &json!(0.57)));
    // In A-law 3 × (58 + 100 s × 16,000 B/s), half of it.
    let otherwise = &storage["otherwise"][0];
    assert_eq!(
        (&otherwise["bytes"], &otherwise["gigabyte_months"], &otherwise["cost"]),
        (&json!(4_800_174), &json!(0.028_637), &json!(0.29))
    );
    assert_eq!(policy["unknown"]["contexts"], json!([["from-elsewhere", 1]]));
    assert_eq!(policy["unknown"]["endpoints"], json!([["PJSIP/2999", 1]]));
}

/// By hand, from cel.csv: three calls through the queue, 60 s with amel, then, after 20 s alone, 40 s with carla. Three
/// lots at 300 per mille: one drawn. Its two talks are two recordings.
#[test]
fn asterisk_s_channel_events() {
    let policy = &json_of(&[], &[&here("cel.csv")])["policy"];
    let quality = group(&policy["purposes"], "quality", "quality");
    assert_eq!(
        (&quality["calls"], &quality["recorded"], &quality["seconds"]),
        (&json!(3), &json!(1), &json!(100))
    );
    assert_eq!(group(&policy["agents"], "amel", "quality")["calls"], 3);
    assert_eq!(policy["storage"]["recordings"], 2);
    assert_eq!(policy["storage"]["bytes"], 2 * 44 + 100 * 32_000);
}

/// By hand, from freeswitch.csv: three calls to 2001, of which one is drawn; one never answered; amel calls out; one in
/// another context.
#[test]
fn freeswitch_s_call_records() {
    let report = json_of(&[], &[&here("freeswitch.csv")]);
    let policy = &report["policy"];
    assert_eq!(report["sources"][0]["format"], "freeswitch-cdr");
    assert_eq!(policy["undecided"], json!({ "never-connected": 1, "line-unknown": 1, "agent-unknown": 0 }));
    let quality = group(&policy["purposes"], "quality", "quality");
    assert_eq!((&quality["calls"], &quality["recorded"]), (&json!(4), &json!(1)));
    assert_eq!(quality["not_recorded"], json!({ "not-sampled": 2, "no-open-campaign": 1 }));
}

/// Every verdict that is listed is what `decide` says of facts that were put together here, from the listed row alone.
#[test]
fn a_simulated_verdict_is_that_of_a_live_call() {
    let text = fs::read_to_string(here("policy.toml")).expect("the policy");
    let policy = Policy::load(("policy.toml", &text), pack::shipped()).expect("a policy");
    let output = temoin(&["--calls"], &[&here("cdr.csv")]);
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    let rows = stdout.lines().skip(1).take_while(|row| row.matches(',').count() == 6);
    let mut compared = 0;
    for row in rows {
        let [call, began, line, queue, agent, purpose, verdict] = row.split(',').collect::<Vec<_>>()[..]
        else {
            panic!("{row}");
        };
        if purpose == "*" {
            continue;
        }
        let began: jiff::Timestamp = began.parse().expect("an instant");
        let announced = line == "accueil" && began.to_string() == "2026-10-05T08:00:00Z";
        let mut customer = json!({ "id": "c", "kind": "customer", "number": "0199001234" });
        let mut seat = json!({ "id": "a", "kind": "agent" });
        match call {
            "1791187200.12" => customer["number"] = json!("+33199009999"),
            "1791187200.13" => seat["extension"] = json!("4100"),
            _ => {}
        }
        if !agent.is_empty() {
            seat["agent"] = json!(agent);
        }
        if announced && call != "1791187200.12" {
            customer["heard"] = json!(["quality"]);
        }
        let mut facts = json!({
            "at": (began + jiff::SignedDuration::from_secs(10)).to_string(), "call_start": began.to_string(),
            "line": line, "direction": if line == "accueil" { "inbound" } else { "outbound" },
            "legs": [customer, seat], "sampling": { "drawn": { "autumn": verdict == "recorded" } },
        });
        if !queue.is_empty() {
            facts["queue"] = json!(queue);
        }
        let facts = Facts::from_json(&facts.to_string()).expect("facts");
        let decided = decide(&facts, &policy);
        let (_, live) =
            decided.purposes.iter().find(|(name, _)| name.as_str() == purpose).expect("the purpose");
        let live = if live.reason == Reason::Ok { "recorded".to_owned() } else { live.reason.to_string() };
        assert_eq!(live, verdict, "{row}");
        compared += 1;
    }
    assert_eq!(compared, 16, "fifteen calls for quality, one of them for contract-proof too");
}

/// Everybody who may refuse does: nobody of the ten is recorded, and none of them takes part in a lot.
#[test]
fn those_who_refuse_are_not_recorded() {
    let policy = &json_of(&["--refusing", "1000"], &[&here("cdr.csv")])["policy"];
    let quality = group(&policy["purposes"], "quality", "quality");
    assert_eq!((&quality["recorded"], &quality["not_recorded"]["objected"]), (&json!(0), &json!(10)));
    assert_eq!(policy["campaigns"], json!([]));
}

/// Without works council nothing is recorded: of the ten calls with a lot the three that were drawn change, and those
/// seven that were not, and the evening and the call out, which now fail before the campaign is asked for.
#[test]
fn another_policy_is_compared_call_by_call() {
    let folder = TempDir::new().expect("a folder");
    let other = folder.path().join("other.toml");
    let text = fs::read_to_string(here("policy.toml")).expect("the policy");
    fs::write(&other, text.replace("works_council", "# works_council")).expect("a file");
    let list = folder.path().join("calls.csv");
    let calls = format!("--calls={}", list.display());
    let against = other.to_str().expect("a plain path");
    let report = json_of(&["--against", against, &calls], &[&here("cdr.csv")]);
    assert_eq!(report["against"]["recorded"], 0);
    assert_eq!(
        report["difference"],
        json!({ "calls": 12, "changes": [
            { "purpose": "quality", "policy": "no-open-campaign", "against": "prerequisite-missing", "calls": 2 },
            { "purpose": "quality", "policy": "not-sampled", "against": "prerequisite-missing", "calls": 7 },
            { "purpose": "quality", "policy": "recorded", "against": "prerequisite-missing", "calls": 3 },
        ] })
    );
    let listed = fs::read_to_string(&list).expect("the list");
    assert_eq!(listed.lines().count(), 13, "{listed}");
    assert!(
        listed.contains(",recorded,prerequisite-missing\n") && !listed.contains("0199001234"),
        "{listed}"
    );
}

#[test]
fn nothing_of_a_customer_is_shown() {
    let folder = TempDir::new().expect("a folder");
    let page = folder.path().join("page.html");
    let html = page.to_str().expect("a plain path");
    let files = ["cdr.csv", "cel.csv", "freeswitch.csv", "hostile.csv"].map(here);
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    for args in [&["--html", html][..], &["--json"], &["--calls"]] {
        let output = temoin(args, &files);
        let stdout = String::from_utf8(output.stdout).expect("UTF-8");
        let page = fs::read_to_string(&page).expect("a page");
        for text in [&stdout, &page, &String::from_utf8_lossy(&output.stderr).into_owned()] {
            for personal in ["99001234", "99009999", "5550100", "Bon", "O'Neil", "<script", "\u{1b}", "\0"] {
                assert!(!text.contains(personal), "{personal:?} in {text}");
            }
        }
        assert!(page.contains("<svg") && !page.contains("http://") && !page.contains("https://"));
    }
}

/// hostile.csv: six good records (CRLF; names with quotes, commas, a line break; an id of 300 characters; one that is a
/// path; a NUL in the name; UTF-8 and what is none) and five that are none.
#[test]
fn hostile_records_are_counted_and_do_not_stop_it() {
    let output = temoin(&["--json"], &[&here("hostile.csv")]);
    assert_eq!(output.status.code(), Some(1), "there was something that could not be read");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let source = &report["sources"][0];
    assert_eq!((&source["records"], &source["unreadable"]), (&json!(6), &json!(5)), "{source:#}");
    let lines: Vec<u64> =
        source["faults"].as_array().expect("faults").iter().filter_map(|f| f["line"].as_u64()).collect();
    assert_eq!(lines, [4, 7, 8, 9, 11], "{source:#}");
    assert_eq!(report["calls"], 6);
}

#[test]
fn what_cannot_be_used_is_told_with_its_mend() {
    let says = |args: &[&str], files: &[&Path], words: &str| {
        let output = temoin(args, files);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    };
    says(&[], &[], "nothing to replay");
    says(&[], &[&here("nowhere.csv")], "nowhere.csv");
    says(&[], &[&here("policy.toml")], "of no format that is known");
    says(&["--timezone", "Paris"], &[&here("cdr.csv")], "Europe/Paris");
    says(&["--price", "-1"], &[&here("cdr.csv")], "--price");
    let folder = TempDir::new().expect("a folder");
    let map = folder.path().join("map.toml");
    fs::write(&map, "[queues]\nsupport = \"acceuil\"\n[endpoint]\n").expect("a file");
    let wrong = |map: &Path| {
        let output = Command::new(env!("CARGO_BIN_EXE_temoin"))
            .args(["simulate", "--policy"])
            .arg(here("policy.toml"))
            .arg("--map")
            .arg(map)
            .arg(here("cdr.csv"))
            .output()
            .expect("the program runs");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(wrong(&map).contains("map.toml:3:"), "{}", wrong(&map));
    fs::write(&map, "[queues]\nsupport = \"acceuil\"\n").expect("a file");
    assert!(wrong(&map).contains("map.toml:2:1: E-UNKNOWN-REF queues.support"), "{}", wrong(&map));
}

/// The layout; its numbers are those above. `TEMOIN_BLESS=1` writes it anew.
#[test]
fn the_text_is_as_it_was() {
    let output = Command::new(env!("CARGO_BIN_EXE_temoin"))
        .args(["simulate", "--policy", "policy.toml", "--map", "map.toml", "--price", "10", "cdr.csv"])
        .current_dir(here(""))
        .output()
        .expect("the program runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    // The packs have a hash of their own business.
    let policy = fs::read_to_string(here("policy.toml")).expect("the policy");
    let hash = Policy::load(("policy.toml", &policy), pack::shipped()).expect("a policy").hash_hex();
    let text = text.replace(&hash[..12], "HASH");
    if std::env::var_os("TEMOIN_BLESS").is_some() {
        fs::write(here("cdr.txt"), &text).expect("a file");
    }
    assert_eq!(text, fs::read_to_string(here("cdr.txt")).expect("the text"));
}

/// Every policy that people start from can be tried on records: each line is found by its number, each agent by his
/// extension, every call is decided, and no campaign records more than it may.
#[test]
fn every_example_policy_can_be_tried() {
    let folder = TempDir::new().expect("a folder");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies");
    let files = fs::read_dir(examples).expect("examples").map(|entry| entry.expect("an entry").path());
    let files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|ending| ending == "toml")).collect();
    assert!(files.len() >= 8, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).expect("a policy");
        let policy = Policy::load(("policy.toml", &text), pack::shipped()).expect("a readable policy");
        let site = policy.site();
        // In the second week of the first campaign.
        let day = |bound| match bound {
            Bound::Day(day) => day,
            Bound::Moment(moment) => moment.date(),
        };
        let from = site.campaigns.values().map(|campaign| day(campaign.from)).min();
        let day = from.map_or_else(|| "2026-10-06".to_owned(), |from| (from + 7.days()).to_string());
        let agents: Vec<_> = site.agents.keys().enumerate().map(|(n, agent)| (2001 + n, agent)).collect();
        let map: String = agents.iter().map(|(n, agent)| format!("{n} = \"{agent}\"\n")).collect();
        let map_file = folder.path().join("map.toml");
        fs::write(&map_file, format!("[endpoints]\n{map}")).expect("a map");
        let mut records = String::new();
        let mut calls = 0;
        for line in site.lines.values() {
            let number = line.numbers.first().expect("a line of an example has a number");
            for (n, _) in agents.iter().cycle().take(3 * agents.len()) {
                calls += 1;
                records += &format!(
                    "\"\",\"anonymous\",\"{number}\",\"in\",\"\",\"PJSIP/trunk-{calls:08x}\",\"PJSIP/{n}-{calls:08x}\",\"Dial\",\
                     \"PJSIP/{n}\",\"{day} 10:00:00\",\"{day} 10:00:10\",\"{day} 10:01:50\",110,100,\"ANSWERED\",\
                     \"DOCUMENTATION\",\"1791187200.{calls}\",\"\"\n"
                );
            }
        }
        let csv = folder.path().join("Master.csv");
        fs::write(&csv, records).expect("records");
        let output = Command::new(env!("CARGO_BIN_EXE_temoin"))
            .args(["simulate", "--json", "--policy"])
            .args([&file, Path::new("--map"), &map_file, &csv])
            .output()
            .expect("the program runs");
        let name = file.display();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let tried = &report["policy"];
        assert_eq!(
            (&report["calls"], &tried["decided"]),
            (&json!(calls), &json!(calls)),
            "{name}: {tried:#}"
        );
        for line in tried["lines"].as_array().expect("lines") {
            let not = line["not_recorded"].as_object().expect("reasons").values().filter_map(Value::as_u64);
            let sum = not.sum::<u64>() + line["recorded"].as_u64().expect("a count");
            assert_eq!(json!(sum), line["calls"], "{name}: {line:#}");
            assert!(!line["name"].as_str().expect("a name").is_empty());
        }
        let named: std::collections::BTreeSet<&str> = tried["lines"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|line| line["name"].as_str())
            .collect();
        assert_eq!(named.len(), site.lines.len(), "{name}: {named:?}");
        for campaign in tried["campaigns"].as_array().expect("campaigns") {
            assert_ne!(campaign["total"]["verdict"], "over", "{name}: {campaign:#}");
        }
    }
}

/// Ten calls of amel in an index as a running Témoin leaves it: three of them drawn at 300 per mille, as from a file.
#[test]
fn the_calls_of_our_own_index_are_replayed() {
    let site = TempDir::new().expect("a folder");
    let root = env!("CARGO_MANIFEST_DIR");
    let config = format!(
        r#"
policy = '{}'
sampling_key = "sampling.key"
store = {{ path = "index.db" }}
vault = {{ path = "vault", key = "vault.key" }}
prompts = {{ folder = '{root}/dialplans/sounds' }}
[asterisk]
spool = "spool"
ami = {{ port = 1, user = "temoin", secret = "hush" }}
ari = {{ url = "http://127.0.0.1:1", user = "temoin", password = "hush" }}
"#,
        here("policy.toml").display()
    );
    let file = site.path().join("temoin.toml");
    fs::write(&file, config).expect("a file");
    let (config, _) = temoin::config::Config::read(&file).expect("a configuration");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = temoin::wiring::index(&config).await.expect("an index");
        let first: jiff::Timestamp = "2026-10-05T08:00:00Z".parse().expect("an instant");
        let call = |no: i64| {
            let started = first + no.minutes();
            Change::Call(CallRecord {
                id: CallId(format!("1759651200.{no}")),
                line: "accueil".into(),
                direction: Direction::Inbound,
                number: Some("+33199000321".into()),
                queue: None,
                agents: vec!["amel".into()],
                started,
                talked: Some(started + 10.seconds()),
                ended: Some(started + 110.seconds()),
                outcome: "recorded".into(),
                private: false,
            })
        };
        store.commit((0..10).map(call).collect()).await.expect("it lasts");
    });
    let output = Command::new(env!("CARGO_BIN_EXE_temoin"))
        .args(["simulate", "--index", "--json", "--config"])
        .arg(&file)
        .output()
        .expect("the program runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {stderr}"));
    assert_eq!(told["calls"], 10);
    let amel = group(&told["policy"]["agents"], "amel", "quality");
    assert_eq!((&amel["calls"], &amel["recorded"], &amel["seconds"]), (&json!(10), &json!(3), &json!(300)));
}
