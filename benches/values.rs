//! The values of records, for our benches and for the Rust peers that are compared, which include this file.

use std::fmt::Write;

/// Values of `size` bytes that compress as JSON does: the same on every machine and in every run, none like another.
pub(crate) fn values(count: usize, size: usize) -> Vec<Vec<u8>> {
    let mut state = 7_u64;
    // Xorshift.
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let value = |_| {
        let mut text = String::with_capacity(size + 80);
        while text.len() < size {
            let (a, b, c) = (next() % 10_000, next() % 1_000, next() % 100_000);
            write!(text, r#"{{"host":"node-{b}","metric":"cpu.load","value":{a}.{c},"ok":true}}"#)
                .expect("a string takes it");
        }
        text.truncate(size);
        text.into_bytes()
    };
    (0..count).map(value).collect()
}
