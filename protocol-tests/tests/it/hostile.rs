//! Bytes that no honest broker sends. Each class leads to an error or to the part that is valid, never to a panic.
//!
//! Random cases come from numbered seeds, and a failure names its seed. All of these tests run once more in a process with little
//! address space: it aborts if memory is reserved for a count or a length alone.

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::panic::resume_unwind;

mod codec;
mod group;
mod record;
mod wire;

/// Runs `case` with a generator for each of `count` seeds and names the seed that fails.
fn seeds(count: u64, mut case: impl FnMut(&mut fastrand::Rng)) {
    for seed in 0..count {
        let mut rng = fastrand::Rng::with_seed(seed);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| case(&mut rng))) {
            eprintln!("failed with seed {seed}");
            resume_unwind(panic);
        }
    }
}

/// Lengths and counts that break careless decoders, classic and compact.
const CLAIMS: [&[u8]; 9] = [
    &[0x7f, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xfe],
    &[0x80, 0x00, 0x00, 0x00],
    &[0x00, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0x80, 0x80, 0x80, 0x80, 0x08],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0x7f, 0xff],
];

/// Overwrites the bytes at `at` with `claim`, up to the end.
fn overwrite(bytes: &mut [u8], at: usize, claim: &[u8]) {
    let end = bytes.len().min(at + claim.len());
    bytes[at..end].copy_from_slice(&claim[..end - at]);
}

/// Changes `bytes` in one to four places.
fn mutate(rng: &mut fastrand::Rng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.usize(1..=4) {
        if bytes.is_empty() {
            bytes.push(rng.u8(..));
        }
        let at = rng.usize(..bytes.len());
        let end = rng.usize(at..=bytes.len().min(at + 40));
        match rng.u8(..8) {
            0 => bytes[at] ^= 1 << rng.u8(..8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.usize(..5)],
            2 => bytes[at] = rng.u8(..),
            3 | 4 => overwrite(bytes, at, CLAIMS[rng.usize(..CLAIMS.len())]),
            5 => bytes.truncate(at),
            6 => drop(bytes.drain(at..end)),
            _ => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

/// A count of 2³¹ elements would reserve gigabytes. The process within has less, and would abort.
#[cfg(target_os = "linux")]
#[test]
fn hostile_bytes_take_little_memory() {
    const INSIDE: &str = "OTTLA_LITTLE_MEMORY";
    const KIBIBYTES: u32 = 1 << 20;
    if std::env::var_os(INSIDE).is_some() {
        return;
    }
    let exe = std::env::current_exe().expect("the path of this test");
    let output = std::process::Command::new("sh")
        .args(["-c", &format!("ulimit -v {KIBIBYTES} && exec \"$0\" \"$@\"")])
        .arg(exe)
        .args(["hostile::", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .expect("a shell");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}\n{text}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("hostile::wire::"), "the tests were not found:\n{text}");
}
