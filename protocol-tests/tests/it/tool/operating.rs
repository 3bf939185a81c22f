//! `ottla acl`, `quotas`, `users`, `transactions`, `producers`, `quorum`, `elect` and `reassign` on real brokers; completions, the manual
//! page and `-F`.

use std::process::Command;
use std::time::Duration;

use protocol_tests::rig;
use serde_json::Value;

use super::Done;
use super::feed;
use super::run;
use super::run_with;
use super::start;

/// The address of a broker of 4.3.1; `OTTLA_AUTHORIZER_PORT` names another one. `None` if none is up.
fn broker() -> Option<String> {
    let other = std::env::var("OTTLA_AUTHORIZER_PORT").ok().and_then(|port| port.parse().ok());
    let port = other.unwrap_or(rig::RELEASES[0].1);
    rig::is_up(port).then(|| rig::address(port))
}

/// Runs a command until what it prints is as expected: brokers learn of a change a moment later.
#[track_caller]
fn eventually(broker: &str, arguments: &[&str], expected: impl Fn(&[Value]) -> bool) {
    let arguments = [&["-b", broker, "--json"], arguments].concat();
    let mut rows = Vec::new();
    for _ in 0..100 {
        let done = run(&arguments, "");
        rows = done.lines().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect::<Vec<Value>>();
        if expected(&rows) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{arguments:?}: {rows:?}");
}

fn on(broker: &str, arguments: &[&str]) -> Done {
    run(&[&["-b", broker], arguments].concat(), "")
}

#[test]
fn entries_are_removed_only_when_that_is_confirmed() {
    let Some(broker) = broker() else { return };
    let principal = format!("User:{}", rig::fresh("alice"));
    let add = ["acl", "add", "--principal", &principal, "--operation", "read,Describe", "--topic", "orders"];
    let added = on(&broker, &add);
    if added.err.contains("SECURITY_DISABLED") {
        added.failed(1, &["authorizer.class.name"]);
        return;
    }
    added.lines();
    let list = ["acl", "list", "--principal", &principal];
    eventually(&broker, &list, |rows| {
        rows.len() == 2 && rows[0]["operation"] == "Read" && rows[0]["pattern"] == "Literal"
    });
    let remove = ["acl", "remove", "--principal", &principal, "--operation", "Read"];
    let asked = on(&broker, &remove);
    assert_eq!(asked.status, Some(2), "{asked:?}");
    assert!(asked.out.contains(&principal) && asked.err.contains("--yes"), "{asked:?}");
    eventually(&broker, &list, |rows| rows.len() == 2);
    let removed = on(&broker, &[&remove[..], &["--yes"]].concat());
    assert!(removed.status == Some(0) && removed.err.contains("removed: "), "{removed:?}");
    eventually(&broker, &list, |rows| rows.len() == 1 && rows[0]["operation"] == "Describe");
    on(&broker, &["acl", "remove", "--principal", &principal, "--yes"]).lines();
    on(&broker, &["acl", "remove", "--principal", "User:nobody-has-this", "--yes"]).failed(1, &["no entry matches"]);
}

#[test]
fn wrong_entries_are_refused_before_anything_is_sent() {
    let wrong: [(&[&str], &[&str]); 5] = [
        (&["--operation", "Read", "--topic", "t"], &["--principal"]),
        (&["--principal", "User:a", "--operation", "Read"], &["--topic"]),
        (&["--principal", "User:a", "--topic", "t"], &["--operation"]),
        (&["--principal", "User:a", "--topic", "t", "--operation", "Fly"], &["Fly", "Describe"]),
        (&["--principal", "User:a", "--topic", "t", "--operation", "Read", "--applying"], &["--applying"]),
    ];
    for (arguments, parts) in wrong {
        run(&[&["acl", "add", "-b", "127.0.0.1:1"], arguments].concat(), "").failed(2, parts);
    }
    for (arguments, parts) in [
        (&["quotas", "alter", "--user", "a", "--set", "producer_byte_rate=fast"][..], "not a number"),
        (&["transactions", "abort", "orders", "--start-offset", "1", "--yes"], "TOPIC:PARTITION"),
        (&["transactions", "list", "--state", "Sleeping"], "Sleeping"),
        (&["transactions", "list", "--running-for", "soon"], "PT15M"),
        (&["reassign", "to", "orders:0=one", "--yes"], "BROKER"),
        (&["users", "set", "alice", "--mechanism", "PLAIN"], "SCRAM-SHA-256"),
        (&["users", "set", "alice"], "standard input"),
    ] {
        run(&[&["-b", "127.0.0.1:1"], arguments].concat(), "").failed(2, &[parts]);
    }
}

#[test]
fn quotas_are_altered_and_described() {
    let Some(broker) = broker() else { return };
    let user = rig::fresh("batch");
    let of = ["--user", &user, "--client-id", "default:"];
    on(&broker, &[&["quotas", "alter"], &of[..], &["--set", "producer_byte_rate=1048576"]].concat()).lines();
    let describe = [&["quotas", "describe"], &of[..]].concat();
    eventually(
        &broker,
        &describe,
        |rows| matches!(rows, [row] if row["value"] == 1_048_576.0 && row["entity"]["client-id"] == "<default>"),
    );
    on(&broker, &[&["quotas", "alter"], &of[..], &["--remove", "producer_byte_rate"]].concat()).lines();
    eventually(&broker, &describe, <[Value]>::is_empty);
    on(&broker, &["quotas", "alter", "--set", "producer_byte_rate=1"])
        .failed(2, &["a user, a client id or an address"]);
    on(&broker, &["quotas", "alter", "--user", &user, "--set", "speed=1"]).failed(1, &["speed"]);
}

#[test]
fn password_is_read_from_standard_input_and_never_shown() {
    let Some(broker) = broker() else { return };
    let user = rig::fresh("alice");
    let set = run(&["users", "set", "-b", &broker, &user, "-d", "all"], "hunter2\nmore\n");
    assert!(set.status == Some(0) && !set.err.contains("hunter2"), "{set:?}");
    eventually(
        &broker,
        &["users", "list", &user],
        |rows| matches!(rows, [row] if row["mechanism"] == "SCRAM-SHA-512" && row["iterations"] == 8_192),
    );
    on(&broker, &["users", "delete", &user]).failed(2, &["--yes"]);
    on(&broker, &["users", "delete", &user, "--yes"]).lines();
    on(&broker, &["users", "delete", &user, "--yes"]).failed(1, &["RESOURCE_NOT_FOUND"]);
}

#[test]
fn quorum_producers_and_moves_are_shown_on_real_brokers() {
    let Some(broker) = broker() else { return };
    eventually(&broker, &["quorum"], |rows| rows.len() == 1 && rows[0]["role"] == "leader" && rows[0]["behind"] == 0);
    assert!(on(&broker, &["quorum"]).lines()[0].starts_with("leader 1  epoch "));
    assert!(on(&broker, &["reassign", "list"]).lines()[0].starts_with("TOPIC"));
    on(&broker, &["producers", "no-such-topic"]).failed(1, &["no-such-topic", "ottla topics list"]);
    let topic = rig::fresh("operating");
    on(&broker, &["topics", "create", &topic, "-p", "2"]).lines();
    let place = format!("{topic}:0");
    let elected = on(&broker, &["elect", &place]);
    assert!(elected.status == Some(0) && elected.err.contains("already"), "{elected:?}");
    on(&broker, &["elect", &place, "--unclean"]).failed(2, &["--yes"]);
    on(&broker, &["reassign", "to", &format!("{place}=99"), "--yes"]).failed(1, &[&topic]);
    on(&broker, &["reassign", "cancel", &place]).failed(1, &["NO_REASSIGNMENT_IN_PROGRESS"]);
    on(&broker, &["transactions", "abort", &place, "--start-offset", "3", "--yes"]).failed(1, &[&topic, "offset 3"]);
    on(&broker, &["transactions", "describe", "no-such-id"]).lines_and_failure("no-such-id");
    run(&["produce", "-b", &broker, "-t", &topic, "-p", "0"], "one\n");
    eventually(
        &broker,
        &["producers", &topic],
        |rows| matches!(rows, [row] if row["partition"] == 0 && row["transaction_start"].is_null() && row["last_sequence"] == 0),
    );
    on(&broker, &["topics", "delete", &topic, "--yes"]).lines();
}

impl Done {
    /// Asserts that it printed a heading, and failed with a line that has `part`.
    #[track_caller]
    fn lines_and_failure(&self, part: &str) {
        assert!(self.status == Some(1) && self.out.lines().count() == 1 && self.err.contains(part), "{self:?}");
    }
}

#[test]
fn broker_that_lacks_an_api_is_named() {
    let (_, port) = rig::RELEASES[2];
    if rig::is_up(port) {
        run(&["-b", &rig::address(port), "quorum"], "").failed(1, &["DescribeQuorum"]);
    }
}

#[test]
fn completions_name_commands_and_options() {
    for shell in ["bash", "zsh", "fish"] {
        let done = run(&["completions", shell], "");
        for word in ["produce", "reset-offsets", "principal", "transactions"] {
            assert!(done.out.contains(word), "{shell}: {word}");
        }
        if shell == "bash" {
            let parsed = feed(start(Command::new("bash").arg("-n")), &done.out);
            assert_eq!(parsed.status, Some(0), "{parsed:?}");
        }
    }
    assert_eq!(run(&["completions", "tcsh"], "").status, Some(2));
}

#[test]
fn manual_page_has_a_section_for_each_command() {
    let page = run(&["man"], "");
    for section in ["SH NAME", "SH OTTLA ACL ADD", "SH OTTLA PRODUCE", "SH OTTLA GROUPS RESET-OFFSETS"] {
        assert!(page.out.lines().any(|line| line.contains(section)), "{section}");
    }
}

#[test]
fn properties_come_from_a_file_and_secrets_are_not_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("text").to_owned()
    };
    let linger =
        |done: &Done| done.lines().iter().find_map(|line| line.strip_prefix("linger.ms = ").map(str::to_owned));
    let good = path("good.properties", "# of the test\nbootstrap.servers = a:1\nlinger.ms=\\\n  70\n");
    assert_eq!(linger(&run(&["-F", &good, "-X", "dump"], "")), Some("70".into()));
    assert_eq!(linger(&run(&["-X", "linger.ms=8", "-F", &good, "-X", "dump"], "")), Some("8".into()));
    let more = path("more.properties", "linger.ms=9\n");
    assert_eq!(linger(&run(&["-F", &good, "-F", &more, "-X", "dump"], "")), Some("9".into()));
    // Files of the user's folder are read only when they are named.
    path("ottla.properties", "linger.ms=21\n");
    path("kcat.conf", "linger.ms=22\n");
    let home = [("XDG_CONFIG_HOME", folder.path().to_str().expect("text"))];
    for (file, expected) in [(&["-F", "default:"][..], "21"), (&["-F", "kcat:"], "22"), (&[], "5")] {
        assert_eq!(linger(&run_with(&home, &[file, &["-X", "dump"]].concat())), Some(expected.into()), "{file:?}");
    }
    let kcat = [("KCAT_CONFIG", more.as_str())];
    assert_eq!(linger(&run_with(&kcat, &["-F", "kcat:", "-X", "dump"])), Some("9".into()));

    let bad = path("bad.properties", "linger.ms=1\n\nhunter2\n");
    run(&["-F", &bad, "-X", "dump"], "").failed(2, &["line 3", "KEY=VALUE"]);
    let colon = path("colon.properties", "linger.ms: 6\n");
    assert_eq!(linger(&run(&["-F", &colon, "-X", "dump"], "")), Some("6".into()), "as Java reads it");
    let explained = run(&["config", "explain", "-F", &good, "-X", "acks=1"], "");
    for line in [
        format!("linger.ms = 70  (line 3 of {good})"),
        "acks = 1  (-X)".into(),
        "batch.size = 262144  (default)".into(),
    ] {
        assert!(explained.lines().contains(&&*line), "{line} is not in {explained:?}");
    }
    let unknown = path("unknown.properties", "sasl.pasword=hunter2\n");
    for file in [&bad, &unknown] {
        assert!(!run(&["-F", file, "-X", "dump"], "").err.contains("hunter2"));
    }
    run(&["-F", &unknown, "-X", "dump"], "").failed(2, &["line 1", "sasl.pasword"]);
    run(&["-F", "/no/such/file", "-X", "dump"], "").failed(2, &["/no/such/file"]);
}
