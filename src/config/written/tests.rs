//! Any configuration, written in each vocabulary and read again, is the same, its secrets included.

use proptest::prelude::*;
use proptest::sample;

use super::*;
use crate::config::Key;
use crate::config::file::from_text;
use crate::config::keys::Found;
use crate::config::keys::Kind;
use crate::config::keys::find;
#[cfg(feature = "queue")]
use crate::queue::Target;

/// Any text, and texts that some vocabulary could take for its own.
fn text() -> BoxedStrategy<String> {
    const TRAPS: [&str; 14] = [
        "",
        " x ",
        "x\u{a0}",
        "a:b@c/d?e&f=g#h",
        "%41%",
        "C:\\temp\\",
        "\\u0041\\",
        "#x",
        "!x",
        "=:x",
        "two\nlines\r\n\tand\u{c}more",
        "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----",
        "pässword 😀\u{feff}\u{0}\u{7f}",
        "\"quoted\" 'and' more;",
    ];
    prop_oneof![any::<String>(), sample::select(&TRAPS[..]).prop_map(str::to_owned)].boxed()
}

/// A login module with any password.
fn login_module() -> BoxedStrategy<String> {
    let quoted = |text: String| text.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], "\\n");
    let module = sample::select(&["plain.PlainLoginModule", "scram.ScramLoginModule"][..]);
    let login = move |(module, password)| {
        let password = quoted(password);
        format!("org.apache.kafka.common.security.{module} required\n username=\"a\" password=\"{password}\";")
    };
    (module, text()).prop_map(login).boxed()
}

/// A value that a setting takes.
fn value(key: &'static Key) -> BoxedStrategy<String> {
    let words = |words: &'static [&'static str]| sample::select(words).prop_map(str::to_owned).boxed();
    match key.kind {
        _ if key.name == SERVERS => "[a-z]{1,4}(:[1-9][0-9]{0,3})?(,\\[::[1-9a-f]{1,4}\\]:9)?".boxed(),
        Kind::Bytes => any::<u32>().prop_map(|bytes| bytes.to_string()).boxed(),
        Kind::Class(classes) => words(classes),
        Kind::From(low, high) => (low..=high).prop_map(|number| number.to_string()).boxed(),
        Kind::Millis | Kind::MillisOrNever => (0.0_f64..4e9).prop_map(|millis| millis.to_string()).boxed(),
        Kind::OneOf(known) => words(known),
        Kind::OneOfOrDuration(known) => prop_oneof![words(known), Just("by_duration:PT1H30M".to_owned())].boxed(),
        Kind::Text | Kind::Secret => text(),
        Kind::Jaas => login_module(),
        Kind::Mechanism => words(crate::config::keys::MECHANISMS),
        Kind::Share(low, high) => (low..=high).prop_map(|share| share.to_string()).boxed(),
    }
}

type Pair = (&'static str, String);

/// Values for some of the settings, those of brokers always among them.
fn settings() -> impl Strategy<Value = Vec<Pair>> {
    let others: Vec<&'static Key> = keys().filter(|key| key.name != SERVERS).collect();
    let Ok(Found::Key(servers)) = find(SERVERS) else { panic!("a setting") };
    sample::subsequence(others, 0..12).prop_flat_map(move |mut chosen| {
        chosen.push(servers);
        chosen.into_iter().map(|key| (Just(key.name), value(key))).collect::<Vec<_>>()
    })
}

/// Those that this build takes. A setting may overlap with another: the later one of a level, or of the size of the buffer, counts.
fn config(pairs: &[Pair], topic: Option<&str>) -> Config {
    let mut properties = Properties::new();
    for (name, value) in pairs {
        let taken = properties.set(name, value);
        assert!(taken.is_ok() || !cfg!(all(feature = "tls", feature = "sasl-oauth")), "{name}: {taken:?}");
    }
    let servers = Config::from_properties([(SERVERS, properties.get(SERVERS).expect("brokers"))]).expect("brokers");
    properties.extend(servers.properties());
    Config { properties, topic: topic.map(Into::into) }
}

/// Writes a configuration in every vocabulary, and reads each.
fn check(config: &Config) {
    let list = Config::from_properties(config.properties().pairs()).expect("its own list");
    assert_eq!(list.properties(), config.properties(), "as a list");

    let dsn = config.to_dsn().expect("brokers");
    let dsn = dsn.expose_text().expect("text");
    assert_eq!(&Config::from_dsn(dsn).expect("its own DSN"), config, "{dsn}");

    let cuts = config.properties().pairs().find(|(_, value)| cut(value) != *value);
    match (config.to_file_text(), cuts) {
        (Ok(text), None) => {
            let text = text.expose_text().expect("text");
            assert!(text.is_ascii(), "Java reads another encoding: {text}");
            let read = from_text(text, false).unwrap_or_else(|error| panic!("{error}: {text}"));
            assert_eq!(read.properties(), config.properties(), "{text}");
        }
        (Err(error), Some((name, _))) => assert!(error.to_string().starts_with(name), "{error}"),
        (written, cuts) => panic!("{written:?} {cuts:?}"),
    }
    if cuts.is_none() && !config.properties().pairs().any(|(_, value)| value.contains('\n')) {
        let text: String = config.properties().pairs().map(|(name, value)| format!("{name} = {value}\n")).collect();
        let read = from_text(&text, true).expect("a file of kcat");
        assert_eq!(read.properties(), config.properties(), "{text}");
    }
    #[cfg(feature = "queue")]
    check_target(config);
}

/// The map of a target, whose producer needs an acknowledgement.
#[cfg(feature = "queue")]
fn check_target(config: &Config) {
    let map = config.properties().pairs().chain([("topic", config.topic().unwrap_or("t"))]);
    let Ok(target) = Target::from_properties(map) else { return };
    assert_eq!(Target::parse(target.to_dsn().expose_text().expect("text")).expect("its own DSN"), target);
    let map = target.properties().pairs().chain([("topic", target.topic())]);
    assert_eq!(Target::from_properties(map).expect("its own map"), target);
}

/// The settings of security that belong together, with any user and password.
fn credentials() -> impl Strategy<Value = Vec<Pair>> {
    let protocol = sample::select(&["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"][..]);
    let protocol = proptest::option::of(protocol.prop_map(str::to_owned)).prop_map(|value| (PROTOCOL, value));
    let mechanism = sample::select(crate::config::keys::MECHANISMS).prop_map(str::to_owned);
    let mechanism = proptest::option::of(mechanism).prop_map(|value| ("sasl.mechanism", value));
    let text = |name| proptest::option::of(text()).prop_map(move |value| (name, value));
    let all = (protocol, mechanism, text("sasl.username"), text("sasl.password"), text("ssl.keystore.key"));
    all.prop_map(|(a, b, c, d, e)| {
        let set = [a, b, c, d, e].into_iter().filter_map(|(name, value)| Some((name, value?)));
        set.chain([(SERVERS, "a".to_owned())]).collect()
    })
}

proptest! {
    #[test]
    fn any_configuration_is_read_again_as_it_was_written(
        settings in settings(),
        topic in proptest::option::of("[A-Za-z0-9_-]{1,30}"),
    ) {
        check(&config(&settings, topic.as_deref()));
    }

    #[test]
    fn any_credentials_are_read_again_as_they_were_written(settings in credentials()) {
        check(&config(&settings, Some("t")));
    }
}

/// Each setting of TLS and SASL once, whatever the random configurations choose.
#[test]
fn each_setting_of_security_is_read_again_as_it_was_written() {
    let is_of_security =
        |name: &str| ["ssl.", "sasl.", "https.", "security.", "enable.ssl."].iter().any(|of| name.starts_with(of));
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut count = 0;
    for key in keys().filter(|key| is_of_security(key.name)) {
        for _ in 0..8 {
            let value = value(key).new_tree(&mut runner).expect("a value").current();
            check(&config(&[(SERVERS, "a,b:1".to_owned()), (key.name, value)], Some("t")));
        }
        count += 1;
    }
    assert!(count > 40, "{count}");
}

#[test]
fn written_configuration_shows_no_secret_unless_it_is_exposed() {
    let pairs = [(SERVERS, "a"), ("sasl.password", "hunter2"), ("ssl.keystore.key", "hunter2")];
    let config = Config::from_properties(pairs).expect("three settings");
    let (dsn, text) = (config.to_dsn().expect("brokers"), config.to_file_text().expect("no spaces"));
    let hidden = Dsn { properties: config.properties(), topic: None };
    assert_eq!(hidden.to_string(), "kafka://a:9092?sasl.password=[redacted]&ssl.keystore.key=[redacted]");
    for printed in [format!("{config:?}"), format!("{dsn} {dsn:?} {text} {text:?}"), hidden.to_string()] {
        assert!(!printed.contains("hunter2"), "{printed}");
    }
    assert!(dsn.expose_text().is_some_and(|dsn| dsn.contains("hunter2")));
}

#[test]
fn configuration_that_cannot_be_written_says_why() {
    let error = Config::default().to_dsn().expect_err("no brokers").to_string();
    assert!(error.contains("bootstrap.servers is not set"), "{error}");
    let config = Config::from_properties([("sasl.password", "hunter2 ")]).expect("a password");
    let error = config.to_file_text().expect_err("a space at the end").to_string();
    assert!(error.starts_with("sasl.password begins or ends with a space") && !error.contains("hunter2"), "{error}");
    let large = "x".repeat(2 << 20);
    let config = Config::from_properties([("ssl.ca.pem", &large)]).expect("a text");
    assert!(config.to_file_text().expect_err("too large").to_string().contains("1 MiB"));
}

#[test]
fn brokers_are_the_same_by_each_vocabulary() {
    let expected = Config::from_dsn("kafka://a.example,[::1]:1").expect("a DSN");
    let list = Config::from_properties([("metadata.broker.list", "a.example, ::1:1,A.example:9092")]).expect("a list");
    assert_eq!(list, expected);
    assert_eq!(from_text("bootstrap.servers = a.example,[::1]:1", false).expect("a file"), expected);
    let error = from_text("linger.ms=1\nbootstrap.servers=a:None", false).expect_err("no port").to_string();
    assert!(error.contains("line 2 of the text: bootstrap.servers: broker 1 \"a\": the port is `None`"), "{error}");
}
