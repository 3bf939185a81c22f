//! Measures every case by the clock: `cargo bench -p benches --bench time --features time [-- FILTER]`.

use benches::cases;
use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;

fn time(criterion: &mut Criterion) {
    for case in cases() {
        let (group, name) = case.name.split_once('/').unwrap_or((&case.name, "-"));
        let mut group = criterion.benchmark_group(group);
        group.throughput(Throughput::Bytes(case.prepare().bytes as u64));
        group.bench_function(name, |bencher| {
            let mut prepared = case.prepare();
            bencher.iter(|| prepared.run());
        });
        group.finish();
    }
}

criterion_group!(benches, time);
criterion_main!(benches);
