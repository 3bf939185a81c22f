//! The live view of `ottla lag --watch`, on a terminal that `script` makes.

use std::io::Read;
use std::io::Write;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;

use ottla::mock::Cluster;
use ottla::mock::Server;

use super::PATIENCE;
use super::consume::append;
use super::consume::served;
use super::tool;

/// The tool on a terminal of 20 lines. Before and after, the shell prints the settings of the terminal.
struct Live {
    script: Child,
    chunks: mpsc::Receiver<Vec<u8>>,
    seen: Vec<u8>,
    /// The name of the terminal, its settings before, and the id of the tool's process.
    tty: String,
    mode: String,
    pid: String,
}

impl Live {
    fn watch(server: &Server) -> Self {
        let lag = format!("{} -b {} lag -g g -t t --watch 1 --threshold 1", tool().display(), server.bootstrap());
        let shell = format!(
            "stty rows 20 cols 120; echo TTY=$(tty) MODE=$(stty -g)\n\
             sh -c 'echo PID=$$ READY; exec {lag}'\necho STATUS=$? MODE=$(stty -g)"
        );
        let mut script = Command::new("script");
        script.args(["-qec", &shell, "/dev/null"]).env("TERM", "xterm").env("SHELL", "/bin/sh");
        script.env_remove("KAFKA_BROKERS").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut script = script.spawn().expect("script, of util-linux");
        let mut out = script.stdout.take().expect("a pipe");
        let (sender, chunks) = mpsc::channel();
        std::thread::spawn(move || {
            let mut chunk = [0; 4_096];
            while let Ok(count @ 1..) = out.read(&mut chunk) {
                if sender.send(chunk[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let unknown = String::new;
        let mut live = Self { script, chunks, seen: Vec::new(), tty: unknown(), mode: unknown(), pid: unknown() };
        let text = live.until("READY");
        let named = |name| word(&text, name).to_owned();
        (live.tty, live.mode, live.pid) = (named("TTY="), named("MODE="), named("PID="));
        live
    }

    /// Waits until the terminal was sent something, whose end `find` finds. Returns everything up to there, and forgets it.
    fn wait(&mut self, what: &str, find: impl Fn(&str) -> Option<usize>) -> String {
        loop {
            let text = String::from_utf8_lossy(&self.seen).into_owned();
            if let Some(end) = find(&text) {
                self.seen.drain(..end);
                return text[..end].to_owned();
            }
            let chunk = self.chunks.recv_timeout(PATIENCE);
            self.seen.extend(chunk.unwrap_or_else(|error| panic!("{error}, and no {what} in {text:?}")));
        }
    }

    /// Waits for these characters, escape sequences included.
    fn until(&mut self, text: &str) -> String {
        self.wait(text, |seen| Some(seen.find(text)? + text.len()))
    }

    /// Waits for a text on the screen. Cells that are blank already are not sent, so spaces do not count.
    fn shows(&mut self, text: &str) {
        let text = text.replace(' ', "");
        self.wait(&text, |seen| printed(seen).contains(&text).then_some(seen.len()));
    }

    fn press(&mut self, keys: &[u8]) {
        let stdin = self.script.stdin.as_mut().expect("a pipe");
        stdin.write_all(keys).expect("it reads keys");
        stdin.flush().expect("it reads keys");
    }

    /// Waits for the end, which gives the terminal back as it was. Returns the status.
    fn end(mut self) -> String {
        let text = self.wait("MODE=", |seen| {
            let mode = seen.find("MODE=")?;
            Some(mode + seen[mode..].find('\n')?)
        });
        let back = text.find("\u{1b}[?1049l").unwrap_or_else(|| panic!("the first screen is back: {text:?}"));
        assert!(text.contains("\u{1b}[?25h"), "it shows its cursor: {text:?}");
        let verdict = text.find("1 of 2 partitions are above the threshold of 1").expect("the last check");
        assert!(back < verdict, "the verdict is on the first screen: {text:?}");
        assert_eq!(word(&text, "MODE="), self.mode, "raw mode is off");
        self.script.wait().expect("it ends");
        word(&text, "STATUS=").to_owned()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

/// The word after a name.
fn word<'a>(text: &'a str, name: &str) -> &'a str {
    let (_, rest) = text.split_once(name).unwrap_or_else(|| panic!("no {name} in {text:?}"));
    rest.split_whitespace().next().expect("a word")
}

/// The text that the terminal was sent, without spaces and escape sequences.
fn printed(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.split_once(|end: char| end.is_ascii_alphabetic()).map_or("", |(_, text)| text));
    rest.fold(first, |whole, part| whole + part).replace(' ', "")
}

async fn stage() -> Server {
    let mut cluster = Cluster::builder().topic("t", 2).build();
    append(&mut cluster, "t", 1, &["a", "b", "c"]);
    served(cluster).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_view_follows_keys_and_size_and_ends_with_q() {
    let server = stage().await;
    let mut live = Live::watch(&server);
    live.shows("1 above the threshold of 1");
    live.press(b"p");
    live.shows("; paused");
    let resized = Command::new("stty").args(["-F", &live.tty, "rows", "12", "cols", "100"]).status();
    assert!(resized.expect("stty").success());
    // While it is paused nothing else draws. The last line has the keys.
    live.until("\u{1b}[12;1H");
    live.shows("every 1 s; q quits");
    live.press(b"q");
    assert_eq!(live.end(), "3", "the status of the last check");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_live_view_gives_the_terminal_back() {
    let server = stage().await;
    for way in ["Ctrl-C", "-INT", "-TERM"] {
        let mut live = Live::watch(&server);
        live.shows("1 above the threshold of 1");
        if way == "Ctrl-C" {
            live.press(&[3]);
        } else {
            assert!(Command::new("kill").args([way, &live.pid]).status().expect("kill").success());
        }
        assert_eq!(live.end(), "3", "{way}: the status of the last check");
    }
}
