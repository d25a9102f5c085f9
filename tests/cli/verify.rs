//! `verify`, `sampling`: what can be proved, and what is found that must not be.

use super::*;

#[tokio::test]
async fn verify_is_content_with_what_is_whole() {
    let site = Site::used().await;
    site.run(&["verify"]).ends(0).says("rows verify").says("2 objects for 2 recordings");
    assert_eq!(site.run(&["verify", "--json"]).ends(0).json()["sound"], true);
}

#[tokio::test]
async fn verify_finds_a_changed_journal() {
    let site = Site::used().await;
    site.damage(b"\"what\":\"recording\"", b"\"what\":\"recordinG\"").await;
    site.run(&["verify"]).ends(1).says("BROKEN: journal row 1: its text was changed");
    assert_eq!(site.run(&["verify", "--json"]).ends(1).json()["sound"], false);
}

#[tokio::test]
async fn verify_finds_an_object_of_nobody_and_one_that_is_gone() {
    let site = Site::used().await;
    site.vault().await.seal(id(9), Box::new(&b"audio"[..])).await.expect("seal");
    site.run(&["verify"]).ends(1).says(&format!("FAULT: object {} belongs to no segment", id(9)));
    fs::remove_file(site.path("vault").join(id(1).to_string())).expect("the object");
    site.run(&["verify"]).ends(1).says("the vault has no object of it");
}

/// Each recording is kept from its beginning for two seconds.
#[tokio::test]
async fn verify_holds_recordings_against_the_story_of_their_call() {
    let site = Site::told(&[(2_000, "exempt-leg"), (7_000, "ok")]).await;
    site.run(&["verify"]).ends(0).says("2 of 2 recordings were held against what was decided");
    site.run(&["verify", "--exempt"])
        .ends(0)
        .says("exempt: 1 calls with")
        .says("2 recordings kept of them, 0 of these while he was there")
        .says("call call-1")
        .says("exempt there 2026-10-05 10:30:02.000 to 10:30:07.000")
        .says(&format!("kept {} 2026-10-05 10:30:00.000 to 10:30:02.000", id(2)))
        .never_says("001234");
    let json = site.run(&["verify", "--exempt", "--json"]).ends(0).json();
    assert_eq!(json["sound"], true);
    assert_eq!(json["exempt"]["overlapping"], 0);
    assert_eq!(json["exempt"]["each"][0]["there"][0]["from"], "2026-10-05T08:30:02Z");
    assert_eq!(json["exempt"]["each"][0]["kept"].as_array().map(Vec::len), Some(2));
    assert!(!json.to_string().contains("99001234"), "no telephone number");

    for (at, millis) in [(1_000, "1000"), (1_999, "1")] {
        let site = Site::told(&[(at, "exempt-leg")]).await;
        let instant = start() + SignedDuration::from_millis(at);
        let fault = format!("FAULT: segment {} of call call-1: {millis} ms are kept after {instant}", id(2));
        site.run(&["verify"]).ends(1).says(&fault).says("(exempt-leg)");
        let told = site.run(&["verify", "--exempt"]).ends(1).says(&fault);
        told.says(&format!("OVERLAPS by {millis} ms")).says("1 of these while he was there");
        let json = site.run(&["verify", "--exempt", "--json"]).ends(1).json();
        assert_eq!((&json["sound"], &json["exempt"]["overlapping"]), (&json!(false), &json!(1)));
        assert_eq!(json["exempt"]["each"][0]["kept"][1]["overlap_ms"].to_string(), millis);
    }
    let site = Site::used().await;
    site.run(&["verify", "--exempt"]).ends(0).says("exempt: 0 calls with");
    let json = site.run(&["verify", "--exempt", "--json"]).ends(0).json();
    assert_eq!(json["exempt"]["each"], json!([]));
}

/// What is erased on its date is neither sound nor broken.
#[tokio::test]
async fn verify_says_how_many_stories_were_erased() {
    use sqlx::{Connection as _, SqliteConnection};
    let site = Site::told(&[(1_000, "exempt-leg")]).await;
    let index = format!("sqlite://{}", site.path("index/index.db").display());
    let mut hand = SqliteConnection::connect(&index).await.expect("the index");
    // The row that tells of it: after the first recording's (2 to 4), and the second's decision and opening.
    let gone = sqlx::query("DELETE FROM journal_content WHERE seq = 7 AND payload LIKE '%exempt-leg%'")
        .execute(&mut hand)
        .await
        .expect("erased");
    assert_eq!(gone.rows_affected(), 1);
    hand.close().await.expect("closed");
    let told = site.run(&["verify"]).ends(0).says("0 of 2 recordings were held");
    told.says("NOT LOOKED AT: 2 recordings: what decided over them was erased");
    assert_eq!(site.run(&["verify", "--json"]).ends(0).json()["unseen"]["erased"], 2);
    site.run(&["verify", "--exempt"]).ends(0).says("erased on its date are not counted");
}

#[tokio::test]
async fn the_draws_can_be_audited() {
    let site = Site::used().await;
    site.run(&["sampling", "audit", "autumn"]).ends(0).says("every draw agrees");
    assert_eq!(site.run(&["sampling", "audit", "autumn", "--json"]).ends(0).json()["calls"], 2);
    site.run(&["sampling", "audit", "spring"]).ends(3).says("no call was drawn for a campaign `spring`");
    let draw = Draw::keyed(&KEY, "autumn", "call-1").to_string();
    let other = if draw.ends_with('1') { "2" } else { "1" };
    let changed = format!("{}{other}", &draw[..draw.len() - 1]);
    site.damage(draw.as_bytes(), changed.as_bytes()).await;
    site.run(&["sampling", "audit", "autumn"])
        .ends(1)
        .says("call call-1: has another draw than the key gives");
    let told = site.run(&["sampling", "audit", "autumn", "--json"]).ends(1).json();
    assert_eq!(told["faults"].as_array().map(Vec::len), Some(1));
}

#[test]
fn without_an_index_nothing_is_looked_at_and_nothing_is_made() {
    let site = Site::new();
    let play = ["play", &id(1).to_string(), "-o", "out.wav", "--reason", "r"];
    for args in [&["calls"][..], &["show", "x"], &play, &["verify"]] {
        site.run(args).ends(4).says("no index at");
    }
    assert!(!site.path("index").exists() && !site.path("vault").exists());
}
