//! Stores of offsets outside Kafka: a consumer that starts from one, and a file that is hostile, torn, held or in the way of a crash.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use ottla::Client;
use ottla::Error;
use ottla::Record;
use ottla::consumer::Position;
use ottla::consumer::store::Change;
use ottla::consumer::store::Expected;
use ottla::consumer::store::FileStore;
use ottla::consumer::store::Lookup;
use ottla::consumer::store::MemoryStore;
use ottla::consumer::store::OffsetStore;
use ottla::consumer::store::Outcome;
use ottla::consumer::store::StoredGroup;
use ottla::error::Kind;
use ottla::mock::Cluster;
use ottla::mock::Server;
use ottla::types::LeaderEpoch;
use ottla::types::TopicPartition;

fn key(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

fn change(partition: i32, offset: i64, expected: Expected) -> Change {
    let position = Position { offset, epoch: LeaderEpoch::from_wire(3) };
    Change { partition: key(partition), position, metadata: "a text,\twith a tab\nand 100 % ü".into(), expected }
}

async fn offset(store: &impl OffsetStore, group: &str) -> Option<i64> {
    match store.load(group, vec![key(0)]).await.expect("it is read").remove(0) {
        Lookup::Found(stored) => Some(stored.position.offset),
        Lookup::Missing => None,
        Lookup::Expired(_) => panic!("nothing expires"),
    }
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("offsets")
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Stores an offset, and closes the store.
    async fn stored(offset: i64) -> Self {
        let folder = Self::new();
        let store = FileStore::open(folder.path()).await.expect("opened");
        store.compare_and_set("g", vec![change(0, offset, Expected::Missing)]).await.expect("stored");
        folder
    }

    async fn refusal(&self) -> Error {
        let error = FileStore::open(self.path()).await.expect_err("refused");
        assert_eq!(error.kind(), Kind::Storage, "{error}");
        assert!(error.to_string().contains(&*self.path().to_string_lossy()), "it names the file: {error}");
        error
    }
}

#[tokio::test]
async fn offsets_in_a_file_survive_the_process_with_all_their_parts() {
    let folder = Folder::new();
    let store = FileStore::open(folder.path()).await.expect("opened");
    let changes = vec![change(0, 42, Expected::Missing), change(1, 0, Expected::Any)];
    let outcomes = store.compare_and_set("g\t%ü", changes).await.expect("stored");
    assert_eq!(outcomes, [Outcome::Stored(1), Outcome::Stored(1)]);
    let before = store.load("g\t%ü", vec![key(0), key(1), key(2)]).await.expect("read");
    drop(store);
    let store = FileStore::open(folder.path()).await.expect("opened");
    assert_eq!(store.load("g\t%ü", vec![key(0), key(1), key(2)]).await.expect("read"), before);
    assert_eq!(before[2], Lookup::Missing);
    let Lookup::Found(stored) = &before[0] else { panic!("{before:?}") };
    assert_eq!(stored.position, Position { offset: 42, epoch: LeaderEpoch::from_wire(3) });
    assert_eq!(stored.metadata, "a text,\twith a tab\nand 100 % ü");
    assert!(!folder.beside("offsets.tmp").exists());
}

#[tokio::test]
async fn rubbish_foreign_and_newer_files_are_refused_with_a_remedy() {
    let folder = Folder::stored(42).await;
    let whole = fs::read(folder.path()).expect("the file");
    for (content, expected) in [
        (b"".to_vec(), "not a file of offsets"),
        (vec![0xff; 10_000], "not a file of offsets"),
        (b"#!/bin/sh\nexit 1\n".to_vec(), "not a file of offsets"),
        (b"ottla-offsets 2\nend 0 00000000\n".to_vec(), "version \"2\""),
        (b"ottla-offsets 1\n".to_vec(), "damaged"),
        (b"ottla-offsets 1\nend 0 00000000\n".to_vec(), "damaged"),
        ([&whole[..], b"\n"].concat(), "damaged"),
        ([&whole[..], &whole[..]].concat(), "damaged"),
    ] {
        fs::write(folder.path(), &content).expect("written");
        let error = folder.refusal().await.to_string();
        assert!(error.contains(expected), "{:?}: {error}", String::from_utf8_lossy(&content));
        assert_eq!(fs::read(folder.path()).expect("the file"), content, "it is left alone");
    }
    let file = fs::File::create(folder.path()).expect("a file");
    file.set_len(2 << 30).expect("a sparse file");
    assert!(folder.refusal().await.to_string().contains("larger than 64 MiB"));
    fs::remove_file(folder.path()).expect("removed");
    fs::create_dir(folder.path()).expect("a folder in its place");
    folder.refusal().await;
}

#[tokio::test]
async fn torn_or_changed_file_is_refused_at_every_byte() {
    let folder = Folder::stored(42).await;
    let whole = fs::read(folder.path()).expect("the file");
    for length in 0..whole.len() {
        fs::write(folder.path(), &whole[..length]).expect("written");
        folder.refusal().await;
    }
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(folder.path(), changed).expect("written");
        folder.refusal().await;
    }
}

/// A crash before the rename leaves the new content beside the file, whole or not.
#[tokio::test]
async fn crash_between_write_and_rename_loses_nothing() {
    let folder = Folder::stored(42).await;
    let whole = fs::read(folder.path()).expect("the file");
    for left in [&b""[..], &whole[..whole.len() / 2], &[0; 10_000]] {
        fs::write(folder.beside("offsets.tmp"), left).expect("written");
        let store = FileStore::open(folder.path()).await.expect("opened");
        let before = offset(&store, "g").await.expect("it is there");
        store.compare_and_set("g", vec![change(0, before + 1, Expected::Any)]).await.expect("stored");
        drop(store);
        let store = FileStore::open(folder.path()).await.expect("opened");
        assert_eq!(offset(&store, "g").await, Some(before + 1));
    }
}

#[tokio::test]
async fn write_that_fails_changes_nothing_and_the_next_one_succeeds() {
    let folder = Folder::stored(42).await;
    let store = FileStore::open(folder.path()).await.expect("opened");
    fs::create_dir(folder.beside("offsets.tmp")).expect("a folder in the way");
    let error = store.compare_and_set("g", vec![change(0, 50, Expected::Any)]).await.expect_err("it fails");
    assert_eq!(error.kind(), Kind::Storage);
    assert!(format!("{error:#}").contains("could not be written"), "{error:#}");
    assert_eq!(offset(&store, "g").await, Some(42), "as the file has it");
    fs::remove_dir(folder.beside("offsets.tmp")).expect("removed");
    let outcomes = store.compare_and_set("g", vec![change(0, 50, Expected::Version(1))]).await.expect("stored");
    assert_eq!(outcomes, [Outcome::Stored(2)]);
}

fn lock_of(folder: &Folder) -> PathBuf {
    folder.beside("offsets.lock")
}

#[tokio::test]
async fn second_store_of_a_file_is_refused_and_names_the_holder() {
    let folder = Folder::new();
    let store = FileStore::open(folder.path()).await.expect("opened");
    let error = folder.refusal().await.to_string();
    assert!(error.contains("this process") && error.contains("offsets.lock"), "{error}");
    // The same file by another path.
    let detour = folder.0.path().join("..").join(folder.0.path().file_name().expect("a name")).join("offsets");
    assert!(FileStore::open(detour).await.expect_err("held").to_string().contains("is held"));
    drop(store);
    assert!(!lock_of(&folder).exists());
    // A living process of this machine: the one that started this test.
    fs::write(lock_of(&folder), "pid 1").expect("written");
    let error = folder.refusal().await.to_string();
    assert!(error.contains("pid 1") && error.contains("delete"), "{error}");
    // A lock that its holder had no time to write.
    fs::write(lock_of(&folder), "").expect("written");
    assert!(folder.refusal().await.to_string().contains("did not write its name"));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn lock_of_a_process_that_ended_is_taken_over_and_a_thief_is_noticed() {
    let folder = Folder::stored(42).await;
    let store = FileStore::open(folder.path()).await.expect("opened");
    let holder = fs::read_to_string(lock_of(&folder)).expect("the lock");
    let (_, rest) = holder.split_once(", started ").expect("Linux");
    let (_, place) = rest.split_once(", on ").expect("a place");
    // Somebody else takes the file while this store is open.
    fs::write(lock_of(&folder), format!("pid 1, started 1, on {place}")).expect("written");
    let error =
        store.compare_and_set("g", vec![change(0, 50, Expected::Any)]).await.expect_err("not its file any more");
    assert!(error.to_string().contains("is held by another store"), "{error}");
    drop(store);
    assert!(lock_of(&folder).exists(), "a lock of another is left alone");
    // No process has this id and this start, so whoever held it has ended.
    fs::write(lock_of(&folder), format!("pid 4000000, started 1, on {place}")).expect("written");
    let store = FileStore::open(folder.path()).await.expect("taken over");
    assert_eq!(offset(&store, "g").await, Some(42));
    drop(store);
    // Another machine's, or another container's: nobody knows whether it has ended.
    fs::write(lock_of(&folder), "pid 4000000, started 1, on another-boot, in pid:[1]").expect("written");
    assert!(folder.refusal().await.to_string().contains("another-boot"));
}

async fn cluster() -> (Server, Client) {
    let server = Server::in_memory(Cluster::builder().topic("t", 2).build());
    let builder = Client::builder([server.bootstrap()]).expect("addresses").connector(server.connector());
    let client = builder.connect().await.expect("a cluster");
    let producer = client.producer().build().expect("a producer");
    for number in 0..20 {
        producer.send(Record::to("t").partition(number % 2).value("x")).await.expect("written");
    }
    (server, client)
}

/// Reads on from a store, and stores where it ends. Returns the number of records.
async fn read_on(client: &Client, group: &mut StoredGroup, batches: usize) -> usize {
    let builder = client.consumer().assign_partitions([("t", 0), ("t", 1)]).until_end().poll_bytes_max(1);
    let mut consumer = builder.build().expect("a consumer");
    group.resume(&consumer.handle(), consumer.assignment()).await.expect("resumed");
    let mut count = 0;
    for _ in 0..batches {
        let Some(records) = consumer.poll().await.expect("no error") else { break };
        count += records.count();
        group.commit(consumer.handle().positions()).await.expect("stored");
    }
    count
}

async fn resumes(store: Arc<dyn OffsetStore>) {
    let (_server, client) = cluster().await;
    let mut group = StoredGroup::shared(Arc::clone(&store), "audit");
    let first = read_on(&client, &mut group, 5).await;
    let mut again = StoredGroup::shared(Arc::clone(&store), "audit");
    let rest = read_on(&client, &mut again, 1_000).await;
    assert!(first > 0 && first < 20, "{first}");
    assert_eq!(first + rest, 20, "each record once");
    // The first has not noticed that another has gone on.
    let error = group.commit([(key(0), Position::from(1))]).await.expect_err("another has stored offsets");
    assert_eq!((error.kind(), error.partition()), (Kind::Storage, Some(0)));
    assert!(error.to_string().contains("another process"), "{error}");
    let other = StoredGroup::shared(store, "other").commit([(key(0), Position::from(1))]).await;
    other.expect("another group has offsets of its own");
}

#[tokio::test]
async fn consumer_starts_where_the_store_says_and_a_stale_commit_is_refused() {
    resumes(Arc::new(MemoryStore::new())).await;
    let folder = Folder::new();
    resumes(Arc::new(FileStore::open(folder.path()).await.expect("opened"))).await;
    assert!(FileStore::open(Path::new("/nowhere/offsets")).await.is_err());
}

#[tokio::test]
async fn partition_that_is_not_assigned_cannot_be_resumed() {
    let (_server, client) = cluster().await;
    let store: Arc<dyn OffsetStore> = Arc::new(MemoryStore::new());
    store.compare_and_set("g", vec![change(1, 5, Expected::Missing)]).await.expect("stored");
    let consumer = client.consumer().assign_partitions([("t", 0)]).build().expect("a consumer");
    let error = StoredGroup::shared(store, "g").resume(&consumer.handle(), [key(1)]).await.expect_err("not assigned");
    assert_eq!((error.kind(), error.partition()), (Kind::Config, Some(1)));
}
