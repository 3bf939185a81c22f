//! A key goes to the same partition as with the Java client.

use ottla::partitioner::hash;

use super::rows;
use super::unhex;

#[test]
fn golden_hashes_are_equal() {
    let rows = rows("#fn\tinput_hex\toutput");
    for row in &rows {
        let input = unhex(&row[1]);
        let ours = match row[0].as_str() {
            "murmur2" => i64::from(hash::murmur2(&input)),
            "java_partition_32" => i64::from(hash::java_partition(&input, 32)),
            "java_partition_15" => i64::from(hash::java_partition(&input, 15)),
            "crc32" => i64::from(hash::crc32(&input)),
            "crc32c" => i64::from(crc32c::crc32c(&input)),
            "fnv1a" => i64::from(hash::fnv1a(&input)),
            other => panic!("unknown function {other}"),
        };
        assert_eq!(ours.to_string(), row[2], "{} of {}", row[0], row[1]);
    }
}
