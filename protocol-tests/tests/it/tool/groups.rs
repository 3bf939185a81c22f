//! `ottla groups` and `ottla lag` on mock clusters; members of groups that are interrupted, and measured.

use std::io::BufRead;
use std::io::BufReader;
use std::process::Child;
use std::time::Duration;

use ottla::Client;
use ottla::admin::Admin;
use ottla::consumer::Consumer;
use ottla::error::Code;
use ottla::mock::Cluster;
use ottla::mock::Fault;
use ottla::mock::GroupState;
use ottla::mock::On;
use ottla::mock::Server;
use ottla::mock::key;
use ottla::types::TopicPartition;
use serde_json::Value;

use super::Done;
use super::consume::append;
use super::consume::served;
use super::end;
use super::interrupt;
use super::run;
use super::spawn;
use super::tempfile_pipe;

/// A cluster of two brokers: topic t with four partitions, of which the second was trimmed, and topic u.
async fn stage() -> Server {
    let mut cluster = Cluster::builder().brokers(2).topic("t", 4).topic("u", 1).build();
    for partition in 0..4 {
        append(&mut cluster, "t", partition, &["a", "b", "c", "d", "e", "f"]);
    }
    cluster.delete_before("t", 1, 4).expect("the partition exists");
    served(cluster).await
}

async fn admin(server: &Server) -> Admin {
    Client::connect([server.bootstrap()]).await.expect("the mock answers").admin()
}

fn at(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

/// Commits offsets of t for a group, by partitions from 0 on.
async fn commit(server: &Server, group: &str, offsets: &[i64]) {
    let offsets = (0..).zip(offsets).map(|(partition, offset)| (at(partition), *offset));
    let altered = admin(server).await.alter_group_offsets(group, offsets).await;
    assert!(altered.iter().all(|(_, outcome)| outcome.is_ok()), "{altered:?}");
}

async fn member(server: &Server, group: &str) -> Consumer {
    let client = Client::connect([server.bootstrap()]).await.expect("the mock answers");
    let mut member = client.consumer().group(group).subscribe(["t"]).auto_commit(None).build().expect("a consumer");
    member.wait_for_assignment(Duration::from_secs(30)).await.expect("the only member");
    member
}

fn tool(server: &Server, arguments: &[&str]) -> Done {
    run(&[&["-b", server.bootstrap()], arguments].concat(), "")
}

fn objects(done: &Done) -> Vec<Value> {
    done.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The cells of a table, without the heading.
fn cells(done: &Done) -> Vec<Vec<&str>> {
    done.out.lines().skip(1).map(|line| line.split_whitespace().collect()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_listed_although_a_broker_fails() {
    let server = stage().await;
    for (group, broker) in [("a", 1), ("b", 2)] {
        server.with(|cluster| cluster.move_coordinator(0, group, broker));
        commit(&server, group, &[1]).await;
    }
    let done = tool(&server, &["groups", "list"]);
    assert_eq!(done.lines()[0], "GROUP  STATE  TYPE     PROTOCOL  COORDINATOR");
    assert_eq!(cells(&done), [["a", "Empty", "Classic", "-", "1"], ["b", "Empty", "Classic", "-", "2"]]);
    let object = r#"{"group":"a","state":"Empty","type":"Classic","protocol_type":"","coordinator":1}"#;
    assert_eq!(tool(&server, &["groups", "list", "--json"]).lines()[0], object);
    assert!(tool(&server, &["groups", "list", "--state", "STABLE", "--json"]).lines().is_empty());
    assert_eq!(cells(&tool(&server, &["groups", "list", "--type", "classic", "--state", "empty"])).len(), 2);
    let denied = Fault::Error(Code::ClusterAuthorizationFailed);
    server.with(|cluster| cluster.play(On::api(key::LIST_GROUPS).broker(2).then(denied).forever()));
    let done = tool(&server, &["groups", "list"]);
    assert_eq!((done.status, cells(&done).len()), (Some(1), 1), "{done:?}");
    assert!(done.err.contains("the groups that broker 2 coordinates are missing"), "{done:?}");
    tool(&server, &["groups", "list", "--state", "calm"]).failed(2, &["--state calm", "Empty", "Stable"]);
    tool(&server, &["groups", "list", "--type", "choir"]).failed(2, &["--type choir", "classic, consumer"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_is_described_with_members_and_deleted_without() {
    let server = stage().await;
    let mut member = member(&server, "live").await;
    let done = tool(&server, &["groups", "describe", "live"]);
    let lines = done.lines();
    let head = "group live  state Stable  type Classic  assignor range  coordinator 127.0.0.1:";
    assert!(lines[0].starts_with(head) && lines[0].ends_with("members 1"), "{done:?}");
    assert_eq!(lines[1].split_whitespace().next(), Some("MEMBER"));
    assert!(lines[2].contains("  127.0.0.1      4  t:0,1,2,3   t"), "{done:?}");
    let [object] = &objects(&tool(&server, &["groups", "describe", "live", "--json"]))[..] else {
        panic!("one object")
    };
    assert_eq!((&object["state"], &object["assignor"]), (&"Stable".into(), &"range".into()));
    assert_eq!(object["members"][0]["partitions"][3]["partition"], 3);
    let done = tool(&server, &["groups", "describe", "live", "nosuch"]);
    assert_eq!((done.status, done.out.is_empty()), (Some(1), false), "the others are described: {done:?}");
    assert!(done.err.contains("nosuch") && done.err.contains("`ottla groups list` has the names"), "{done:?}");
    tool(&server, &["groups", "delete", "live"]).failed(1, &["group live", "NON_EMPTY_GROUP", "stop them first"]);
    member.close().await.expect("it leaves");
    let done = tool(&server, &["groups", "delete", "live", "nosuch"]);
    assert_eq!(done.status, Some(1), "{done:?}");
    assert!(done.err.contains("deleted live\n") && done.err.contains("group nosuch: GROUP_ID_NOT_FOUND"), "{done:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lag_has_a_word_for_no_commit_expired_and_ahead() {
    let server = stage().await;
    commit(&server, "g", &[2, 3, 9]).await;
    let done = tool(&server, &["lag", "-g", "g", "-t", "t"]);
    let heading = "GROUP TOPIC PARTITION COMMITTED START END LAG STATE MEMBER HOST";
    assert_eq!(done.lines()[0].split_whitespace().collect::<Vec<_>>().join(" "), heading);
    let rows: Vec<String> = cells(&done).iter().map(|row| row.join(" ")).collect();
    let expected =
        ["g t 0 2 0 6 4 ok - -", "g t 1 3 4 6 2 expired - -", "g t 2 9 0 6 - ahead - -", "g t 3 - 0 6 - no commit - -"];
    assert_eq!(rows, expected);
    let widths: Vec<usize> = done.out.lines().map(|line| line.find(" ok").unwrap_or(0)).collect();
    assert!(widths[1] > 0, "{done:?}");
    let lines = tool(&server, &["lag", "-g", "g", "-t", "t", "--json"]);
    let expected = [
        r#"{"group":"g","topic":"t","partition":0,"committed":2,"start":0,"end":6,"lag":4,"state":"ok","member":null,"host":null}"#,
        r#"{"group":"g","topic":"t","partition":1,"committed":3,"start":4,"end":6,"lag":2,"state":"expired","member":null,"host":null}"#,
        r#"{"group":"g","topic":"t","partition":2,"committed":9,"start":0,"end":6,"lag":null,"state":"ahead","member":null,"host":null}"#,
        r#"{"group":"g","topic":"t","partition":3,"committed":null,"start":0,"end":6,"lag":null,"state":"no commit","member":null,"host":null}"#,
    ];
    assert_eq!(lines.lines(), expected);
    assert_eq!(cells(&tool(&server, &["lag", "-g", "g"])).len(), 3, "what is committed");
    assert_eq!(cells(&tool(&server, &["lag", "-g", "g,g", "-t", "u"])).len(), 2, "other topics are left out");
    tool(&server, &["lag", "-g", "nosuch"]).failed(1, &["group nosuch", "`ottla groups list` has the names"]);
    assert_eq!(
        cells(&tool(&server, &["lag", "-g", "nosuch", "-t", "u"])),
        [["nosuch", "u", "0", "-", "0", "0", "-", "no", "commit", "-", "-"]]
    );
    tool(&server, &["lag", "-g", "g", "-t", "missing"])
        .failed_but_printed(1, &["missing", "UNKNOWN_TOPIC_OR_PARTITION"]);
}

impl Done {
    /// Asserts a status, and standard error that has all `parts`.
    #[track_caller]
    fn failed_but_printed(&self, status: i32, parts: &[&str]) {
        assert_eq!(self.status, Some(status), "{self:?}");
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is not in {:?}", self.err);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lag_names_the_member_that_has_a_partition() {
    let server = stage().await;
    let mut member = member(&server, "live").await;
    let rows = objects(&tool(&server, &["lag", "-g", "live", "--json"]));
    assert_eq!(rows.len(), 4, "assigned, and nothing committed");
    let id = server.with(|cluster| cluster.describe_group("live")).expect("it is live").members[0].id.clone();
    for row in &rows {
        assert_eq!((&row["member"], &row["host"]), (&id.as_str().into(), &"127.0.0.1".into()));
    }
    member.close().await.expect("it leaves");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threshold_sets_the_exit_status() {
    let server = stage().await;
    for (offsets, threshold, status) in
        [(&[2][..], "4", 0), (&[2], "3", 3), (&[6, 3], "1000", 3), (&[6, 6, 9], "1000", 3), (&[6, 6, 6], "6", 0)]
    {
        let group = format!("g{}{threshold}{status}", offsets.len());
        commit(&server, &group, offsets).await;
        let done = tool(&server, &["lag", "-g", &group, "--threshold", threshold]);
        assert_eq!(done.status, Some(status), "{offsets:?}: {done:?}");
        assert_eq!(cells(&done).len(), offsets.len(), "the table is printed all the same");
        assert_eq!(done.err.contains("above the threshold"), status == 3, "{done:?}");
    }
    // Without a commit the whole partition counts.
    let done = tool(&server, &["lag", "-g", "nosuch", "-t", "t", "--threshold", "5"]);
    assert!(done.status == Some(3) && done.err.contains("3 of 4 partitions are above"), "{done:?}");
    assert_eq!(tool(&server, &["lag", "-g", "nosuch", "-t", "t", "--threshold", "6"]).status, Some(0));
    assert_eq!(tool(&server, &["lag", "-g", "nosuch", "--threshold", "0"]).status, Some(1), "unknown is not above");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watched_lag_is_printed_again_until_interrupted() {
    let server = stage().await;
    commit(&server, "g", &[2]).await;
    let watch = ["-b", server.bootstrap(), "lag", "-g", "g", "--json", "--watch", "1", "--threshold", "3"];
    let mut child = spawn(&watch);
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut next = || {
        let mut line = String::new();
        out.read_line(&mut line).expect("a line");
        serde_json::from_str::<Value>(&line).expect("JSON")["lag"].as_u64()
    };
    assert_eq!(next(), Some(4));
    server.with(|cluster| append(cluster, "t", 0, &["g"]));
    while next() != Some(5) {}
    interrupt(&child);
    child.stdout = Some(tempfile_pipe());
    assert_eq!(end(child).status, Some(3), "the status of the last time");
}

fn committed(server: &Server, group: &str) -> Vec<Option<i64>> {
    server.with(|cluster| (0..4).map(|partition| cluster.committed(group, "t", partition)).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_are_reset_to_each_goal_within_the_log() {
    let server = stage().await;
    let goals: [(&[&str], [i64; 3]); 9] = [
        (&["--to-earliest"], [0, 4, 0]),
        (&["--to-latest"], [6, 6, 6]),
        (&["--to-offset", "5"], [5, 5, 5]),
        (&["--to-offset", "2"], [2, 4, 2]),
        (&["--shift-by", "1"], [3, 6, 4]),
        (&["--shift-by", "-2"], [0, 4, 1]),
        // Records have the timestamps 1,000 to 6,000.
        (&["--to-datetime", "1970-01-01T00:00:02.5"], [2, 4, 2]),
        (&["--to-timestamp", "6001"], [6, 6, 6]),
        (&["--by-duration", "P36500D"], [0, 4, 0]),
    ];
    for (goal, expected) in goals {
        commit(&server, "g", &[2, 5, 3]).await;
        let reset = [&["groups", "reset-offsets", "-g", "g", "--all-topics"], goal].concat();
        let dry = tool(&server, &[&reset[..], &["--dry-run"]].concat());
        assert_eq!(committed(&server, "g"), [Some(2), Some(5), Some(3), None], "a dry run changes nothing");
        assert!(dry.err.contains("dry run: nothing was changed"), "{dry:?}");
        let plan: Vec<String> = cells(&dry).iter().map(|row| row.join(" ")).collect();
        let row = |(at, old): (usize, i64)| format!("g t {at} {old} {}", expected[at]);
        assert_eq!(plan, [2, 5, 3].into_iter().enumerate().map(row).collect::<Vec<_>>(), "{goal:?}");
        let done = tool(&server, &[&reset[..], &["--execute", "--json"]].concat());
        assert!(done.err.contains("moved 3 offsets of group g"), "{done:?}");
        let object = format!(r#"{{"group":"g","topic":"t","partition":0,"committed":2,"new":{}}}"#, expected[0]);
        assert_eq!(done.lines()[0], object);
        assert_eq!(committed(&server, "g"), [Some(expected[0]), Some(expected[1]), Some(expected[2]), None]);
    }
    commit(&server, "g", &[2]).await;
    let done = tool(&server, &["groups", "reset-offsets", "-g", "g", "--all-topics", "--to-offset", "77", "--dry-run"]);
    assert!(done.err.contains("t[0]: the log has 0 to 6, not 77: 6 is taken"), "{done:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reset_takes_the_named_topics_and_partitions() {
    let server = stage().await;
    let reset =
        |arguments: &[&str]| tool(&server, &[&["groups", "reset-offsets", "-g", "new", "--yes"], arguments].concat());
    let done = reset(&["-t", "t:1,3", "--to-latest"]);
    assert_eq!(cells(&done)[1].join(" "), "new t 3 no commit 6");
    assert_eq!(committed(&server, "new"), [None, Some(6), None, Some(6)], "the group is created");
    assert_eq!(reset(&["-t", "t", "-t", "u:0", "--to-earliest", "--json"]).lines().len(), 5);
    assert_eq!(committed(&server, "new"), [Some(0), Some(4), Some(0), Some(0)]);
    reset(&["-t", "nosuch", "--to-latest"]).failed(1, &["topic nosuch", "UNKNOWN_TOPIC_OR_PARTITION"]);
    reset(&["-t", "t:9", "--to-latest"]).failed(1, &["partition 9", "topic t has 4 partitions"]);
    let empty = ["groups", "reset-offsets", "-g", "none", "--all-topics", "--to-latest", "--execute"];
    tool(&server, &empty).failed(1, &["group none has committed no offsets", "--topic"]);
    let shift = ["groups", "reset-offsets", "-g", "none", "-t", "t:2", "--shift-by", "1", "--execute"];
    tool(&server, &shift).failed(1, &["t[2]", "nothing is committed", "--shift-by"]);
    for (arguments, part) in [
        (["-t", "t:x", "--to-latest"], "--topic t:x"),
        (["-t", "t", "--to-offset=-1"], "--to-offset -1"),
        (["-t", "t", "--to-datetime=yesterday"], "--to-datetime yesterday"),
        (["-t", "t", "--by-duration=15M"], "--by-duration 15M"),
    ] {
        reset(&arguments).failed(2, &[part]);
    }
    for incomplete in [&["-t", "t"][..], &["--to-latest"], &["-t", "t", "--to-latest", "--to-earliest"]] {
        assert_eq!(reset(incomplete).status, Some(2), "{incomplete:?}");
    }
    let neither = ["groups", "reset-offsets", "-g", "new", "-t", "t", "--to-latest"];
    let done = tool(&server, &neither);
    assert!(done.status == Some(2) && done.err.contains("--dry-run"), "{done:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_of_a_living_group_are_not_reset() {
    let server = stage().await;
    commit(&server, "live", &[1, 5]).await;
    let mut member = member(&server, "live").await;
    for how in ["--execute", "--dry-run"] {
        let reset = ["groups", "reset-offsets", "-g", "live", "--all-topics", "--to-latest", how];
        tool(&server, &reset).failed(1, &["group live has 1 member and is Stable", "stop them first"]);
    }
    assert_eq!(committed(&server, "live")[..2], [Some(1), Some(5)]);
    member.close().await.expect("it leaves");
}

/// Starts a member of group g that prints topic t, and waits until it has printed so many records.
fn printing(server: &Server, protocol: &str, records: usize) -> Child {
    let protocol = format!("group.protocol={protocol}");
    let mut child = spawn(&["-b", server.bootstrap(), "-X", &protocol, "consume", "-t", "t", "-g", "g"]);
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    for _ in 0..records {
        out.read_line(&mut String::new()).expect("a record");
    }
    child
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_member_commits_then_leaves_its_group() {
    for (protocol, leaving) in [("classic", key::LEAVE_GROUP), ("consumer", key::CONSUMER_GROUP_HEARTBEAT)] {
        let server = stage().await;
        // Six records in three partitions, two in the one that was trimmed.
        let mut child = printing(&server, protocol, 20);
        interrupt(&child);
        child.stdout = Some(tempfile_pipe());
        let done = end(child);
        assert_eq!(done.status, Some(0), "{done:?}");
        assert!(done.err.contains("interrupted after 20 records"), "{done:?}");
        let group = server.with(|cluster| cluster.describe_group("g")).expect("it was joined");
        assert_eq!((group.state, group.members.len()), (GroupState::Empty, 0), "it has left, not expired");
        assert_eq!(committed(&server, "g"), [Some(6); 4]);
        let keys: Vec<i16> = server.with(|cluster| cluster.requests().map(|seen| seen.api_key).collect());
        let last = |api_key| keys.iter().rposition(|key| *key == api_key);
        assert!(last(key::OFFSET_COMMIT) < last(leaving), "{protocol}: {keys:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_of_kip_848_is_shown_like_a_classic_one() {
    let server = stage().await;
    let mut child = printing(&server, "consumer", 20);
    assert_eq!(cells(&tool(&server, &["groups", "list", "--type", "consumer"]))[0][..3], ["g", "Stable", "Consumer"]);
    let [object] = &objects(&tool(&server, &["groups", "describe", "g", "--json"]))[..] else { panic!("one object") };
    assert_eq!((&object["type"], &object["assignor"]), (&"Consumer".into(), &"uniform".into()));
    assert!(object["epoch"].is_i64() && object["members"][0]["epoch"].is_i64(), "{object}");
    assert_eq!(object["members"][0]["partitions"].as_array().map(Vec::len), Some(4));
    let rows = objects(&tool(&server, &["lag", "-g", "g", "--json"]));
    assert!(rows.len() == 4 && rows.iter().all(|row| row["member"] == object["members"][0]["member"]), "{rows:?}");
    let reset = ["groups", "reset-offsets", "-g", "g", "--all-topics", "--to-latest", "--execute"];
    tool(&server, &reset).failed(1, &["group g has 1 member and is Stable"]);
    interrupt(&child);
    child.stdout = Some(tempfile_pipe());
    assert_eq!(end(child).status, Some(0));
    assert_eq!(
        tool(&server, &["groups", "reset-offsets", "-g", "g", "--all-topics", "--to-earliest", "--execute"]).status,
        Some(0)
    );
    assert_eq!(tool(&server, &["groups", "delete", "g"]).status, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn measured_member_of_a_group_commits_what_it_read() {
    let server = stage().await;
    let perf = ["perf", "consume", "-t", "t", "-g", "g", "--records", "20", "--json"];
    let done = tool(&server, &perf);
    let [line] = &objects(&done)[..] else { panic!("{done:?}") };
    assert_eq!((&line["acked"], done.status), (&20.into(), Some(0)), "{done:?}");
    assert_eq!(committed(&server, "g"), [Some(6); 4]);
    assert_eq!(server.with(|cluster| cluster.describe_group("g")).map(|group| group.state), Some(GroupState::Empty));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_reads_as_a_member_of_a_group_and_removes_it() {
    let server = served(Cluster::builder().brokers(3).build()).await;
    let done = tool(&server, &["demo", "--records", "2000"]);
    assert!(done.out.contains("each verified") && done.out.contains("as a member of group ottla-demo-"), "{done:?}");
    assert!(server.with(|cluster| cluster.requests_count(key::JOIN_GROUP)) > 0);
    assert!(admin(&server).await.list_topics().await.expect("an answer").is_empty(), "{done:?}");
    let groups = admin(&server).await.list_groups(ottla::admin::GroupFilter::all()).await.expect("an answer").groups;
    assert!(groups.is_empty(), "{groups:?}");
}
