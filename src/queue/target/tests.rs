//! Targets: the tables of the original's DSN, its map and its timeouts, and that each target is read back from what it prints.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn refused(dsn: &str) -> String {
    Target::parse(dsn).expect_err(dsn).to_string()
}

#[test]
fn dsn_is_read_whole_or_refused_by_name() {
    let good = [
        ("kafka://h:9092/t", "kafka://h:9092/t?delivery.timeout.ms=3000"),
        ("kafka://h/t", "kafka://h:9092/t?delivery.timeout.ms=3000"),
        ("kafka://[::1]:9092/t", "kafka://[::1]:9092/t?delivery.timeout.ms=3000"),
        ("kafka://h1:9092,h2:9093/t", "kafka://h1:9092,h2:9093/t?delivery.timeout.ms=3000"),
        ("kafka://h/%74?client.id=a%26b", "kafka://h:9092/t?client.id=a%26b&delivery.timeout.ms=3000"),
    ];
    for (dsn, printed) in good {
        assert_eq!(Target::parse(dsn).expect(dsn).to_string(), printed);
    }
    let bad = [
        ("kafka://h:9092", "names no topic"),
        ("kafka://h:9092/", "names no topic"),
        ("kafka://h:9092/a/b", "not a valid topic name"),
        ("kafka://h:None/t", "the port is `None`"),
        ("kafka://h:65536/t", "the port is not a number from 1 to 65535"),
        ("kafka://h:0/t", "the port is 0"),
        ("kafka:///t", "at least one HOST:PORT"),
        ("redis://h/1/key", "the scheme is neither kafka nor kafka+ssl"),
        ("kafka://h/t?lingr.ms=1", "did you mean linger.ms?"),
        ("kafka://h/t?acks=0", "nothing would be acknowledged"),
        ("kafka://h/t?acks=1&enable.idempotence=true", "cannot be idempotent"),
    ];
    for (dsn, part) in bad {
        assert!(refused(dsn).contains(part), "{dsn}: {}", refused(dsn));
    }
}

#[test]
fn credentials_have_one_setting_and_are_never_shown() {
    let cases = [
        ("kafka://u:hunter2@h/t", "needs a mechanism"),
        ("kafka://u:hunter2@h/t?sasl.mechanism=PLAIN", "kafka+ssl://"),
        ("kafka://h/t?sasl.mechanism=hunter2@", "key 1, sasl.mechanism, of the DSN cannot be used"),
    ];
    for (dsn, part) in cases {
        let error = refused(dsn);
        assert!(error.contains(part) && !error.contains("hunter2"), "{error}");
    }
    let dsn = "kafka://u:hunter2@h/t?sasl.mechanism=PLAIN&security.protocol=sasl_plaintext";
    let map = [
        ("bootstrap.servers", "h"),
        ("topic", "t"),
        ("sasl.mechanism", "plain"),
        ("sasl.username", "u"),
        ("sasl.password", "hunter2"),
        ("security.protocol", "SASL_PLAINTEXT"),
    ];
    let target = Target::parse(dsn).expect("a target with a user");
    assert_eq!(target, Target::from_properties(map).expect("the same target"));
    for printed in [target.to_string(), format!("{target:?} {:?}", target.to_dsn())] {
        assert!(!printed.contains("hunter2"), "{printed}");
    }
    let written = target.to_dsn();
    assert_eq!(
        written.expose_text(),
        Some(
            "kafka://u:hunter2@h:9092/t?delivery.timeout.ms=3000&sasl.mechanism=PLAIN&security.protocol=sasl_plaintext"
        )
    );
    assert_eq!(target.to_string(), written.expose_text().expect("text").replace("hunter2", "[redacted]"));
}

#[test]
fn secret_of_a_target_is_never_printed() {
    let map = [("bootstrap.servers", "h"), ("topic", "t"), ("linger.ms", "5"), ("ssl.keystore.key", "hunter2")];
    let target = Target::from_properties(map).expect("a target");
    assert_eq!(target.to_string(), "kafka://h:9092/t?delivery.timeout.ms=3000&linger.ms=5&ssl.keystore.key=[redacted]");
    assert!(!format!("{target:?}").contains("hunter2"), "{target:?}");
}

#[test]
fn map_is_read_and_stays_unchanged() {
    let map: BTreeMap<String, String> = [("metadata.broker.list", "h1,h2:1"), ("topic", "t"), ("linger.ms", "5")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let before = map.clone();
    let first = Target::from_properties(&map).expect("a target");
    let second = Target::from_properties(&map).expect("the same map twice");
    assert_eq!((&first, &map), (&second, &before));
    assert_eq!(first.to_string(), "kafka://h1:9092,h2:1/t?delivery.timeout.ms=3000&linger.ms=5");
    assert_eq!(first, Target::parse(&first.to_string()).expect("its DSN"));
}

#[test]
fn map_without_topic_or_brokers_is_refused_by_name() {
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[("bootstrap.servers", "h")], "topic is not given"),
        (&[("topic", "t")], "bootstrap.servers is not given"),
        (&[("topic", "t"), ("topic", "u"), ("bootstrap.servers", "h")], "topic is given twice"),
        (&[("topic", "a b"), ("bootstrap.servers", "h")], "topic of the target is not valid"),
        (&[("topic", "t"), ("bootstrap.servers", "h:hunter2")], "the port is not a number"),
    ];
    for (map, part) in cases {
        let error = Target::from_properties(map.iter().map(|(key, value)| (*key, *value))).expect_err(part).to_string();
        assert!(error.contains(part) && !error.contains("hunter2"), "{error}");
    }
}

fn timeout(values: &[(&str, Setting<'_>)]) -> Result<u128, String> {
    let fixed = [("bootstrap.servers", Setting::from("h")), ("topic", Setting::from("t"))];
    let map = fixed.iter().chain(values).map(|(key, value)| (*key, value));
    Target::from_properties(map).map(|target| target.timeout().as_millis()).map_err(|error| error.to_string())
}

#[test]
fn timeout_follows_one_rule() {
    let name = "message.timeout.ms";
    assert_eq!(timeout(&[]), Ok(3000));
    for value in ["8000".into(), 8000.0.into(), "8000.0".into(), 8000.into(), 8000_i64.into()] {
        assert_eq!(timeout(&[(name, value)]), Ok(8000));
    }
    for value in [0.into(), "0".into(), "0.0".into(), (-0.0).into(), 1e-9.into()] {
        let error = timeout(&[(name, value)]).expect_err("it bounds nothing");
        assert!(error.contains("delivery.timeout.ms is 0"), "{error}");
    }
    let wrong =
        [(-1).into(), f64::INFINITY.into(), "inf".into(), f64::NAN.into(), true.into(), "soon".into(), 1e300.into()];
    for value in wrong {
        let error = timeout(&[(name, value)]).expect_err("no time");
        assert!(error.contains("message.timeout.ms = ") && error.contains("give a number of milliseconds"), "{error}");
    }
}

#[test]
fn both_names_of_the_timeout_are_an_error_in_any_order() {
    let (one, other) = (("delivery.timeout.ms", Setting::from(1500)), ("message.timeout.ms", Setting::from(5000)));
    for values in [[one.clone(), other.clone()], [other, one]] {
        let error = timeout(&values).expect_err("two timeouts");
        assert!(error.contains("is given twice: leave one of them out"), "{error}");
    }
    assert!(refused("kafka://h/t?delivery.timeout.ms=1&message.timeout.ms=1").contains("message.timeout.ms, which is"));
}

/// Names and values of settings that a producer has.
fn settings() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let linger = proptest::option::of(0_u32..10_000).prop_map(|ms| ("linger.ms", ms.map(|ms| ms.to_string())));
    let id = proptest::option::of(any::<String>()).prop_map(|id| ("client.id", id));
    let timeout = proptest::option::of(1_u32..).prop_map(|ms| ("message.timeout.ms", ms.map(|ms| format!("{ms}.0"))));
    let acks = proptest::option::of(proptest::sample::select(vec!["all", "1", "-1"]));
    let acks = acks.prop_map(|acks| ("acks", acks.map(str::to_owned)));
    let some = |settings: [(&'static str, Option<String>); 4]| {
        settings.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    };
    (linger, id, timeout, acks).prop_map(move |(a, b, c, d)| some([a, b, c, d]))
}

proptest! {
    #[test]
    fn printed_target_is_read_back_to_an_equal_one(
        hosts in proptest::collection::vec("([a-z][a-z0-9.-]{0,8}|\\[::[1-9a-f]{1,4}\\])(:[1-9][0-9]{0,3})?", 1..4),
        topic in "[A-Za-z0-9_-]{1,30}",
        settings in settings(),
    ) {
        let servers = hosts.join(",");
        let fixed = [("bootstrap.servers", servers.as_str()), ("topic", topic.as_str())];
        let map = fixed.into_iter().chain(settings.iter().map(|(name, value)| (*name, value.as_str())));
        let target = Target::from_properties(map).expect("valid settings");
        let printed = target.to_string();
        prop_assert_eq!(&Target::parse(&printed).expect("its own DSN"), &target, "{}", printed);
        prop_assert_eq!(target.topic(), &topic);
        prop_assert_eq!(target.servers(), servers.parse::<BootstrapServers>().expect("a list"));
    }

    #[test]
    fn any_text_is_a_target_or_an_error_of_one_line(text in "(kafka://)?.{0,60}") {
        if let Err(error) = Target::parse(&text) {
            prop_assert_eq!(error.to_string().lines().count(), 1);
        }
    }
}
