//! The program that runs.

use super::*;

#[test]
fn serve_refuses_what_is_unusable() {
    let site = Site::new();
    site.edit("temoin.toml", "spool = \"spool\"", "spol = \"spool\"");
    let config = site.path("temoin.toml").display().to_string();
    site.run(&["serve"]).ends(2).says(&format!("{config}:11:1: E-UNKNOWN-KEY asterisk.spol")).says("`spool`");
    let site = Site::new();
    site.write("policy.toml", "site = 1");
    site.run(&["serve"]).ends(2).says("policy.toml:1:");
    assert!(!site.path("index").exists() && !site.path("sampling.key").exists());
}

#[tokio::test]
async fn a_running_program_reads_anew_on_sighup_feeds_its_watchdog_and_ends_on_sigterm() {
    let site = Site::new();
    // Not well, but no reason not to start.
    site.edit("policy.toml", "rate = 200", "rate = 250");
    let socket = UnixDatagram::bind(site.path("notify")).expect("a socket");
    socket.set_nonblocking(true).expect("a socket");
    let errors = fs::File::create(site.path("log")).expect("a file");
    let mut command = site.command(&["serve"]);
    command.env("NOTIFY_SOCKET", site.path("notify")).env("WATCHDOG_USEC", "300000").stderr(errors);
    let mut running = Running(command.spawn().expect("it runs"));
    let heard = async |wanted: &str| {
        until(wanted, async || {
            let mut bytes = [0; 4096];
            let length = socket.recv(&mut bytes).ok()?;
            String::from_utf8_lossy(&bytes[..length]).contains(wanted).then_some(())
        })
        .await;
    };
    heard("STATUS=waiting for the PBX").await;
    heard("WATCHDOG=1").await;
    let journal =
        async || if site.path("index/index.db").exists() { site.journal().await } else { Vec::new() };
    let seen = async |what: &str, is: fn(&What) -> bool| {
        until(what, async || journal().await.into_iter().find(is)).await
    };
    let What::Started { policy: before, .. } =
        seen("a start", |what| matches!(what, What::Started { .. })).await
    else {
        unreachable!()
    };
    assert_eq!(fs::metadata(site.path("sampling.key")).expect("a key").len(), 32);

    site.edit("policy.toml", "rate = 250", "rate = 100");
    running.signal("-HUP");
    let What::Reloaded { policy: after, .. } =
        seen("a reload", |what| matches!(what, What::Reloaded { .. })).await
    else {
        unreachable!()
    };
    assert_ne!(before, after);

    site.edit("policy.toml", "rate = 100", "rate = \"much\"");
    running.signal("-HUP");
    seen("an alarm", |what| matches!(what, What::Alarm(_))).await;
    let reloads = journal().await.iter().filter(|what| matches!(what, What::Reloaded { .. })).count();
    assert_eq!(reloads, 1, "a broken policy changes nothing");

    heard("WATCHDOG=1").await;
    running.signal("-TERM");
    let code = until("an end", async || running.0.try_wait().expect("a child")).await;
    let log = fs::read_to_string(site.path("log")).expect("a log");
    assert_eq!(code.code(), Some(0), "{log}");
    heard("STOPPING=1").await;
    assert!(log.contains("reload-refused") && log.contains("policy.toml:"), "{log}");
    assert!(!log.contains("hush") && !log.contains("panicked"), "{log}");
    site.run(&["verify"]).ends(0);
}
