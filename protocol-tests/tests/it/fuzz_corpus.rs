//! The fuzz targets' seeds, replayed without a fuzzer.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use ottla::internals::wire::Api;
use ottla::internals::wire::Response;

use super::golden::rows;
use super::golden::unhex;

// The fuzz workspace links libFuzzer, which needs a C++ compiler. The code of its targets does not.
#[path = "../../../fuzz/src/lib.rs"]
#[allow(unreachable_pub)]
pub(super) mod targets;

use targets::TARGETS;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(name)
}

/// The files in a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries
        .map(|entry| entry.expect("an entry"))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .collect()
}

#[test]
fn every_seed_of_every_fuzz_target_passes() {
    for (name, target) in TARGETS {
        let seeds = files(&folder("corpus").join(name));
        assert!(seeds.values().any(|path| path.extension().is_some_and(|kind| kind == "seed")), "{name} has no seeds");
        // Inputs that a fuzzer found on this machine are replayed too.
        for (seed, path) in seeds {
            // Shown only if it fails.
            println!("{name}: {seed}");
            target(&fs::read(path).expect("a readable seed"));
        }
    }
}

#[test]
fn every_fuzz_target_is_replayed() {
    let of_c = ["zstd_against_c"];
    let binaries = files(&folder("targets")).into_keys().map(|file| file.trim_end_matches(".rs").to_owned());
    let binaries: Vec<String> = binaries.filter(|name| !of_c.contains(&name.as_str())).collect();
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(binaries, names);
    let manifest = fs::read_to_string(folder("Cargo.toml")).expect("the manifest");
    for name in names.iter().chain(&of_c) {
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name} is not in the manifest");
    }
}

/// Java's responses reach every version that the target `response` decodes. `OTTLA_CORPUS` names another folder of inputs, such as
/// a fuzzer's. `OTTLA_SHOW=1` prints how many inputs were decoded and refused.
#[test]
fn every_version_of_every_response_is_reached() {
    let inputs: Vec<Vec<u8>> = match std::env::var_os("OTTLA_CORPUS") {
        Some(corpus) => {
            let read = |path: &PathBuf| fs::read(path).expect("a readable input");
            files(Path::new(&corpus)).values().map(read).collect()
        }
        None => of_responses(),
    };
    let spoken = Api::ALL
        .into_iter()
        .flat_map(|api| (api.versions().0..=api.versions().1).map(move |version| (api.key(), version)));
    let reached: RefCell<BTreeMap<(i16, i16), [u64; 2]>> = RefCell::new(spoken.map(|place| (place, [0, 0])).collect());
    for input in inputs {
        targets::response_by(&input, |api, version, frame| {
            let response = Response::decode(api, version, frame);
            let mut reached = reached.borrow_mut();
            reached.get_mut(&(api.key(), version)).expect("it is spoken")[usize::from(response.is_err())] += 1;
            response
        });
    }
    for ((key, version), [read, refused]) in reached.into_inner() {
        if std::env::var_os("OTTLA_SHOW").is_some() {
            println!("API {key} version {version}: {read} read, {refused} refused");
        }
        assert!(read > 0, "no input is a response of API {key} version {version}");
    }
}

/// Found by the target `response`. In the first topic, tag 0 declares 33 bytes: two are its value, and in the others is a
/// second topic with a count of 2³² − 2.
#[test]
fn known_tag_of_another_size_cannot_hide_a_count() {
    // Name, id, error, message, partitions, replication.
    let topic = [&[1][..], &[0; 16], &[0, 0], &[0], &[0; 6]].concat();
    let hidden = [&[0, 0][..], &topic, &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
    let size = u8::try_from(hidden.len()).expect("a small tag");
    // Correlation, no tags, throttle, two topics; configs, one tag; the second topic as it should be.
    let body = [&[0; 4][..], &[0], &[0; 4], &[3], &topic, &[1, 1, 0, size], &hidden, &topic, &[1, 0, 0]].concat();
    let refused = Response::decode(Api::CreateTopics, 7, body.into());
    assert!(refused.is_err(), "{refused:?}");
}

/// Seeds for each target: bytes that Java wrote, and bytes that only a hostile peer sends.
fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = of_messages();
    seeds.extend(of_records());
    seeds.extend(of_groups());
    let stream = [&[0, 0, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0, 4, 9, 9, 9, 9][..], &[0, 0]].concat();
    seeds.push(("frames", "two-and-a-half".into(), stream));
    seeds.push(("frames", "http".into(), b"\x03HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()));
    seeds.push(("frames", "claim".into(), vec![7, 0x06, 0x40, 0, 0, 0, 0]));
    let hostile: [(&str, &str, &[u8]); 6] = [
        ("decompress_gzip", "bomb-head", &[0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 3, 0xff, 0xff]),
        (
            "decompress_lz4",
            "match-before-start",
            &[4, 34, 77, 24, 96, 64, 130, 5, 0, 0, 0, 31, 97, 255, 0, 0, 0, 0, 0, 0],
        ),
        ("decompress_snappy", "claim", &[0xff, 0xff, 0x3f, 0x08, b'a', b'b', b'c']),
        ("decompress_snappy", "copy-before-start", &[4, 0x01, 0xff]),
        ("decompress_zstd", "window", &[0x28, 0xb5, 0x2f, 0xfd, 0, 0x88, 1, 0, 0]),
        ("decompress_zstd", "run", &[0x28, 0xb5, 0x2f, 0xfd, 0, 0x50, 0xfb, 0xff, 0x0f, 0x41]),
    ];
    let settings: [(&str, &str, &[u8]); 18] = [
        ("jaas", "plain", b"org.apache.kafka.common.security.plain.PlainLoginModule required username=\"a\" password='hunter2';"),
        ("jaas", "misquoted", b"ScramLoginModule required password=\"a\"hunter2; // \\101"),
        ("oauth", "token", b"\x00\xc8{\"access_token\":\"e30.eyJleHAiOjE4MDAwMDAwMDB9.c2ln\",\"token_type\":\"Bearer\",\"expires_in\":\"60\"}"),
        ("oauth", "refusal", b"\x01\x91{\"error\":\"invalid_client\",\"error_description\":\"hunter2\\n\"}"),
        ("oauth", "redirect", b"\x01\x2ehttps://evil.example/?hunter2"),
        ("pem", "certificate", b"-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIB\n-----END CERTIFICATE-----\n"),
        ("pem", "key", b"-----BEGIN PRIVATE KEY-----\\nMC4CAQAwBQYDK2VwBCIEIA==\\n-----END PRIVATE KEY-----hunter2"),
        ("pem", "der", b"\x30\x82\x01\x00\x02\x01\x03\x30\x84\xff\xff\xff\xff"),
        ("scram", "exchange", b"r=nonce3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096\nv=rmF9pqV8S7suAoZWja4dJRkFsKQ="),
        ("scram", "extensions", b"r=noncex,s=QQ==,i=4096,x=1\nv=AAAA,m=1"),
        ("scram", "costly", b"r=noncex,s=QQ==,i=2147483647"),
        ("scram", "refusal", b"r=noncex,s=QQ==,i=8192\ne=invalid-proof"),
        (
            "config",
            "producer",
            b"acks=all\nlinger.ms=0.5\ncompression.type=zstd\ncompression.level=3\nbatch.size=65536",
        ),
        ("config", "consumer", b"group.id=g\nauto.offset.reset=latest\nfetch.max.bytes=0\nsession.timeout.ms=45000"),
        ("config", "refused", b"sasl.password=x\nssl.key.pasword=y\nsasl.password: z\nacks=2\nlinger.ms=soon"),
        ("config", "by-number", b"\x80\x00\x82\n\x80\x05\x8b"),
        ("dsn", "whole", b"kafka://a:1,[::1]:2,b/events?acks=all&client.id=a%26b"),
        ("dsn", "password", b"user\n1/?linger.ms=\n/x\na:9092/t"),
    ];
    seeds.extend(settings.map(|(target, name, bytes)| (target, name.to_owned(), bytes.to_vec())));
    seeds.extend(hostile.map(|(target, name, bytes)| (target, name.to_owned(), bytes.to_vec())));
    seeds
}

/// The shortest body of the first and of the last version of each API and kind.
fn of_messages() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for api in Api::ALL {
        let (low, high) = api.versions();
        let key = u8::try_from(api.key()).expect("a small key");
        for (kind, version) in [("request", low), ("request", high), ("response", low), ("response", high)] {
            let of = |row: &&Vec<String>| row[1] == api.name() && row[2] == kind && row[3] == version.to_string();
            let rows = rows("#api_key\tapi\tkind\tversion\tmode\tbody_hex\tjson");
            // Bodies without elements reach little code.
            let bodies = rows.iter().filter(of).map(|row| unhex(&row[5])).filter(|body| body.len() > 24);
            let Some(body) = bodies.min_by_key(Vec::len) else { continue };
            let name = format!("{}-{kind}-v{version}", api.name());
            let version = u8::try_from(version).expect("a small version");
            let is_response = kind == "response";
            if is_response {
                let tags: &[u8] = if api.flexible_response(i16::from(version)) { &[0] } else { &[] };
                seeds.push(("response", name.clone(), [&[key, version, 0, 0, 0, 7], tags, &body].concat()));
            }
            if [0, 1, 8, 9].contains(&key) {
                seeds.push(("hand", name, [&[key, u8::from(is_response), version], &body[..]].concat()));
            }
        }
    }
    seeds
}

/// Java's responses, in the format of the target.
fn of_responses() -> Vec<Vec<u8>> {
    let rows = rows("#api_key\tapi\tkind\tversion\tmode\tbody_hex\tjson");
    let input = |row: &Vec<String>| {
        let api = Api::ALL.into_iter().find(|api| row[1] == api.name() && row[2] == "response")?;
        let version: i16 = row[3].parse().expect("a version");
        let tags: &[u8] = if api.flexible_response(version) { &[0] } else { &[] };
        let head = [u8::try_from(api.key()).expect("a small key"), u8::try_from(version).expect("small"), 0, 0, 0, 7];
        Some([&head[..], tags, &unhex(&row[5])].concat())
    };
    rows.iter().filter_map(input).collect()
}

/// Java's subscriptions: one group of each assignor, and one whose members have racks.
fn of_groups() -> Vec<(&'static str, String, Vec<u8>)> {
    let rows = rows("#assignor\ttopics\tmembers\tassignments");
    let chosen = rows.iter().take(4).chain(rows.iter().filter(|row| row[1].contains("r1")).take(1));
    let seed = |(number, row): (usize, &Vec<String>)| {
        let mut bytes = vec![9];
        for member in row[2].split(' ') {
            let subscription = unhex(member.rsplit('/').next().expect("a subscription"));
            bytes.extend(u16::try_from(subscription.len()).expect("a small one").to_be_bytes());
            bytes.extend(subscription);
        }
        ("group", format!("{}-{number}", row[0]), bytes)
    };
    chosen.enumerate().map(seed).collect()
}

/// Java's batches, whole and in parts.
fn of_records() -> Vec<(&'static str, String, Vec<u8>)> {
    const SMALL: usize = 2_000;
    let mut seeds = Vec::new();
    for row in rows("#name\trecords_hex\tjson") {
        let (name, bytes) = (row[0].replace('/', "-"), unhex(&row[1]));
        if bytes.len() > SMALL {
            continue;
        }
        let target = if name.starts_with("v2-mixed") {
            "payload"
        } else if name.starts_with("v0") || name.starts_with("v1") {
            "legacy"
        } else {
            "batch"
        };
        let compressed = match name.split('-').nth(1) {
            Some("gzip") => Some("decompress_gzip"),
            Some("lz4") => Some("decompress_lz4"),
            Some("snappy") => Some("decompress_snappy"),
            Some("zstd") => Some("decompress_zstd"),
            _ => None,
        };
        if let Some(codec) = compressed.filter(|_| target == "batch") {
            seeds.push((codec, name.clone(), bytes[61..].to_vec()));
        }
        if name.starts_with("v0-none") || name.starts_with("v1-none") {
            // Gzip, Snappy, LZ4.
            for id in 1..=3 {
                seeds.push(("wrapped", format!("{name}-{id}"), [&[id, bytes[16], 9], &bytes[..]].concat()));
            }
        }
        seeds.push((target, name, bytes));
    }
    seeds
}

#[test]
#[ignore = "writes the seeds into fuzz/corpus"]
fn write_the_fuzz_seeds() {
    for (target, name, bytes) in seeds() {
        let folder = folder("corpus").join(target);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(format!("{name}.seed")), bytes).expect("to write a seed");
    }
}
