//! Java's own tool for log files, `DumpLogSegments`, reads our batches.

use ottla::codec::Codecs;
use ottla::codec::Compression;
use ottla::internals::record::BatchBuilder;
use ottla::internals::record::Header;
use ottla::internals::record::RecordRef;
use ottla::internals::record::Stamp;
use ottla::types::ProducerIdentity;
use ottla::types::Sequence;
use protocol_tests::rig;

const BATCHES: i64 = 3;
const RECORDS: i64 = 50;

/// A batch as a broker stores it: the offset is the only field that a broker sets.
fn stored(number: i64, compression: Compression) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Vec::new());
    let headers = [Header { key: b"twice", value: Some(b"a") }, Header { key: b"twice", value: None }];
    for index in 0..RECORDS {
        let value = format!("value-{number}-{index}-{}", "x".repeat(100));
        let value = (index % 5 != 0).then_some(value.as_bytes());
        let key = Some(&b"key"[..]).filter(|_| index % 2 == 0);
        builder.append(&RecordRef { timestamp: 1_700_000_000_000 + index, key, value, headers: &headers });
    }
    let codec = Codecs::default().get(compression).cloned();
    let (sealed, _) = builder.close().seal(codec.as_deref()).expect("compressible");
    let sequence = i32::try_from(number * RECORDS).ok().and_then(Sequence::from_wire).expect("small");
    let stamp = Stamp { identity: Some((ProducerIdentity { id: 4_711, epoch: 3 }, sequence)), transactional: false };
    let mut bytes = sealed.to_bytes(&stamp).to_vec();
    bytes[..8].copy_from_slice(&(number * RECORDS).to_be_bytes());
    bytes
}

#[test]
fn java_log_dumper_accepts_every_batch_and_record() {
    // No broker is needed, but where one runs there is the Java distribution.
    if !rig::is_up(rig::RELEASES[0].1) {
        return;
    }
    for compression in Compression::ALL {
        let folder = tempfile::tempdir().expect("a folder");
        let segment = folder.path().join("00000000000000000000.log");
        let log: Vec<u8> = (0..BATCHES).flat_map(|number| stored(number, compression)).collect();
        std::fs::write(&segment, log).expect("written");
        let mut java = rig::java("org.apache.kafka.tools.DumpLogSegments");
        java.args(["--deep-iteration", "--print-data-log", "--files"]).arg(&segment);
        let text = String::from_utf8(rig::output(&mut java)).expect("text");
        let batches: Vec<&str> = text.lines().filter(|line| line.starts_with("baseOffset:")).collect();
        assert_eq!(batches.len(), usize::try_from(BATCHES).expect("few"), "{compression}: {text}");
        for (number, batch) in (0..).zip(&batches) {
            let (first, last) = (number * RECORDS, (number + 1) * RECORDS - 1);
            for said in [
                format!("baseOffset: {first} lastOffset: {last} count: {RECORDS} "),
                format!("baseSequence: {first} lastSequence: {last} producerId: 4711 producerEpoch: 3 "),
                format!("compresscodec: {} ", compression.name()),
                "isvalid: true".to_owned(),
            ] {
                assert!(batch.contains(&said), "{compression}: {said} is not in {batch}");
            }
        }
        let records: Vec<&str> = text.lines().filter(|line| line.starts_with("| offset:")).collect();
        assert_eq!(i64::try_from(records.len()).ok(), Some(BATCHES * RECORDS), "{compression}");
        assert!(
            records.iter().all(|record| record.contains("headerKeys: [twice,twice]")),
            "{compression}: {}",
            records[0]
        );
        assert!(records[51].contains("offset: 51 ") && records[51].contains("payload: value-1-1-x"), "{}", records[51]);
    }
}
