//! `decide`: what the engine says of one call, and why.

use super::*;

#[test]
fn decide_tells_its_reasons() {
    let site = Site::new();
    let example = format!("{ROOT}/examples/facts/french-call-centre.json");
    let told = site.run(&["decide", "--policy", "policy.toml", "--facts", &example]).ends(0).json();
    assert_eq!(told["record"], true);
    assert_eq!(told["purposes"]["quality"]["reason"], "ok");
    let facts = fs::read_to_string(&example).expect("the example");
    site.write("refused.json", &facts.replace("\"heard\"", "\"objected\": true, \"heard\""));
    let told =
        site.run(&["decide", "--policy", "policy.toml", "--facts", "refused.json", "--json"]).ends(0).json();
    assert_eq!(
        (&told["record"], &told["purposes"]["quality"]["reason"]),
        (&false.into(), &"objected".into())
    );

    let mut command = site.command(&["decide", "--policy", "policy.toml", "--facts", "-"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    child.stdin.take().expect("a pipe").write_all(facts.as_bytes()).expect("write");
    let told = Told::of(child.wait_with_output().expect("it ends")).ends(0).json();
    assert_eq!(told["record"], true);
}

#[test]
fn decide_refuses_what_it_cannot_read() {
    let site = Site::new();
    site.write("bad.json", "{ \"at\": ");
    site.write("more.json", "{ \"colour\": 1 }");
    let decide =
        |policy: &str, facts: &str| site.run(&["decide", "--policy", policy, "--facts", facts]).ends(2);
    decide("policy.toml", "bad.json").says("bad.json: EOF while parsing");
    decide("policy.toml", "more.json").says("unknown field `colour`");
    decide("policy.toml", "absent.json").says("absent.json");
    decide("absent.toml", "bad.json").says("absent.toml: E-UNREADABLE");
    decide("temoin.toml", "bad.json").says("E-UNKNOWN-KEY");
    let told = site.run(&["decide", "--policy", "policy.toml", "--facts", "bad.json", "--packs", "absent"]);
    told.ends(2).says("packs cannot be read");
}
