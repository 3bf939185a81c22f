#![no_main]
//! The memory for a response is limited by its size, whatever it claims to hold.

use ottla::internals::wire::Response;
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    ottla_fuzz::response_by(data, |api, version, frame| {
        let length = frame.len();
        HEAP.reset_peak_usage();
        let before = HEAP.current_usage();
        let response = Response::decode(api, version, frame);
        let peak = HEAP.peak_usage().saturating_sub(before);
        assert!(peak <= 8 * length + (64 << 10), "{api:?} version {version}: {length} bytes took {peak}");
        response
    });
});
