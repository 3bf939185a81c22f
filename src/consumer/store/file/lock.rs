//! One writer for each file: a lock file beside it that names its holder.
//!
//! `File::try_lock` needs a newer Rust than this crate does, so the lock is a file that exists while it is held. It is taken over from a
//! process that has surely ended: one of this machine, boot and PID namespace whose id is free, or belongs to a process that was started
//! later. Before each write the holder looks whether the lock is still its own.

use std::fs;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Locks that this process holds: its own id in a lock file of an earlier process with the same id says nothing.
static HELD: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Bytes of a lock file that are read.
const HOLDER_BYTES_MAX: u64 = 1_000;

/// A lock that is held. Dropping it releases it.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    holder: String,
}

/// The reason why a lock cannot be taken.
#[derive(Debug)]
pub(super) enum Refused {
    Held { holder: String },
    Failed(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Lock {
    pub(super) fn take(path: PathBuf) -> Result<Self, Refused> {
        let holder = identity(std::process::id());
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        if held.contains(&path) {
            return Err(Refused::Held { holder: "this process".into() });
        }
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => file.write_all(holder.as_bytes())?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let other = read(&path)?;
                if !has_ended(&other, &holder) {
                    let unknown = || "a process that did not write its name".to_owned();
                    return Err(Refused::Held {
                        holder: Some(other).filter(|other| !other.is_empty()).unwrap_or_else(unknown),
                    });
                }
                // Of several processes that take it over, the last one has it, and the others notice before they write.
                let fresh = path.with_extension(format!("lock-{}", std::process::id()));
                fs::write(&fresh, &holder)?;
                fs::rename(&fresh, &path)?;
            }
            Err(error) => return Err(error.into()),
        }
        held.push(path.clone());
        Ok(Self { path, holder })
    }

    /// The holder that the lock file names, if that is not this one.
    pub(super) fn taken_by(&self) -> io::Result<Option<String>> {
        let holder = read(&self.path)?;
        Ok((holder != self.holder).then_some(holder))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.taken_by().is_ok_and(|other| other.is_none()) {
            let _ = fs::remove_file(&self.path);
        }
        HELD.lock().unwrap_or_else(PoisonError::into_inner).retain(|path| *path != self.path);
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut content = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(fs::File::open(path)?, HOLDER_BYTES_MAX), &mut content)?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// Names a process: `pid 17, started 123456, on BOOT, in NAMESPACE`. Without `/proc` only its id is known.
fn identity(pid: u32) -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    match started(pid) {
        Some(started) => format!("pid {pid}, started {started}, on {}, in {}", boot.trim(), namespace.display()),
        None => format!("pid {pid}"),
    }
}

/// When a process was started, in ticks since boot: field 22 of `/proc/PID/stat`, whose second field may have spaces.
fn started(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(19).map(str::to_owned)
}

/// Whether the process that a lock names has surely ended, as seen by `own`.
fn has_ended(other: &str, own: &str) -> bool {
    let place = |holder: &str| holder.split_once(", on ").map(|(_, place)| place.to_owned());
    let (Some(theirs), Some(ours)) = (place(other), place(own)) else { return false };
    let pid = other.strip_prefix("pid ").and_then(|rest| rest.split(',').next()).and_then(|pid| pid.parse().ok());
    let Some(pid) = pid else { return false };
    // This process would have found its own lock among those that it holds.
    theirs == ours && (identity(pid) != other || pid == std::process::id())
}
