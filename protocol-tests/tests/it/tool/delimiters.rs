//! Delimiters, their escapes, lines without one, and the lossless JSON of records.

use std::time::Duration;

use ottla::Client;
use ottla::Record;
use serde_json::Value;
use serde_json::json;

use super::Mock;
use super::run;

#[test]
fn escaped_key_delimiter_splits_at_its_bytes() {
    let cases: [(&str, &[u8]); 7] = [
        (r"\t", b"k\tv\n"),
        (r"\r", b"k\rv\n"),
        (r"\0", b"k\0v\n"),
        (r"\\", b"k\\v\n"),
        (r"\x3b", b"k;v\n"),
        (r"\x7C\x7c", b"k||v\n"),
        (r":\t:", b"k:\t:v\n"),
    ];
    for (delimiter, line) in cases {
        let mock = Mock::serve(&["--topic", "t:1"]);
        mock.run(&["produce", "-t", "t", "-K", delimiter], line).lines();
        let read = mock.run(&["consume", "-t", "t", "-e", "-f", r"%k\x3D%s\n"], "");
        assert_eq!(read.lines(), ["k=v"], "{delimiter}");
    }
}

#[test]
fn unknown_escape_is_a_usage_error_that_names_it() {
    let cases = [
        (r"\q", r"-K: \q is not an escape"),
        (r"\", r"-K: \ is not an escape"),
        (r"\x4", r"-K: \x4 is not an escape"),
        (r"\xzz", r"-K: \xzz is not an escape"),
        (r"\x+1", r"-K: \x+1 is not an escape"),
        (r"\012", r"-K: \01 is not an escape"),
        (r"\é", r"-K: \é is not an escape"),
        (r"\xé", r"-K: \xé is not an escape"),
    ];
    for (delimiter, problem) in cases {
        let known = r"there are \n \r \t \0 \\ and \xNN";
        run(&["-b", "a", "produce", "-t", "t", "-K", delimiter], "").failed(2, &[problem, known]);
        let problem = problem.replace("-K:", "-f:");
        run(&["-b", "a", "consume", "-t", "t", "-f", delimiter], "").failed(2, &[&problem, known]);
    }
}

#[test]
fn lines_without_key_delimiter_are_counted_once() {
    let mock = Mock::serve(&["--topic", "t:1"]);
    let input = "a\tb\n".to_owned() + &"no key\n".repeat(1_000) + "c\td";
    let done = mock.run(&["produce", "-t", "t", "-K", r"\t"], &input);
    assert_eq!(done.status, Some(0), "{done:?}");
    let lines: Vec<&str> = done.err.lines().collect();
    let [missing, acknowledged] = lines[..] else { panic!("{lines:?}") };
    assert!(missing.starts_with(r"ottla: lines without the key delimiter '\t', sent without a key: 1000"), "{missing}");
    assert!(missing.contains("the first is standard input, line 2; --strict refuses them"), "{missing}");
    assert_eq!(acknowledged, "1002 records acknowledged");
    let read = mock.run(&["consume", "-t", "t", "-e", "-f", r"%K %s\n"], "");
    assert_eq!(read.lines()[..2], ["1 b", "-1 no key"]);

    let done = mock.run(&["produce", "-t", "t", "-K", r"\t"], "a\tb\n");
    assert_eq!(done.err, "1 records acknowledged\n", "nothing to report");
}

#[test]
fn strict_refuses_lines_without_key_delimiter() {
    let mock = Mock::serve(&["--topic", "t:1"]);
    let done = mock.run(&["produce", "-t", "t", "-K", ":", "--strict", "--report"], "a:1\nno key\nb:2\n");
    assert_eq!(done.status, Some(1), "{done:?}");
    assert!(done.err.contains("standard input, line 2: no key delimiter ':'; not sent (--strict)"), "{done:?}");
    assert!(done.err.contains("1 of 3 records were not acknowledged"), "{done:?}");
    let report: Vec<Value> = done.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let failed = report.iter().find(|line| line["line"] == 2).expect("line 2 is reported");
    assert!(failed["error"].is_string() && report.len() == 3, "{report:?}");
    assert_eq!(mock.run(&["consume", "-t", "t", "-e", "-f", r"%k%s\n"], "").lines(), ["a1", "b2"]);
}

#[test]
fn json_of_records_loses_nothing() {
    let mock = Mock::serve(&["--topic", "t:1"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = Client::connect([&mock.brokers]).await.expect("the mock answers");
        let producer = client.producer().build().expect("a producer");
        let bytes: &[u8] = &[0xff, 0, 0x61];
        let records = [
            Record::to("t").key(bytes).value(&bytes[..2]).header("h", &bytes[..1]),
            Record::to("t").key("").value("").header("h", ""),
            Record::to("t"),
            Record::to("t").key("é\n\0").value("\u{feff}\"").header("h", "1"),
        ];
        for record in records {
            producer.send(record).await.expect("acknowledged");
        }
        producer.close(Duration::from_secs(10)).await.expect("closed");
    });
    let read = mock.run(&["consume", "-t", "t", "-e", "--json"], "");
    let expected = [
        json!({ "key_base64": "/wBh", "value_base64": "/wA=", "headers": [{ "key": "h", "value_base64": "/w==" }] }),
        json!({ "key": "", "value": "", "headers": [{ "key": "h", "value": "" }] }),
        json!({ "key": null, "value": null, "headers": [] }),
        json!({ "key": "é\n\0", "value": "\u{feff}\"", "headers": [{ "key": "h", "value": "1" }] }),
    ];
    let lines = read.lines();
    assert_eq!(lines.len(), expected.len());
    for (line, expected) in lines.iter().zip(expected) {
        let mut object: Value = serde_json::from_str(line).expect("JSON");
        for common in ["topic", "partition", "offset", "timestamp"] {
            object.as_object_mut().expect("an object").remove(common).expect(common);
        }
        assert_eq!(object, expected);
    }
}
