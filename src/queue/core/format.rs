//! A cursor as the metadata of a stored offset. The offset itself is the base.
//!
//! ```text
//! ottla-leases 1 RESETS [TO:d | TO:f | TO:l:WORKER:NUMBER:BEAT:LASTS_MS]…
//! ```

use std::fmt::Write;

use super::cursor::Cursor;
use super::cursor::Lease;
use super::cursor::LeaseId;
use super::cursor::State;
use super::cursor::Window;

const NAME: &str = "ottla-leases ";
const VERSION: &str = "1";

/// The most windows that are read: no queue writes more than half of that.
const READ_MAX: usize = 4 * super::cursor::WINDOWS_MAX;

impl Cursor {
    pub(crate) fn metadata(&self) -> String {
        let mut text = format!("{NAME}{VERSION} {}", self.resets);
        for Window { to, state } in &self.windows {
            match state {
                State::Done => write!(text, " {to}:d"),
                State::Free => write!(text, " {to}:f"),
                State::Leased(Lease { id, beat, lasts_ms }) => {
                    write!(text, " {to}:l:{:x}:{}:{beat}:{lasts_ms}", id.worker, id.number)
                }
            }
            .expect("a string takes everything");
        }
        text
    }

    /// Reads a cursor. An offset that no queue has stored has a text of its own, which is no obstacle. `None`: a queue has stored it,
    /// and it is damaged, or of a later version.
    pub(crate) fn read(base: i64, metadata: &str) -> Option<Self> {
        if base < 0 {
            return None;
        }
        let Some(rest) = metadata.strip_prefix(NAME) else { return Some(Self::at(base)) };
        let mut fields = rest.split(' ');
        let version = fields.next()?;
        let resets = fields.next()?.parse().ok()?;
        let windows: Vec<Window> = fields.take(READ_MAX + 1).map(window).collect::<Option<_>>()?;
        let mut grows =
            windows.iter().scan(base, |before, window| Some(window.to > std::mem::replace(before, window.to)));
        let is_sound = version == VERSION && windows.len() <= READ_MAX && grows.all(|grows| grows);
        is_sound.then_some(Self { base, windows, resets })
    }
}

fn window(text: &str) -> Option<Window> {
    let mut fields = text.split(':');
    let to = fields.next()?.parse().ok()?;
    let state = match fields.next()? {
        "d" => State::Done,
        "f" => State::Free,
        "l" => {
            let worker = u64::from_str_radix(fields.next()?, 16).ok()?;
            let id = LeaseId { worker, number: fields.next()?.parse().ok()? };
            State::Leased(Lease { id, beat: fields.next()?.parse().ok()?, lasts_ms: fields.next()?.parse().ok()? })
        }
        _ => return None,
    };
    fields.next().is_none().then_some(Window { to, state })
}
