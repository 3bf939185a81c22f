//! The inputs of `ottla produce`: delimiters of records, whole files, a key for all, records without end.

use super::Mock;
use super::end;
use super::run;
use super::spawn;

use std::io::Write;

#[test]
fn records_are_split_at_their_delimiter() {
    let cases: [(&str, &[u8], &[&str]); 7] = [
        (r"\0", b"a\nb\0c\0", &["a\nb", "c"]),
        ("--", b"a-b--c---d", &["a-b", "c", "-d"]),
        ("aa", b"xaaay", &["x", "ay"]),
        (";", b";;x", &["", "", "x"]),
        (r"\r\n", b"a\r\nb\nc\r\n", &["a", "b\nc"]),
        (r"\n", b"", &[]),
        (r"\n", b"\n", &[""]),
    ];
    for (delimiter, input, expected) in cases {
        let mock = Mock::serve(&["--topic", "t:1"]);
        mock.run(&["produce", "-t", "t", "-D", delimiter], input).lines();
        let read = mock.run(&["consume", "-t", "t", "-e", "-D", r"\x1f"], "");
        let records: Vec<&str> = read.out.split_terminator('\u{1f}').collect();
        assert_eq!(records, expected, "{delimiter}");
    }
}

#[test]
fn delimiter_that_two_reads_share_is_found() {
    // A file is read in blocks of 64 KiB.
    let folder = tempfile::tempdir().expect("a folder");
    for before in 65_531..=65_536 {
        let mock = Mock::serve(&["--topic", "t:1"]);
        let file = folder.path().join("file");
        std::fs::write(&file, "x".repeat(before) + "<end>y<end>").expect("written");
        mock.run(&["produce", "-t", "t", "-D", "<end>", file.to_str().expect("text")], "").lines();
        let read = mock.run(&["consume", "-t", "t", "-e", "-f", "%S "], "");
        assert_eq!(read.out, format!("{before} 1 "));
    }
}

#[test]
fn whole_file_is_one_record() {
    let mock = Mock::serve(&["--topic", "t:1"]);
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let [lines, empty] = ["lines", "empty"].map(path);
    std::fs::write(&lines, "a\nb\n").expect("written");
    std::fs::write(&empty, "").expect("written");
    let done = mock.run(&["produce", "-t", "t", "-k", "name", "--whole", &lines, &empty], "");
    assert!(done.err.contains("2 records acknowledged"), "{done:?}");
    mock.run(&["produce", "-t", "t", "--whole", "-Z"], "").lines();
    mock.run(&["produce", "-t", "t", "--whole"], "c\nd").lines();
    mock.run(&["produce", "-t", "t", "-l", &lines], "").lines();
    let read = mock.run(&["consume", "-t", "t", "-e", "-f", "%k %S %s;"], "");
    assert_eq!(read.out, "name 4 a\nb\n;name 0 ; -1 ; 3 c\nd; 1 a; 1 b;");
    for option in [&["-D", ";"][..], &["-K", ";"], &["-l"]] {
        let done = run(&[&["-b", "a", "produce", "-t", "t", "--whole"], option].concat(), "");
        assert!(done.status == Some(2) && done.err.contains("cannot be used with"), "{done:?}");
    }
    run(&["-b", "a", "produce", "-t", "t", "-D", ""], "").failed(2, &["-D", "--whole"]);
}

#[test]
fn key_for_all_records_yields_to_keys_of_lines() {
    let mock = Mock::serve(&["--topic", "t:1"]);
    mock.run(&["produce", "-t", "t", "-k", r"all\t"], "a\n").lines();
    let done = mock.run(&["produce", "-t", "t", "-k", "all", "-K", ":"], "k:b\nc\n:d\n");
    assert_eq!(done.err, "3 records acknowledged\n", "lines without a delimiter have a key");
    mock.run(&["produce", "-t", "t", "-K", ":", "-Z"], ":\n").lines();
    let read = mock.run(&["consume", "-t", "t", "-e", "-f", r"%K %k %S %s\n"], "");
    assert_eq!(read.lines(), [r"5 all\t 1 a", "1 k 1 b", "3 all 1 c", "0  1 d", "-1  -1 "]);
}

#[test]
fn record_without_end_is_refused_in_bounded_memory() {
    let mock = Mock::serve(&["--topic", "t:1"]);
    for whole in [&[][..], &["--whole"]] {
        let mut child = spawn(&[&["-b", &mock.brokers, "produce", "-t", "t", "--report"], whole].concat());
        let mut stdin = child.stdin.take().expect("a pipe");
        let block = vec![b'x'; 1 << 20];
        for _ in 0..200 {
            stdin.write_all(&block).expect("it reads");
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("Linux");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        let kilobytes: u64 = peak.trim().trim_end_matches("kB").trim().parse().expect("a number");
        assert!(kilobytes < 100_000, "{kilobytes} kB after 200 MB");
        if whole.is_empty() {
            stdin.write_all(b"\nlast\n").expect("it reads");
        }
        drop(stdin);
        let done = end(child);
        assert_eq!(done.status, Some(1), "{done:?}");
        assert!(
            done.err.contains("standard input, line 1: ") && done.err.contains("raise max.request.size"),
            "{done:?}"
        );
        assert!(done.out.contains("not written"), "{done:?}");
    }
    assert_eq!(mock.run(&["consume", "-t", "t", "-e"], "").lines(), ["last"]);
}
