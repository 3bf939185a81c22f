//! A store in a file: read once, and replaced as a whole by each change.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::oneshot;

use super::Change;
use super::Lookup;
use super::OffsetStore;
use super::Outcome;
use super::StoreFuture;
use super::table::Table;
use crate::error::Error;
use crate::net::clock::Clock;
use crate::net::runtime::Runtime;
use crate::types::TopicPartition;

mod format;
mod lock;

use self::format::Flaw;
use self::lock::Lock;
use self::lock::Refused;

/// The largest file that is read. An offset takes about 60 bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Offsets in a file of this process.
///
/// Each change writes the whole table to a file beside it (`NAME.tmp`), syncs it, and renames it over the old one, so that a crash at any
/// moment leaves the old offsets or the new ones. It is for thousands of partitions, not for millions. One store writes a file at a
/// time: `NAME.lock` exists meanwhile and names the holder. On Linux the lock of a process that has ended is taken over; elsewhere, and
/// across containers, delete it. The work is done on threads that may be blocked.
///
/// ```no_run
/// # async fn run() -> Result<(), ottla::Error> {
/// use ottla::consumer::store::FileStore;
///
/// let path = std::env::temp_dir().join(format!("docs-{}.offsets", std::process::id()));
/// let store = FileStore::open(path).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct FileStore(Arc<Mutex<Opened>>);

#[derive(Debug)]
struct Opened {
    path: PathBuf,
    table: Table,
    clock: Clock,
    lock: Lock,
}

impl FileStore {
    /// Opens a file of offsets, or begins one. Its folder must exist.
    ///
    /// # Errors
    ///
    /// [`Kind::Storage`](crate::error::Kind::Storage), with the path and a remedy: another store holds the file; it is not a file of
    /// offsets, damaged, of another version, or larger than 64 MiB; the system refused to read it.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let opened = apart(move || Opened::open(path)).await?;
        Ok(Self(Arc::new(Mutex::new(opened))))
    }

    /// Offsets that were stored longer ago than this have [expired](Lookup::Expired). The default is never.
    pub fn retention(self, retention: Duration) -> Self {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).table.retention = Some(retention);
        self
    }

    async fn with<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Opened) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        let opened = Arc::clone(&self.0);
        apart(move || act(&mut opened.lock().unwrap_or_else(PoisonError::into_inner))).await
    }
}

/// Runs work on a thread that may be blocked.
async fn apart<R: Send + 'static>(work: impl FnOnce() -> Result<R, Error> + Send + 'static) -> Result<R, Error> {
    let (sender, receiver) = oneshot::channel();
    Runtime::current()?.spawn_blocking(move || drop(sender.send(work())));
    receiver
        .await
        .unwrap_or_else(|_| Err(Error::storage("the runtime ended before the file of offsets was written or read")))
}

impl OffsetStore for FileStore {
    fn load<'a>(&'a self, group: &'a str, partitions: Vec<TopicPartition>) -> StoreFuture<'a, Vec<Lookup>> {
        let group = group.to_owned();
        Box::pin(self.with(move |opened| {
            let now_ms = opened.clock.now().unix_ms;
            Ok(opened.table.load(now_ms, &group, partitions))
        }))
    }

    fn compare_and_set<'a>(&'a self, group: &'a str, changes: Vec<Change>) -> StoreFuture<'a, Vec<Outcome>> {
        let group = group.to_owned();
        Box::pin(self.with(move |opened| opened.compare_and_set(&group, changes)))
    }
}

impl Opened {
    fn open(path: PathBuf) -> Result<Self, Error> {
        let path = canonical(&path).map_err(|error| failed(&path, "is in no folder that exists", error))?;
        let lock = Lock::take(beside(&path, "lock")).map_err(|refused| match refused {
            Refused::Held { holder } => held(&path, &holder),
            Refused::Failed(error) => failed(&path, "could not be locked", error),
        })?;
        let table = read(&path)?;
        Ok(Self { path, table, clock: Clock::new(), lock })
    }

    /// Changes a copy, which replaces the table once it is in the file.
    fn compare_and_set(&mut self, group: &str, changes: Vec<Change>) -> Result<Vec<Outcome>, Error> {
        let mut table = self.table.clone();
        let outcomes = table.compare_and_set(self.clock.now().unix_ms, group, changes);
        if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Stored(_))) {
            self.write(&table)?;
            self.table = table;
        }
        Ok(outcomes)
    }

    fn write(&self, table: &Table) -> Result<(), Error> {
        match self.lock.taken_by() {
            Ok(None) => {}
            Ok(Some(holder)) => return Err(held(&self.path, &holder)),
            Err(error) => return Err(failed(&self.path, "is not locked any more", error)),
        }
        let text = format::write(table);
        if u64::try_from(text.len()).is_ok_and(|bytes| bytes > FILE_BYTES_MAX) {
            let path = self.path.display();
            return Err(Error::storage(format!("{path}: more than 64 MiB of offsets: use another store")));
        }
        replace(&self.path, text.as_bytes()).map_err(|error| failed(&self.path, "could not be written", error))
    }
}

/// The one path of a file that may not exist yet: two stores of one file must find each other.
fn canonical(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let name = path.file_name().ok_or(error)?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            Ok(fs::canonicalize(folder.unwrap_or(Path::new(".")))?.join(name))
        }
        found => found,
    }
}

/// Replaces a file so that a crash leaves the old content or the new one.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = beside(path, "tmp");
    // A crash may have left one, whatever it has.
    let mut file = File::create(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&fresh, path)?;
    sync_folder(path)
}

/// Makes the new name of a file last.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Folders cannot be synced here.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn read(path: &Path) -> Result<Table, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Table::default()),
        Err(error) => return Err(failed(path, "could not be opened", error)),
    };
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let mut content = Vec::new();
    // A file that is larger already is not read.
    file.take(if size > FILE_BYTES_MAX { 0 } else { FILE_BYTES_MAX + 1 })
        .read_to_end(&mut content)
        .map_err(|error| failed(path, "could not be read", error))?;
    let read = u64::try_from(content.len()).unwrap_or(u64::MAX);
    let problem = if size.max(read) > FILE_BYTES_MAX {
        "larger than 64 MiB, so no store has written it: name another file".to_owned()
    } else {
        match format::read(&content) {
            Ok(table) => return Ok(table),
            Err(Flaw::Foreign) => "not a file of offsets: name another file".to_owned(),
            Err(Flaw::Version(version)) => {
                format!(
                    "a file of offsets of version {version:?}, and this release has version 1: use the release that wrote it"
                )
            }
            Err(Flaw::Torn) => {
                "a damaged file of offsets: restore it from a copy, or move it away to start without offsets".to_owned()
            }
            Err(Flaw::Line(line)) => {
                format!("a file of offsets whose line {line} is wrong: correct it, or move it away")
            }
        }
    };
    Err(Error::storage(format!("{} is {problem}", path.display())))
}

fn held(path: &Path, holder: &str) -> Error {
    let (lock, path) = (beside(path, "lock"), path.display());
    let lock = lock.display();
    Error::storage(format!(
        "{path} is held by another store ({}): give each its own file, or delete {lock} if that process has ended",
        holder.escape_debug()
    ))
}

fn failed(path: &Path, what: &str, error: io::Error) -> Error {
    Error::storage(format!("{} {what}", path.display())).caused_by(error)
}

/// The path of a file beside another: its name with an ending.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}
