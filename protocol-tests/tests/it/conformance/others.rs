//! Other clients against the mock.

use std::io::Write;
use std::process::Command;
use std::process::Stdio;

use ottla::mock::Cluster;
use ottla::mock::Release;
use ottla::mock::Server;
use protocol_tests::rig;

async fn serve(release: Release) -> (Server, u16) {
    let cluster = Cluster::builder().brokers(2).topic("t", 2).release(release).build();
    let server = Server::start(cluster, "127.0.0.1:0".parse().expect("an address")).await.expect("free ports");
    let first = server.bootstrap().split(',').next().expect("a broker").to_owned();
    (server, first.rsplit(':').next().expect("a port").parse().expect("a number"))
}

fn feed(command: &mut Command, lines: &str) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    child.stdin.take().expect("a pipe").write_all(lines.as_bytes()).expect("written");
    assert!(child.wait().expect("an end").success(), "{command:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kcat_writes_and_reads_the_mock_of_every_release() {
    if !rig::is_up(rig::RELEASES[0].1) {
        return;
    }
    for release in [Release::V2_1, Release::V2_8, Release::V3_9, Release::V4_1, Release::V4_3] {
        let (server, port) = serve(release).await;
        let address = rig::address(port);
        for partition in ["0", "1"] {
            let mut kcat = Command::new("kcat");
            kcat.args(["-b", &address, "-P", "-t", "t", "-p", partition, "-z", "lz4", "-X", "enable.idempotence=true"]);
            feed(&mut kcat, "one\ntwo\nthree\n");
        }
        let mut read = rig::kcat_records(port, "t");
        read.sort();
        let of =
            |partition| ["one", "two", "three"].into_iter().zip(0..).map(move |(v, o)| (partition, o, v.to_owned()));
        assert_eq!(read, of(0).chain(of(1)).collect::<Vec<_>>(), "{release:?}");
        assert_eq!(server.with(|cluster| cluster.log("t", 0).len()), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn javas_console_tools_write_and_read_the_mock() {
    if !rig::is_up(rig::RELEASES[0].1) {
        return;
    }
    let (server, port) = serve(Release::V4_3).await;
    let address = rig::address(port);
    let mut java = rig::java("org.apache.kafka.tools.ConsoleProducer");
    java.args(["--bootstrap-server", &address, "--topic", "t", "--compression-codec", "zstd"]);
    feed(&mut java, "one\ntwo\nthree\n");
    let partition = server.with(|cluster| i32::from(cluster.log("t", 0).is_empty()));
    assert_eq!(server.with(|cluster| cluster.log("t", partition).len()), 3);
    let mut java = rig::java("org.apache.kafka.tools.consumer.ConsoleConsumer");
    java.args(["--bootstrap-server", &address, "--topic", "t", "--partition", &partition.to_string()]);
    java.args(["--offset", "earliest", "--max-messages", "3", "--timeout-ms", "30000"]);
    assert_eq!(String::from_utf8(rig::output(&mut java)).expect("text"), "one\ntwo\nthree\n");
}
