#![no_main]
//! A response may cost so much memory as its size allows, whatever it claims to hold.

use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    ottla_fuzz::response(data);
    let peak = HEAP.peak_usage().saturating_sub(before);
    assert!(peak <= 32 * data.len() + (64 << 10), "{} bytes made room for {peak}", data.len());
});
